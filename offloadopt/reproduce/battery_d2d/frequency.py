"""Fig. 4: frequency modes chosen for each task (DVFS) against processors that always run at full speed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.battery_d2d import bars
from offloadopt.reproduce.battery_d2d.setting import (
    GREEDY,
    QUEUE,
    RMAPPO,
    RULES,
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

DVFS, FIXED = "DVFS", "full speed"


class FrequencyFigure(Artefact):
    """rMAPPO and two rules with and without frequency modes."""

    name = "dvfs"
    keys = ("preset", "frequency", "method")
    rules = (GREEDY, QUEUE)

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """The rules and rMAPPO with and without DVFS; with DVFS the trainings are those of the other figures."""
        found, sizes = [], self.setting.sizes
        rules = {name: RULES[name] for name in self.rules}
        for replicate in self.setting.replicates:
            for preset in sizes.presets:
                point = Point(preset)
                fixed = self.setting.at(point) | {"dvfs": False}
                for scenario in (self.setting.at(point), fixed):
                    found.append(self.setting.solvers(replicate, scenario, rules, preset=preset))
                if RMAPPO in sizes.steps:
                    shown = self.setting.shown(replicate, preset)
                    found += [unit for unit in shown if unit.labels["method"] == RMAPPO]
                    test = self.setting.test(replicate, fixed, point.name)
                    steps = sizes.steps[RMAPPO]
                    found.append(self.setting.training(replicate, fixed, RMAPPO, steps, [test], preset=preset))
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method and setting, at the common point."""
        preset = unit.labels["preset"]
        common = self.setting.at(Point(preset))
        for scenario, method, numbers in rows_by_method(unit, result):
            if scenario | {"dvfs": True} == common:
                yield {
                    "preset": preset,
                    "frequency": DVFS if scenario["dvfs"] else FIXED,
                    "method": method,
                    **numbers,
                }

    def draw(self, frame: pd.DataFrame) -> Figure:
        """The cost and its terms, and the delays beside the energy, below each other; a row for each setting."""
        summary = summarised(frame, self.keys)
        presets = [preset for preset in self.setting.sizes.presets if preset in set(frame["preset"])]
        figure, axes = plots.panels(3, len(presets))
        for place, preset in enumerate(presets):
            chosen = summary[summary["preset"] == preset]
            rows = [
                (f"{method}, {frequency}", row)
                for method in in_order(chosen["method"])
                for frequency in (DVFS, FIXED)
                for _, row in bars.rows_of(chosen[chosen["frequency"] == frequency], [method])
            ]
            bars.draw_terms(axes[3 * place : 3 * place + 3], rows, preset)
        plots.legend(figure, axes, columns=7)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Whether DVFS lowers the total cost of each method."""
        return [
            self._better(frame[frame["preset"] == preset], preset, method)
            for preset in self.setting.sizes.presets
            for method in in_order(frame[frame["preset"] == preset]["method"])
        ]

    def _better(self, frame: pd.DataFrame, preset: str, method: str) -> Claim:
        def of(number: str, frequency: str) -> Interval:
            return Interval.of(values(frame, number, method=method, frequency=frequency))

        costs = [values(frame, "cost", method=method, frequency=frequency) for frequency in (DVFS, FIXED)]
        ratio = Interval.of(costs[0] / costs[1])
        numbers = (("failed", 100, "% failed"), ("finished_j", 1, "J a finished task"), ("delay_3_s", 1, "s of kind 3"))
        beside = "; ".join(
            f"{of(number, DVFS).mean * scale:.3g} against {of(number, FIXED).mean * scale:.3g} {name}"
            for number, scale, name in numbers
        )
        return Claim(
            f"DVFS costs less than a fixed frequency in all: {method} ({preset})",
            "Fig. 4, Section IV",
            "balances delay and energy (no numbers)" if method == RMAPPO else "- (the paper's method is rMAPPO)",
            f"{ratio.text()} times the cost; {beside}",
            all_hold([ratio.below(1.0)]),
            "the mean ratio of costs is below 1",
        )
