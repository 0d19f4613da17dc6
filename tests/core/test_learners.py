"""Budgets are positive; a learner says which demonstrations and problems it refuses."""

from __future__ import annotations

import pytest

from offloadopt.core import Budget
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario

from toys.plugin import ThresholdSearch


class Pupil(ThresholdSearch):
    uses_demonstrations = True
    needs_demonstrations = True


def test_a_budget_is_positive_and_ends() -> None:
    assert Budget(steps=1, seconds=0.5) == Budget(1, 0.5)
    with pytest.raises(InvalidInput, match="budget steps = 0; allowed: greater than 0"):
        Budget(steps=0)
    with pytest.raises(InvalidInput, match="budget seconds = nan; allowed: greater than 0"):
        Budget(seconds=float("nan"))
    with pytest.raises(InvalidInput, match=r"budget steps = 10{20,}.*; allowed: greater than 0, at most 1e\+12"):
        Budget(steps=10**400)


def test_demonstrations_are_refused_or_required() -> None:
    Pupil().check_demonstrations(True)
    ThresholdSearch().check_demonstrations(False)
    with pytest.raises(Unsupported, match="'threshold-search' does not use demonstrations"):
        ThresholdSearch().check_demonstrations(True)
    with pytest.raises(InvalidInput, match="learns from demonstrations; none were given"):
        Pupil().check_demonstrations(False)


def test_a_learner_refuses_a_problem_without_its_structure() -> None:
    with pytest.raises(Unsupported, match="learner 'threshold-search' does not serve problem 'multi_server'"):
        ThresholdSearch().require(MultiServer(MultiServerScenario(users=2, servers=1)))
