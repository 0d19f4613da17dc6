"""offloadopt: task offloading in mobile edge computing, solved with proof, demonstrated, learned and compared.

>>> import offloadopt
>>> problem = offloadopt.problem("multi_server", users=10)
>>> print(offloadopt.solve(problem, problem.sample(1, seed=0)))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from offloadopt.version import __version__ as __version__

if TYPE_CHECKING:
    from offloadopt.api import available as available
    from offloadopt.api import certify as certify
    from offloadopt.api import collect as collect
    from offloadopt.api import compare as compare
    from offloadopt.api import load_instances as load_instances
    from offloadopt.api import load_policy as load_policy
    from offloadopt.api import solve as solve
    from offloadopt.api import train as train
    from offloadopt.core import Budget as Budget
    from offloadopt.core import Decisions as Decisions
    from offloadopt.core import Instances as Instances
    from offloadopt.core import Learner as Learner
    from offloadopt.core import Policy as Policy
    from offloadopt.core import Problem as Problem
    from offloadopt.core import Scenario as Scenario
    from offloadopt.core import Solutions as Solutions
    from offloadopt.core import Solver as Solver
    from offloadopt.core import Status as Status
    from offloadopt.evaluation.report import Report as Report
    from offloadopt.registry import learner as learner
    from offloadopt.registry import problem as problem
    from offloadopt.registry import solver as solver

_CORE = (
    "Budget",
    "Decisions",
    "Instances",
    "Learner",
    "Policy",
    "Problem",
    "Scenario",
    "Solutions",
    "Solver",
    "Status",
)
_FOUND_IN = {
    **dict.fromkeys(
        ("available", "certify", "collect", "compare", "load_instances", "load_policy", "solve", "train"),
        "offloadopt.api",
    ),
    **dict.fromkeys(("learner", "problem", "solver"), "offloadopt.registry"),
    **dict.fromkeys(_CORE, "offloadopt.core"),
    "Report": "offloadopt.evaluation.report",
}
_ROOMS = ("datasets", "envs", "evaluation", "learners", "own_instances", "problems", "solvers", "testing", "traces")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import offloadopt`` stays light."""
    if name in _FOUND_IN:
        found = getattr(import_module(_FOUND_IN[name]), name)
    elif name in _ROOMS:
        found = import_module(f"offloadopt.{name}")
    else:
        raise AttributeError(f"module 'offloadopt' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*_FOUND_IN, *_ROOMS, "__version__"])
