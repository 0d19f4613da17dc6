"""Table 3: an episode's delay and energy, and the mean utility, against the weight of time.

The published levels are shown for comparison; nothing is tuned towards them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.partial_mobile.setting import (
    DISCRETE,
    EXACT,
    GREEDY,
    GRID,
    LOCAL,
    PRETRAINED,
    RANDOM,
    RULES,
    STYLES,
    Setting,
    in_order,
    rows_by_method,
)
from offloadopt.reproduce.summary import summarised, values

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PUBLISHED: Mapping[str, tuple[float, ...]] = {
    "time_s": (369.0, 343.0, 337.0, 321.0, 308.0, 293.0, 277.0, 256.0, 245.0),
    "energy_j": (394.0, 412.0, 431.0, 441.0, 456.0, 464.0, 479.0, 488.0, 511.0),
    "utility": (0.528, 0.534, 0.544, 0.549, 0.554, 0.575, 0.578, 0.613, 0.628),
}
"""Table 3 at `WEIGHTS`."""
TRENDS = (
    ("time_s", "delay", -1.0, "falls"),
    ("energy_j", "energy", 1.0, "rises"),
    ("utility", "utility", 1.0, "rises"),
)
PANELS = (
    ("time_s", "delay of an episode, s"),
    ("energy_j", "energy of an episode, J"),
    ("utility", "mean utility"),
)
TOLERANCE = 0.05
"""A mean this close to the published one, relatively, counts as the same."""


def published(ax: Axes, number: str) -> None:
    """Draw the paper's values as hollow markers."""
    ax.plot(
        WEIGHTS, PUBLISHED[number],
        color=plots.VERMILION, marker="o", ms=6, mfc="none", ls="", zorder=4, label="as published",
    )  # fmt: skip


class WeightTable(Artefact):
    """Optimum, optimum on the paper's grid, rules and learners at nine weights of time."""

    name = "table-3"
    keys = ("weight", "method")
    judged = (EXACT, GRID, DISCRETE, PRETRAINED)

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """The optimum and rules, the grid, and the learners, at each weight."""
        found = []
        rules = {name: RULES[name] for name in (GREEDY, RANDOM, LOCAL)}
        for replicate in self.setting.replicates:
            for weight in self.setting.sizes.weights:
                scenario = self.setting.scenario(time_weight=weight)
                found.append(self.setting.optimum(replicate, scenario, weight=weight))
                found.append(self.setting.solvers(replicate, scenario, rules, weight=weight))
                found.append(self.setting.solvers(replicate, scenario, self.setting.grid(), weight=weight))
                if weight in self.setting.sizes.learned_weights:
                    found += self.setting.learned(replicate, scenario, weight=weight)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method."""
        for method, numbers in rows_by_method(unit, result):
            yield {"weight": unit.labels["weight"], "method": method, **numbers}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Three panels with the published values."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(len(PANELS))
        for ax, (number, label) in zip(axes, PANELS, strict=True):
            for method in in_order(summary["method"]):
                plots.series(ax, summary[summary["method"] == method], "weight", number, STYLES[method])
            published(ax, number)
            ax.set_xticks(WEIGHTS)
            plots.fit_to_means(ax)
            plots.finish(ax, "weight of time", label)
        plots.legend(figure, axes, columns=4)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Three trends and three levels, each for the optimum, the grid and the learner."""
        methods = [method for method in self.judged if method in set(frame["method"])]
        trends = [self._trend(frame, method, *trend) for trend in TRENDS for method in methods]
        return [*trends, *(self._level(frame, method) for method in methods)]

    def _trend(self, frame: pd.DataFrame, method: str, number: str, name: str, sign: float, verb: str) -> Claim:
        weights = sorted(set(frame[frame["method"] == method]["weight"]))
        found = [values(frame, number, method=method, weight=weight) for weight in weights]
        steps = [Interval.of(sign * (after - before)) for before, after in itertools.pairwise(found)]
        form = "{:.3f}" if number == "utility" else "{:.0f}"
        return Claim(
            f"The {name} {verb} with every step of the weight of time: {method}",
            "Table 3",
            at_weights(form, PUBLISHED[number], WEIGHTS),
            at_weights(form, [float(value.mean()) for value in found], weights),
            all_hold(step.above(0.0) for step in steps),
            f"the mean paired difference between neighbouring weights is {'below' if sign < 0 else 'above'} 0 at every "
            "step; false if one is not",
        )

    def _level(self, frame: pd.DataFrame, method: str) -> Claim:
        weights = sorted(set(frame[frame["method"] == method]["weight"]) & set(WEIGHTS))
        off = {
            number: [
                Interval.of(
                    values(frame, number, method=method, weight=weight) / PUBLISHED[number][WEIGHTS.index(weight)]
                )
                for weight in weights
            ]
            for number, *_ in TRENDS
        }
        return Claim(
            f"Delay, energy and utility are the published ones: {method}",
            "Table 3 (with what its text leaves open, the server's energy above all; nothing is tuned towards it)",
            "1 (ratio of ours to the published)",
            "; ".join(
                f"{name} {at_weights('{:.2f}', [ratio.mean for ratio in off[number]], weights)}"
                for number, name, *_ in TRENDS
            ),
            all_hold(ratio.within(1.0 - TOLERANCE, 1.0 + TOLERANCE) for ratios in off.values() for ratio in ratios),
            f"every mean ratio to the published value lies within {100 * TOLERANCE:g} % of 1",
        )


def at_weights(form: str, numbers: Sequence[float], weights: Sequence[float]) -> str:
    """Format numbers, with their weights unless these are all nine."""
    text = ", ".join(form.format(number) for number in np.asarray(numbers))
    return text if tuple(weights) == WEIGHTS else f"{text} at {', '.join(f'{weight:g}' for weight in weights)}"
