"""Lévy steps, mutation, crossover and selection against the formulas, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray
from offloadopt.solvers.levy import (
    LevySettings,
    best_of,
    flight,
    h_mutation,
    levy_crossover,
    levy_steps,
    mantegna_scale,
    without_missing,
)


def test_mantegna_scale_has_the_published_values() -> None:
    # Mantegna (1994), table I, and by hand for beta = 1: Gamma(2) sin(pi/2) / (Gamma(1) 1 2^0) = 1.
    assert mantegna_scale(1.5) == pytest.approx(0.696575, abs=1e-6)
    assert mantegna_scale(1.0) == pytest.approx(1.0, rel=1e-15)
    # Gamma(1 + x) = x Gamma(x) and Gamma(x) Gamma(1 - x) = pi / sin(pi x), so the numerator is also
    # pi beta / Gamma(1 - beta) cos(pi beta / 2)^-1 / 2.
    beta = 0.7
    numerator = math.pi * beta / (2 * math.gamma(1 - beta) * math.cos(math.pi * beta / 2))
    denominator = math.gamma((1 + beta) / 2) * beta * 2 ** ((beta - 1) / 2)
    assert mantegna_scale(beta) == pytest.approx((numerator / denominator) ** (1 / beta), rel=1e-12)


def test_steps_follow_equation_20() -> None:
    steps = levy_steps(np.array([2.0, -1.0]), np.array([-4.0, 0.25]), 1.0)
    assert steps == pytest.approx([0.5, -4.0])  # sigma_u = 1 for beta = 1


def test_small_beta_takes_more_long_steps() -> None:
    u, v = np.random.default_rng(0).standard_normal((2, 200_000))
    tails = [np.mean(np.abs(levy_steps(u, v, beta)) > 10) for beta in (1.1, 1.5, 1.9)]
    # For beta = 1 the step is Cauchy with P(|s| > 10) = 1 - 2 atan(10) / pi.
    cauchy = np.mean(np.abs(levy_steps(u, v, 1.0)) > 10)
    assert cauchy == pytest.approx(1 - 2 * math.atan(10) / math.pi, rel=0.03)
    assert cauchy > tails[0] > tails[1] > tails[2]


def test_h_mutation_keeps_good_links() -> None:
    options, drawn = np.array([1, 2, 0, 1]), np.array([2, 0, 1, 0])
    quality, steps = np.array([1.0, 0.3, 0.0, 0.5]), np.array([1.9, -0.7, 0.1, 1.0])
    # Weight 0.5: 1 >= 0.95 keeps, 0.3 < 0.35 draws, 0 < 0.05 draws, 0.5 >= 0.5 keeps.
    assert h_mutation(options, drawn, quality, steps, 0.5).tolist() == [1, 0, 1, 1]


def test_crossover_takes_the_mutant_on_long_steps() -> None:
    options, mutant, steps = np.array([1, 1, 1]), np.array([2, 2, 2]), np.array([2.1, -2.1, 1.9])
    # Weight 0.25 and threshold 0.5: a step longer than 2 takes the mutant's option.
    assert levy_crossover(options, mutant, steps, 0.25, 0.5).tolist() == [2, 2, 1]


def test_the_flight_stays_within_limits() -> None:
    moved = flight(np.array([0.5, 0.5, 0.5]), np.array([1.0, 100.0, -100.0]), 0.1, 0.0, 2.0)
    assert moved == pytest.approx([0.6, 2.0, 0.0])


def test_missing_links_are_computed_locally() -> None:
    quality = np.array([[[0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]])
    assert without_missing(np.array([[[1, 1], [2, 2]]]), quality).tolist() == [[[1, 0], [0, 2]]]


def test_selection_keeps_what_costs_no_more_part_by_part_under_a_falling_weight() -> None:
    population = np.full((1, 2, 3), 5.0)
    weights: list[float] = []

    def propose(weight: float) -> tuple[FloatArray]:
        weights.append(weight)
        return (population + np.array([-1.0, 0.0, 1.0]),)

    cost = LevySettings(generations=4).select_greedily(lambda x: x.copy(), (population,), propose, Deadline())
    assert weights == [1.0, 0.75, 0.5, 0.25]
    assert cost.tolist() == population.tolist() == [[[1.0, 5.0, 5.0]] * 2]


def test_the_best_member_is_chosen_for_each_part() -> None:
    population = np.arange(12).reshape(1, 2, 3, 2)
    cost = np.array([[[0.0, 2.0, 1.0], [1.0, 1.0, 1.0]]])
    assert best_of(population, cost).tolist() == [[[0, 1], [8, 9], [4, 5]]]


def test_a_population_without_time_stays_as_it_is() -> None:
    population = np.ones((1, 1, 2))
    cost = LevySettings().select_greedily(
        lambda x: x.sum(axis=-1), (population,), lambda _: (0 * population,), Deadline(0.0)
    )
    assert cost.tolist() == [[2.0]]
