"""Levels of numbers in [0, 1]: Algorithm 2 and its inverse, against numbers computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.learners.ddpg_discrete.quantiser import Quantiser, levels_of


def mobile(**changes: Any) -> Any:
    return registry.problem("partial_mobile", **{"users": 3, "horizon": 4, **changes})


def test_the_floor_reaches_its_last_level_at_1_alone() -> None:
    shares = np.array([0.0, 0.2499, 0.25, 0.49, 0.5, 0.75, 0.999999, 1.0])
    assert levels_of(shares, 5, "floor").tolist() == [0, 0, 1, 1, 2, 3, 3, 4]
    assert levels_of(shares, 5, "round").tolist() == [0, 1, 1, 2, 2, 3, 4, 4]
    assert levels_of(np.array([-0.3, 1.2]), 5, "floor").tolist() == [0, 4]


def test_a_choice_has_as_many_levels_as_options_and_a_quantity_k() -> None:
    quantiser = Quantiser("round", 3, (None, 5))
    assert quantiser.levels == [3, 5]
    snapped = quantiser.quantise(np.array([[0.3, 0.3], [0.2, 0.9]]))
    np.testing.assert_allclose(snapped, [[0.5, 0.25], [0.0, 1.0]])


def test_without_encoding_quantities_stay_and_options_have_equal_parts() -> None:
    quantiser = Quantiser("none", 5, (None, 5))
    snapped = quantiser.quantise(np.array([[0.3, 0.19], [0.123, 0.21], [1.0, 0.99], [0.0, 1.0]]))
    np.testing.assert_allclose(snapped, [[0.3, 0.0], [0.123, 0.25], [1.0, 1.0], [0.0, 1.0]])


@pytest.mark.parametrize("encoding", ["floor", "round", "none"])
def test_what_is_aimed_at_becomes_the_level_that_was_wanted(encoding: Any) -> None:
    quantiser = Quantiser(encoding, 5, (None, 5))
    wanted = np.stack([np.linspace(0, 1, 5), np.linspace(0, 1, 5)[::-1]], axis=-1)
    aim = quantiser.imitation_targets(wanted)
    np.testing.assert_allclose(quantiser.quantise(aim), wanted)
    if encoding != "none":
        for off in (-0.1, 0.1):  # and stays it within almost half a level, but for the floor's last one
            inside = np.clip(aim + off, 0.0, 1.0)
            ok = (aim < 1.0) | (off > 0) if encoding == "floor" else np.ones(aim.shape, bool)
            np.testing.assert_allclose(quantiser.quantise(inside)[ok], wanted[ok])
    assert np.isnan(quantiser.imitation_targets(np.array([[0.5, np.nan]]))[0, 1])


@pytest.mark.parametrize("encoding", ["floor", "round", "none"])
def test_whatever_an_actor_says_is_feasible_and_on_its_levels(encoding: Any) -> None:
    problem = mobile(users=6)
    quantiser = Quantiser(encoding, 5, problem.choices)
    coordinates = quantiser.quantise(np.random.default_rng(0).random((50, 6, 3)))
    decisions = problem.check_decisions(
        {name: np.repeat(values[:, None], 4, axis=1) for name, values in problem.decode(coordinates).items()}, 50
    )
    away = decisions["server"] > 0
    assert ((decisions["cpu_hz"] > 0) == away).all()
    levels = 4 * decisions["cpu_hz"] / problem.scenario.cpu_server_hz
    assert (levels == np.rint(levels)).all() == (encoding != "none")


def test_a_small_share_is_imitated_by_the_lowest_level_that_is_not_none() -> None:
    quantiser = Quantiser("round", 5, [None, 3])
    wanted = np.array([[0.0, 0.0], [0.02, 0.1], [0.3, 0.5], [1.0, 1.0]])
    np.testing.assert_allclose(quantiser.imitation_targets(wanted), [[0.0, 0.0], [0.25, 0.0], [0.25, 0.5], [1.0, 1.0]])
