"""Scores as decisions: DIRS's vote on another scale, always feasible, never for a link that is not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Instances
from offloadopt.envs.score_view import VIEW_LIMIT, ScoreView, vote
from offloadopt.errors import InvalidInput


@pytest.fixture(scope="module")
def problem() -> Any:
    return registry.problem("multi_server", "heterogeneous", users=6, servers=3)


@pytest.fixture(scope="module")
def view(problem: Any) -> ScoreView:
    return ScoreView.of(problem)


def test_the_vote_takes_the_largest_score_from_zero_upwards() -> None:
    server_1 = [0.9, -0.1, 0.0, -1.0, 0.2]
    server_2 = [0.3, -0.2, -0.5, 0.4, 0.2]
    assert vote(np.array([[server_1, server_2]])).tolist() == [[1, 0, 1, 2, 1]]


def test_the_vote_is_that_of_probabilities(problem: Any) -> None:
    """`ensemble.vote` reads (1 + score) / 2; sixteenths keep both scales exact."""
    from offloadopt.learners.dirs import ensemble

    score = np.random.default_rng(0).integers(-16, 17, size=(500, 3, 6)) / 16
    assert np.array_equal(vote(score), ensemble.vote((1 + score) / 2))


def test_every_action_is_a_feasible_decision_that_costs_what_its_assignment_costs(
    problem: Any, view: ScoreView
) -> None:
    instances = problem.sample(200, 1)
    score = np.random.default_rng(1).uniform(-1, 1, size=(200, 3, 6))
    outcome = problem.evaluate(instances, view.decode(instances, score))
    assert outcome.feasible.all()
    np.testing.assert_allclose(outcome.cost, problem.costs(instances).cost(vote(score)), rtol=1e-9)
    decided = view.decode(instances, score)
    again = view.decode(instances, view.encode(instances, decided))
    assert all(np.array_equal(again[name], decided[name]) for name in decided)


def test_a_link_that_is_not_there_is_never_chosen(problem: Any, view: ScoreView) -> None:
    instances = problem.sample(1, 2)
    gain = instances["gain"].copy()
    gain[0, 0] = 0.0
    gain[0, 1, 2] = 0.0
    score = np.full((1, 3, 6), 0.5)
    score[0, 2] = 1.0
    decided = view.decode(Instances({**instances, "gain": gain}), score)
    assert decided["server"][0].tolist() == [0, 1, 3, 3, 3, 3]
    assert (view.observe(Instances({**instances, "gain": gain})) >= -VIEW_LIMIT).all()


def test_observations_are_of_order_one_on_nature_not_used_for_the_statistics(problem: Any, view: ScoreView) -> None:
    seen = view.observe(problem.sample(2000, 3))
    assert seen.shape == (2000, 18)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen.mean(axis=0), 0.0, atol=0.15)
    np.testing.assert_allclose(seen.std(axis=0), 1.0, atol=0.15)
    assert np.abs(seen).max() <= VIEW_LIMIT


def test_observations_are_the_gains_in_decibels_server_by_server(problem: Any, view: ScoreView) -> None:
    instances = problem.sample(3, 4)
    decibels = 10 * np.log10(instances["gain"])
    for server in range(3):
        expected = (decibels[:, :, server] - view.center[server]) / view.scale[server]
        np.testing.assert_allclose(
            view.observe(instances)[:, 6 * server : 6 * server + 6], expected.clip(-5, 5), rtol=1e-5
        )


def test_the_statistics_are_the_same_every_time(problem: Any, view: ScoreView) -> None:
    again = ScoreView.of(problem)
    assert again.center.tobytes() == view.center.tobytes()
    assert again.scale.tobytes() == view.scale.tobytes()


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (np.full((2, 3, 6), 1.5), r"score holds 1.5; allowed: -1 to 1"),
        (np.full((2, 3, 6), np.nan), r"score holds NaN"),
        (np.zeros((2, 6, 3)), r"score has shape \[2, 6, 3\]; allowed: \[count, 3, 6\]"),
        (np.zeros((3, 3, 6)), r"actions for 3 instances; allowed: 2"),
    ],
)
def test_wrong_scores_are_refused(problem: Any, view: ScoreView, score: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        view.decode(problem.sample(2, 0), score)
