"""Fig. 2 and Fig. 3: the fleet's cost against the capacity of its batteries, and against the quantity of its tasks.

Capacities begin at 400 J and end where they no longer matter. A smaller battery ages so much by a single task (its
level falls by more) that below about 360 J failing on purpose is cheaper than the most expensive execution; batteries
of several kJ are never empty within an episode of 50 tasks of 10 J each, so methods would differ by ageing alone.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.battery_d2d.setting import (
    CAPACITY_J,
    CHANCE,
    MADDPG,
    PAPER_METHODS,
    RMAPPO,
    STYLES,
    Point,
    Setting,
    in_order,
    rows_by_method,
)
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.summary import summarised, values

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class SweepFigure(Artefact):
    """All methods on the same held-out instances at every point of one axis."""

    figure: ClassVar[str]
    """Of the paper."""
    axis: ClassVar[str]
    """Column, field of the scenario, and the field's unit in text and picture."""
    unit: ClassVar[str]
    label: ClassVar[str]
    sign: ClassVar[float]
    """1 where the cost is said to rise along the axis, -1 where it is said to fall."""
    trend: ClassVar[str]
    """Trend of the cost along the axis and name of a point, for the wording of claims."""
    point_name: ClassVar[str]
    logarithmic: ClassVar[bool] = False

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @abstractmethod
    def points(self, preset: str) -> list[Point]:
        """Points of this figure."""

    @abstractmethod
    def belongs(self, capacity_j: float, chance: float) -> bool:
        """Whether a point belongs to the figure."""

    def plan(self) -> Sequence[Unit]:
        """The rules at each point, and all trainings for these points."""
        found = []
        for replicate in self.setting.replicates:
            for preset in self.setting.sizes.presets:
                points = self.points(preset)
                for point in points:
                    found.append(self.setting.solvers(replicate, self.setting.at(point), preset=preset))
                names = {point.name for point in points}
                for unit in self.setting.learned(replicate, preset):
                    if not names.isdisjoint(test["name"] for test in unit.parameters["tests"]):
                        found.append(unit)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method and point."""
        for scenario, method, numbers in rows_by_method(unit, result):
            if self.belongs(scenario["battery_j"], scenario["task_chance"]):
                yield {"preset": unit.labels["preset"], self.axis: scenario[self.axis], "method": method, **numbers}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw the cost of an episode and the share of failed tasks; a row of panels for each preset."""
        summary = summarised(frame, self.keys)
        presets = [preset for preset in self.setting.sizes.presets if preset in set(frame["preset"])]
        figure, axes = plots.panels(2, len(presets))
        panels = [
            (preset, *panel)
            for preset in presets
            for panel in (("cost", 1.0, "cost of an episode"), ("failed", 100.0, "failed tasks, %"))
        ]
        for ax, (preset, number, scale, label) in zip(axes, panels, strict=True):
            chosen = plots.hide_wide_bands(summary[summary["preset"] == preset], [number])
            for method in in_order(chosen["method"]):
                plots.series(ax, chosen[chosen["method"] == method], self.axis, number, STYLES[method], scale)
            ticks = sorted(set(chosen[self.axis]))
            if number == "cost":
                means = chosen[number]  # a band may end below 0, where there is no logarithm
                ax.set_ylim(0.7 * means.min(), 1.4 * means.max())
                plots.logarithmic(ax, "y")
            else:
                plots.fit_to_means(ax, -2.0)
            if self.logarithmic:
                plots.logarithmic(ax, "x")
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            plots.finish(ax, self.label, label, preset)
        plots.legend(figure, axes, columns=6)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """The trends of rMAPPO and of all methods, and the best method, for each preset."""
        found = []
        for preset in self.setting.sizes.presets:
            chosen = frame[frame["preset"] == preset]
            methods = in_order(chosen["method"])
            found.append(self._trend(chosen, preset, methods, "every method"))
            if RMAPPO in methods:
                found.insert(-1, self._trend(chosen, preset, [RMAPPO], RMAPPO))
                rivals = [rival for rival in PAPER_METHODS if rival in methods]
                found.append(self._best(chosen, preset, rivals))
        return found

    def _at(self, frame: pd.DataFrame, method: str) -> list[float]:
        return sorted(set(frame[frame["method"] == method][self.axis]))

    def _trend(self, frame: pd.DataFrame, preset: str, methods: Sequence[str], subject: str) -> Claim:
        verdicts, measured = [], []
        for method in methods:
            at = self._at(frame, method)
            costs = [values(frame, "cost", method=method, **{self.axis: place}) for place in at]
            steps = [Interval.of(self.sign * (b - a)) for a, b in itertools.pairwise(costs)]
            verdicts += [step.above(0.0) for step in steps]
            measured.append(f"{method} {', '.join(f'{cost.mean():.0f}' for cost in costs)}")
        places = ", ".join(f"{place:g}" for place in sorted(set(frame[self.axis])))
        return Claim(
            f"Costs {self.trend}: {subject} ({preset})",
            f"{self.figure}, Section IV",
            "shrinking total costs (no numbers)",
            f"at {places}{self.unit}: {'; '.join(measured)}",
            all_hold(verdicts),
            f"the mean paired difference between neighbouring points is {'above' if self.sign > 0 else 'below'} 0 at "
            "every step; false if one is not",
        )

    def _best(self, frame: pd.DataFrame, preset: str, rivals: Sequence[str]) -> Claim:
        verdicts, measured = cost_ratios(frame, self.axis, rivals)
        return Claim(
            f"rMAPPO has the lowest cost of the paper's methods at every {self.point_name} ({preset})",
            f"{self.figure}, Section IV",
            "always possesses the best outcome (no numbers)",
            measured,
            all_hold(verdicts),
            "the mean ratio of rMAPPO's cost to each other method's is below 1 at every point; false if one is not",
        )


