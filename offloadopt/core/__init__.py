"""The contracts of problems, decisions, solutions and methods.

Every array leads with the instance axis ``[count, ...]``; where a problem has a horizon the slot axis comes second,
``[count, horizon, ...]``. One-shot problems have ``horizon == 1`` and carry no slot axis. The arrays themselves and the
parameters stand in `offloadopt.arrays` and `offloadopt.settings`; both can be imported from here.
"""

from offloadopt.arrays import ArrayField, Batch, Decisions, FloatArray, Instances, IntArray, Observation
from offloadopt.core.learners import LONGEST_BUDGET, Budget, Demonstrations, Learner, Record
from offloadopt.core.methods import Method, Policy, Progress, Solver, rollout
from offloadopt.core.problem import FEASIBILITY_TOLERANCE, Outcome, Problem, ScenarioT, State
from offloadopt.core.solutions import ROUNDING, Interrupted, Solutions, Status, relative_gap
from offloadopt.core.tables import Table
from offloadopt.settings import Scenario, Settings

__all__ = [
    "FEASIBILITY_TOLERANCE",
    "LONGEST_BUDGET",
    "ROUNDING",
    "ArrayField",
    "Batch",
    "Budget",
    "Decisions",
    "Demonstrations",
    "FloatArray",
    "Instances",
    "IntArray",
    "Interrupted",
    "Learner",
    "Method",
    "Observation",
    "Outcome",
    "Policy",
    "Problem",
    "Progress",
    "Record",
    "Scenario",
    "ScenarioT",
    "Settings",
    "Solutions",
    "Solver",
    "State",
    "Status",
    "Table",
    "relative_gap",
    "rollout",
]
