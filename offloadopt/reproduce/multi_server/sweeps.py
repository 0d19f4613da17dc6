"""Figures 9 and 10: time and energy of DIRS and of the simple rules by the number of users and of servers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.multi_server.setting import AS_TRAINED, DIRS, RULES, Setting
from offloadopt.reproduce.summary import summarised, values

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

STYLES = {
    "local": plots.Style("Local", plots.GREY, "-.", "D"),
    "random": plots.Style("Random", plots.GREEN, "-.", "v"),
    "greedy": plots.Style("Greedy", plots.ORANGE, "-.", "^"),
    DIRS: plots.Style("DIRS", plots.BLUE, "-", "o"),
    measurements.OPTIMUM: plots.Style("certified optimum", plots.BLACK, "--"),
}
METRICS = {"time_s": ("time", "s"), "energy_j": ("energy", "J")}


class Sweep(Artefact):
    """A policy of its own is trained for every point; all methods decide the same held-out instances."""

    field: ClassVar[str]
    axis: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, setting: Setting, points: Sequence[int]) -> None:
        self.setting = setting
        self.points = points

    def plan(self) -> Sequence[Unit]:
        """The rules and a training for each point and replicate."""
        found = []
        for replicate in self.setting.replicates:
            for point in self.points:
                size: dict[str, Any] = {self.field: point}
                scenario = self.setting.scenario(replicate, **size)
                for unit in (self.setting.rules(replicate, scenario), self.setting.learned(DIRS, replicate, scenario)):
                    found.append(Unit(unit.function, unit.parameters, {**unit.labels, self.field: point}))
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method."""
        found = {DIRS: result["tests"][AS_TRAINED]} if unit.function is measurements.train else result
        for method, numbers in found.items():
            yield {self.field: unit.labels[self.field], "method": method, **numbers}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Time, energy, their weighted sum, and the gap to the optimum."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2, 2)
        shown = (
            ("time_s", 1.0, "mean time of all devices, s"),
            ("energy_j", 1.0, "mean energy of all devices, J"),
            ("cost", 1.0, "mean cost (11)"),
            ("gap", 100.0, "mean gap to the optimum, %"),
        )
        for ax, (number, scale, label) in zip(axes, shown, strict=True):
            for method, style in STYLES.items():
                if number == "gap" and method == measurements.OPTIMUM:
                    continue
                plots.series(ax, summary[summary["method"] == method], self.field, number, style, scale)
            plots.fit_to_means(ax)
            if number == "gap":
                means = summary[summary["method"] != measurements.OPTIMUM]["gap"]
                ax.set_ylim(100 * means.min() / 2, 100 * means.max() * 2)
                plots.logarithmic(ax, "y")
            ax.set_xticks(self.points)
            plots.finish(ax, self.axis, label)
        plots.legend(figure, axes)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """DIRS takes less time, and less energy, than each rule at every point."""
        return [self._lowest(frame, metric) for metric in METRICS]

    def _lowest(self, frame: pd.DataFrame, metric: str) -> Claim:
        word, unit = METRICS[metric]
        verdicts, worst = [], []
        for rule in RULES:
            differences = {
                point: Interval.of(self._values(frame, metric, DIRS, point) - self._values(frame, metric, rule, point))
                for point in self.points
            }
            verdicts += [difference.below(0.0) for difference in differences.values()]
            point = max(differences, key=lambda at: differences[at].mean)
            most = differences[point].text(sign="+")
            best = self._values(frame, metric, measurements.OPTIMUM, point) - self._values(frame, metric, rule, point)
            own = f"{Interval.of(best).mean:+.3g} for the optimum"
            worst.append(f"DIRS - {rule.title()} at most {most} {unit} ({point} {self.field}; {own})")
        return Claim(
            f"DIRS has the lowest mean {word} of DIRS, Greedy, Random and Local at every number of {self.field}",
            self.source,
            f"lowest at all {self.field} (curves only)",
            "; ".join(worst),
            all_hold(verdicts),
            "the mean paired difference to each rule is below 0 at every point; false if one is not",
        )

    def _values(self, frame: pd.DataFrame, number: str, method: str, point: int) -> Any:
        return values(frame, number, method=method, **{self.field: point})


class UsersFigure(Sweep):
    """Figure 9."""

    name = "fig-9"
    keys = ("users", "method")
    field, axis, source = "users", "users N", "Fig. 9"

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Also: time, energy and the saving by DIRS grow with the users."""
        return [*super().claims(frame), self._growth(frame), self._widening(frame)]

    def _growth(self, frame: pd.DataFrame) -> Claim:
        verdicts = []
        for method in (DIRS, *RULES):
            for metric in METRICS:
                found = [self._values(frame, metric, method, point) for point in self.points]
                verdicts += [Interval.of(b - a).above(0.0) for a, b in itertools.pairwise(found)]
        few, many = (
            Interval.of(self._values(frame, "time_s", DIRS, point)).text()
            for point in (self.points[0], self.points[-1])
        )
        return Claim(
            "Mean time and energy of all methods grow with the number of users",
            "Fig. 9",
            "all curves rise (curves only)",
            f"time of DIRS {few} s with {self.points[0]} users, {many} s with {self.points[-1]}",
            all_hold(verdicts),
            "the mean paired difference of neighbouring points is above 0 for each method, in time and in energy",
        )

    def _widening(self, frame: pd.DataFrame) -> Claim:
        first, last = self.points[0], self.points[-1]
        verdicts, measured = [], []
        for rule in RULES:
            saved = [
                self._values(frame, "cost", rule, point) - self._values(frame, "cost", DIRS, point)
                for point in (first, last)
            ]
            growth = Interval.of(saved[1] - saved[0])
            verdicts.append(growth.above(0.0))
            measured.append(
                f"{rule.title()} - DIRS: {Interval.of(saved[0]).text()} with {first} users, "
                f"{Interval.of(saved[1]).text()} with {last}"
            )
        return Claim(
            "The advantage of DIRS over Greedy, Random and Local grows with the number of users",
            "Fig. 9",
            "largest where the number of users is large (curves only)",
            "cost saved: " + "; ".join(measured),
            all_hold(verdicts),
            f"for each rule the mean paired difference of the cost saved with {last} and with {first} users is above 0",
        )


class ServersFigure(Sweep):
    """Figure 10."""

    name = "fig-10"
    keys = ("servers", "method")
    field, axis, source = "servers", "servers M", "Fig. 10"
