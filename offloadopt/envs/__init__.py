"""A Problem seen as an environment of Gymnasium, one episode at a time or many in step.

Nature is drawn in `Episodes`; a `View` says what an agent sees and how its actions are read; the environments join the
two: `ProblemEnv` and `AssignmentEnv` one by one, `ProblemVectorEnv` and `AssignmentVectorEnv` in batches.
"""

from offloadopt.envs.episodes import Episodes
from offloadopt.envs.many import AssignmentVectorEnv, ProblemVectorEnv
from offloadopt.envs.one import AssignmentEnv, ProblemEnv
from offloadopt.envs.scores import ScoreView
from offloadopt.envs.views import FieldView, View

__all__ = [
    "AssignmentEnv",
    "AssignmentVectorEnv",
    "Episodes",
    "FieldView",
    "ProblemEnv",
    "ProblemVectorEnv",
    "ScoreView",
    "View",
]
