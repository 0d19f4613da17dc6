"""Parts of each method's cost: the four terms, failures, drops, delays, energy, ageing and battery life."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.battery_d2d import bars
from offloadopt.reproduce.battery_d2d.setting import (
    GREEDY,
    LEARNERS,
    OED,
    OMD,
    QUEUE,
    RANDOM,
    RMAPPO,
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

ENOUGH = 0.1
"""Share by which rMAPPO must be cheaper than random, OED and OMD."""


class TermsTable(Artefact):
    """All numbers of all methods at the common point, with the battery life that their ageing rate gives."""

    name = "terms"
    keys = ("preset", "method")

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """The rules and all trainings at the common point."""
        found = []
        for replicate in self.setting.replicates:
            for preset in self.setting.sizes.presets:
                found.append(self.setting.solvers(replicate, self.setting.at(Point(preset)), preset=preset))
                found += self.setting.shown(replicate, preset)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method."""
        preset = unit.labels["preset"]
        common = self.setting.at(Point(preset))
        for scenario, method, numbers in rows_by_method(unit, result):
            if scenario == common:
                yield {"preset": preset, "method": method, **numbers}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Terms, delays and energy, and the battery life."""
        summary = summarised(frame, self.keys)
        presets = [preset for preset in self.setting.sizes.presets if preset in set(frame["preset"])]
        figure, axes = plots.panels(4, len(presets))
        for place, preset in enumerate(presets):
            chosen = summary[summary["preset"] == preset]
            rows = bars.rows_of(chosen, in_order(chosen["method"]))
            *three, life = axes[4 * place : 4 * place + 4]
            bars.draw_terms(three, rows, preset)
            bars.draw_bars(life, rows, "worn_years")
            bars.label_rows(life, rows, first=False)
            plots.finish(life, "years until 20 % of the capacity are lost", "")
        plots.legend(figure, axes, columns=7)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Criteria of our own: rMAPPO against simple rules, other learners, and rules that use the observation."""
        found = []
        for preset in self.setting.sizes.presets:
            chosen = frame[frame["preset"] == preset]
            methods = in_order(chosen["method"])
            if RMAPPO in methods:
                others = [method for method in methods if method in LEARNERS and method != RMAPPO]
                simple = f"rMAPPO costs at least {100 * ENOUGH:g} % less than random, OED and OMD"
                found.append(self._cheaper(chosen, preset, simple, (RANDOM, OED, OMD), 1.0 - ENOUGH))
                if others:
                    found.append(self._cheaper(chosen, preset, "rMAPPO costs less than all other learners", others))
                look = "rMAPPO costs less than the greedy rule and than energy queues"
                found.append(self._cheaper(chosen, preset, look, (GREEDY, QUEUE)))
        return found

    def _cheaper(
        self, frame: pd.DataFrame, preset: str, claim: str, rivals: Sequence[str], limit: float = 1.0
    ) -> Claim:
        ours = values(frame, "cost", method=RMAPPO)
        ratios = {rival: Interval.of(ours / values(frame, "cost", method=rival)) for rival in rivals}
        measured = ", ".join(f"{ratio.text()} of {rival}'s" for rival, ratio in ratios.items())
        return Claim(
            f"{claim} (our own yardstick; {preset})",
            "not in the paper",
            "-",
            f"rMAPPO's cost is {measured}",
            all_hold(ratio.below(limit) for ratio in ratios.values()),
            f"the mean ratio of costs is below {limit:g} for each of them",
        )
