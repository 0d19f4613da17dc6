"""A Problem seen as an environment, one episode at a time or many in step, for a centre or for agents of their own.

Nature is drawn in `Episodes`; a `View` says what is seen and how actions are read; the environments join the two:

================================================  ====================================================================
`ProblemEnv`, `ProblemVectorEnv`                  Gymnasium's `Env` and `VectorEnv` (batched) of any problem and view
`ProblemParallelEnv`                              PettingZoo's `ParallelEnv` of an `AgentProblem`
`FieldView`                                       the problem's own arrays, the view unless another is given
`ScoreView` (`AssignmentEnv`,                     for continuous control: measurements of all servers, a score for
`AssignmentVectorEnv`)                            each link
`AgentsView`                                      for continuous control: all agents' views, all their decisions
================================================  ====================================================================
"""

from offloadopt.envs.agents_view import AgentsView
from offloadopt.envs.episodes import Episodes
from offloadopt.envs.gym_env import AssignmentEnv, ProblemEnv
from offloadopt.envs.pettingzoo_env import ProblemParallelEnv
from offloadopt.envs.score_view import ScoreView
from offloadopt.envs.vector_env import AssignmentVectorEnv, ProblemVectorEnv
from offloadopt.envs.views import FieldView, View

__all__ = [
    "AgentsView",
    "AssignmentEnv",
    "AssignmentVectorEnv",
    "Episodes",
    "FieldView",
    "ProblemEnv",
    "ProblemParallelEnv",
    "ProblemVectorEnv",
    "ScoreView",
    "View",
]
