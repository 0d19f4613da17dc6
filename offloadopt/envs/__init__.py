"""Reinforcement-learning environments of any problem: single, batched, and multi-agent.

`Episodes` samples instances and steps them; a `View` translates observations and actions; an environment joins the two:

================================================  ====================================================================
`ProblemEnv`, `ProblemVectorEnv`                  Gymnasium's `Env` and `VectorEnv` (batched) of any problem and view
`ProblemParallelEnv`                              PettingZoo's `ParallelEnv` of an `AgentProblem`
`FieldView`                                       the problem's own arrays as dictionaries; the default
`ScoreView` (`AssignmentEnv`,                     flat vectors: all servers' measurements as observation, a score for
`AssignmentVectorEnv`)                            each link as action
`AgentsView`                                      flat vectors: all agents' observations, all agents' decisions
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