def cost_ratios(frame: pd.DataFrame, axis: str, rivals: Sequence[str]) -> tuple[list[bool | None], str]:
    """Verdicts that rMAPPO costs less than each rival at each point, and the paired cost ratios as text."""
    verdicts, measured = [], []
    for rival in rivals:
        ratios = {}
        for place in sorted(set(frame[frame["method"] == rival][axis])):
            ours, theirs = (values(frame, "cost", method=method, **{axis: place}) for method in (RMAPPO, rival))
            ratios[place] = Interval.of(ours / theirs)
        verdicts += [ratio.below(1.0) for ratio in ratios.values()]
        measured.append(f"/ {rival}: " + ", ".join(f"{ratio.text()} at {place:g}" for place, ratio in ratios.items()))
    return verdicts, f"{RMAPPO} {'; '.join(measured)}"


class CapacityFigure(SweepFigure):
    """Fig. 2: larger batteries."""

    name = "capacity"
    keys = ("preset", "battery_j", "method")
    figure, axis, unit, label, sign = "Fig. 2", "battery_j", " J", "capacity of a battery, J", -1.0
    trend, point_name = "fall with every step of the batteries' capacity", "capacity"
    logarithmic = True

    def points(self, preset: str) -> list[Point]:
        """With the usual chance of a task."""
        return [Point(preset, capacity_j=capacity) for capacity in self.setting.sizes.capacities_j]

    def belongs(self, capacity_j: float, chance: float) -> bool:
        """With the usual chance of a task."""
        return chance == CHANCE and capacity_j in self.setting.sizes.capacities_j


class TasksFigure(SweepFigure):
    """Fig. 3: more tasks; the paper compares with MADDPG there."""

    name = "tasks"
    keys = ("preset", "task_chance", "method")
    figure, axis, unit, label, sign = "Fig. 3", "task_chance", "", "chance of a task, of each device and slot", 1.0
    trend, point_name = "fall with every step to fewer tasks", "quantity of tasks"

    def points(self, preset: str) -> list[Point]:
        """With the usual capacity."""
        return [Point(preset, chance=chance) for chance in self.setting.sizes.chances]

    def belongs(self, capacity_j: float, chance: float) -> bool:
        """With the usual capacity."""
        return capacity_j == CAPACITY_J and chance in self.setting.sizes.chances

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """The claims of Fig. 2, and the comparison with MADDPG alone."""
        found = list(super().claims(frame))
        for preset in self.setting.sizes.presets:
            chosen = frame[frame["preset"] == preset]
            if {RMAPPO, MADDPG} <= set(chosen["method"]):
                verdicts, measured = cost_ratios(chosen, self.axis, [MADDPG])
                found.append(
                    Claim(
                        f"rMAPPO outperforms MADDPG ({preset})",
                        "Fig. 3, Section IV",
                        "finally outperforms (no numbers)",
                        measured,
                        all_hold(verdicts),
                        "the mean ratio of costs is below 1 at every quantity of tasks; false if one is not",
                    )
                )
        return found
