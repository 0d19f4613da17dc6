"""Measurements behind the tables and figures: what is averaged and kept of trainings, and the fit of a coefficient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from offloadopt.core import FloatArray, Instances, Solutions, Solver
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.reproduce.measurements import Measurements
from offloadopt.reproduce.partial_mobile.rules import RULES
from offloadopt.reproduce.training import Json

PAPER_SLOTS, PAPER_USERS = 40, 10
"""An episode of Table 3."""
LAST_EPISODES = 100
"""Episodes at the end of training over which a learner's stability is measured; a quarter of a short training's."""
POINTS = 40
"""Points of a training curve; replicates are averaged over the same intervals of steps."""


class PartialMobileMeasurements(Measurements):
    """Episodes of `partial_mobile`."""

    problem = "partial_mobile"

    def solver(self, problem: PartialMobile, name: str, options: Mapping[str, Any]) -> Solver:
        """One of this paper's rules, or a registered solver."""
        return RULES[name](**options) if name in RULES else super().solver(problem, name, options)

    def averages(self, problem: PartialMobile, instances: Instances, solutions: Solutions) -> Json:
        """Means over instances: an episode's delay and energy, utility and overload by slot; cost by user and slot.

        ``bound`` is the proved lower bound of the cost where there is one.
        """
        outcome = problem.evaluate(instances, solutions.decisions)
        share = problem.horizon * problem.num_agents
        found = {name: float(values.mean()) for name, values in outcome.metrics.items()}
        found["cost"] = float(outcome.cost.mean()) / share
        bound = float(solutions.bound.mean()) / share
        return found if np.isinf(bound) else {**found, "bound": bound}

    def learning(self, problem: PartialMobile, learner: Mapping[str, Any], curve: Sequence[Json]) -> Json:
        """Utility minus penalty per user and slot: its ``curve``, and the ``spread`` of the last episodes."""
        measured = [(point["step"], 1.0 - point["episode/cost"]) for point in curve if "episode/cost" in point]
        return summarise_curve(measured, problem.horizon * int(learner["settings"]["num_envs"]))


MEASURE = PartialMobileMeasurements()


def fit_kappa(
    scenario: Mapping[str, Any],
    solver: Json,
    published: Sequence[Mapping[str, float]],
    slots: int,
    seed: int,
    exponents: Sequence[float],
    refinements: int,
) -> Json:
    """Fit the server's energy coefficient so that a solver's delay and energy are closest to a table.

    Parameters
    ----------
    solver : mapping
        ``name`` and ``options``.
    published : sequence of mapping
        The table: ``weight``, ``time_s`` and ``energy_j`` of an episode.
    slots : int
        Slots drawn independently, the same for all coefficients; their means are scaled to the paper's episodes.
    exponents : sequence of float
        Decimal logarithms of the coefficients that are tried first, ascending.
    refinements : int
        Coefficients tried between the neighbours of the best of them.
    """

    def at(exponent: float) -> Json:
        rows = []
        for row in published:
            slot = {**scenario, "kappa_server": 10.0**exponent, "time_weight": row["weight"], "horizon": 1}
            found = MEASURE.apply_solvers(slot, {"solver": solver}, slots, seed)["solver"]
            scale = PAPER_SLOTS * PAPER_USERS / scenario["users"]
            rows.append(
                {
                    "weight": row["weight"],
                    "time_s": scale * found["time_s"],
                    "energy_j": scale * found["energy_j"],
                    "utility": found["utility"],
                }
            )
        return {"kappa": 10.0**exponent, "residual": residual(rows, published), "rows": rows}

    tried = {exponent: at(exponent) for exponent in exponents}
    best = min(tried, key=lambda exponent: tried[exponent]["residual"])
    place = list(exponents).index(best)
    low, high = exponents[max(place - 1, 0)], exponents[min(place + 1, len(exponents) - 1)]
    points = [*tried.values(), *golden_section(at, low, high, refinements)]
    return {"tried": points, "fit": min(points, key=lambda point: float(point["residual"]))}


def residual(rows: Sequence[Mapping[str, float]], published: Sequence[Mapping[str, float]]) -> float:
    """Root mean square of the relative errors of delay and energy, over all weights."""
    errors = [
        row[number] / paper[number] - 1.0
        for row, paper in zip(rows, published, strict=True)
        for number in ("time_s", "energy_j")
    ]
    return float(np.sqrt(np.mean(np.square(errors))))


def golden_section(at: Callable[[float], Json], low: float, high: float, steps: int) -> list[Json]:
    """Minimise the residual by golden-section search; returns all evaluated points."""
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    points: dict[float, Json] = {}
    for _ in range(steps):
        inner = (high - ratio * (high - low), low + ratio * (high - low))
        # Of the two, one was tried in the step before, up to rounding.
        left, right = (next((known for known in points if abs(known - x) < 1e-9), x) for x in inner)
        for x in (left, right):
            if x not in points:
                points[x] = at(x)
        if points[left]["residual"] <= points[right]["residual"]:
            high = right
        else:
            low = left
    return list(points.values())


def summarise_curve(measured: Sequence[tuple[int, float]], episode: int) -> Json:
    """Means of a training curve over `POINTS` equal intervals, and the deviation of its last episodes.

    Parameters
    ----------
    measured : sequence of (step, gain)
        Slots decided so far, and the mean gain over the latest ones.
    episode : int
        Slots of an episode, in all environments side by side: their mean counts as one.
    """
    if not measured:
        return {"curve": [], "spread": None}
    steps, gains = (np.array(column, dtype=np.float64) for column in zip(*measured, strict=True))
    last = float(steps[-1])
    stretches = group_means(np.ceil(steps * POINTS / last), gains)
    episodes = [gain for _, gain in group_means(np.ceil(steps / episode), gains)]
    kept = max(1, min(LAST_EPISODES, len(episodes) // 4))
    return {
        "curve": [{"step": number * last / POINTS, "gain": gain} for number, gain in stretches],
        "spread": float(np.std(episodes[-kept:])),
    }


def group_means(groups: FloatArray, numbers: FloatArray) -> list[tuple[float, float]]:
    """Mean of the numbers in each group, in ascending order of the groups."""
    names, place = np.unique(groups, return_inverse=True)
    means = np.bincount(place, weights=numbers) / np.bincount(place)
    return list(zip(names.tolist(), means.tolist(), strict=True))
