"""Conformance kits: checks of the contracts of problems, solvers and learners, built in or from plugins.

A plugin's own test is one line, on a scenario small enough to be quick::

    def test_my_problem_conforms():
        check_problem(MyProblem(MyScenario(users=5, servers=2)))

The first broken clause of the contract (``offloadopt.core``, ``offloadopt.structures``) is named in one line.
"""

from offloadopt.testing.clauses import ConformanceError
from offloadopt.testing.methods import check_learner, check_solver
from offloadopt.testing.problems import check_problem

__all__ = ["ConformanceError", "check_learner", "check_problem", "check_solver"]
