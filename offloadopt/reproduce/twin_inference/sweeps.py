"""Figs. 6 to 9: delay and energy of a task against the number of users and of servers, beside the optimum's.

Learners are trained at every point. The paper's figures have no numbers; its statements about them are decided here,
and its headline, 12 % less delay and 25 % less energy than the baselines, against the mean of the three that section 6
names: Greedy, DQN and DDPG. Energy is that of finished tasks: methods that let tasks fail would save otherwise.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.summary import summarised, values
from offloadopt.reproduce.twin_inference import measurements
from offloadopt.reproduce.twin_inference.setting import (
    CGAN,
    GREEDY,
    HEADLINE_BASELINES,
    OPTIMUM,
    PAPER_METHODS,
    STYLES,
    Point,
    Setting,
    in_order,
    point_of,
    rows_by_method,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DELAY, ENERGY = "delay_s", "energy_j"
SAVED = {DELAY: 0.12, ENERGY: 0.25}
"""The headline."""
WORDS = {DELAY: "delay", ENERGY: "energy"}
PANELS = (
    (DELAY, 1000.0, "delay of a task, ms"),
    (ENERGY, 1000.0, "energy of a finished task, mJ"),
    ("cost_per_task", 1.0, "cost of a task"),
    ("failed", 100.0, "failed tasks, %"),
)


class SweepFigure(Artefact):
    """All methods on the same held-out instances at every point of one axis."""

    axis: ClassVar[str]
    """Column, and field of the scenario."""
    figures: ClassVar[Mapping[str, str]]
    """Of the paper, by what they show."""
    sign: ClassVar[float]
    """1 where delay and energy are said to grow along the axis, -1 where they are said to fall."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @property
    @abstractmethod
    def points(self) -> list[Point]:
        """Points of this figure."""

    def plan(self) -> Sequence[Unit]:
        """Rules, optimum, learners and imitation of the optimum at each point."""
        found = []
        for replicate in self.setting.replicates:
            for point in self.points:
                found += self.setting.rules(replicate, point)
                found += self.setting.trained(replicate, point)
                found += self.setting.imitation(replicate, point)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method and point."""
        point = point_of(unit.parameters["scenario"])
        for method, numbers in rows_by_method(unit, result):
            yield {self.axis: getattr(point, self.axis), "method": method, **numbers}

    def frame(self, results: Mapping[str, Result]) -> pd.DataFrame:
        """Build the table with the share by which each cost lies above the mean bound of its point and replicate."""
        frame = super().frame(results)
        keys = [self.axis, REPLICATE]
        bounds = frame[frame["method"] == measurements.BOUND].set_index(keys)["cost"]
        bound = bounds.reindex(frame.set_index(keys).index).to_numpy()
        return frame.assign(gap=(frame["cost"] - bound) / bound)

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Delay, energy, cost and failures."""
        summary = plots.hide_wide_bands(summarised(frame, self.keys), [number for number, *_ in PANELS])
        figure, axes = plots.panels(2, 2)
        for ax, (number, scale, label) in zip(axes, PANELS, strict=True):
            for method in in_order(summary["method"]):
                chosen = summary[(summary["method"] == method) & summary[number].notna()]
                if len(chosen):
                    plots.series(ax, chosen, self.axis, number, STYLES[method], scale)
            plots.fit_to_means(ax)
            ax.set_xticks(sorted(set(frame[self.axis])))
            plots.finish(ax, f"{self.axis}", label)
        plots.legend(figure, axes)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """The trends, the best and the worst method, and the headline."""
        found = []
        for number in (DELAY, ENERGY):
            methods = [method for method in in_order(frame["method"]) if method != measurements.BOUND]
            if CGAN in methods:
                found.append(self._trend(frame, number, [CGAN], CGAN))
            found.append(self._trend(frame, number, methods, "every method"))
            if CGAN in methods:
                found += self._order(frame, number, [method for method in PAPER_METHODS if method in methods])
                found.append(
                    self._headline(frame, number, [method for method in HEADLINE_BASELINES if method in methods])
                )
        return found

    @property
    def _others(self) -> str:
        """The sizes that are constant along the axis, as text."""
        point = self.setting.common
        return f"{point.servers} servers" if self.axis == "users" else f"{point.users} users"

    def _trend(self, frame: pd.DataFrame, number: str, methods: Sequence[str], subject: str) -> Claim:
        verdicts, measured = [], []
        at = sorted(set(frame[self.axis]))
        for method in methods:
            found = [values(frame, number, method=method, **{self.axis: place}) for place in at]
            steps = [Interval.of(self.sign * (b - a)) for a, b in itertools.pairwise(found)]
            verdicts += [step.above(0.0) for step in steps]
            measured.append(f"{method} {', '.join(f'{1000 * value.mean():.0f}' for value in found)}")
        unit = "ms" if number == DELAY else "mJ"
        places = ", ".join(f"{place:g}" for place in at)
        return Claim(
            f"A task's {WORDS[number]} {'grows' if self.sign > 0 else 'falls'} with the number of {self.axis}: "
            f"{subject} ({self._others})",
            f"{self.figures[number]}, section 6",
            f"{'grows' if self.sign > 0 else 'falls'} (no numbers)",
            f"at {places} {self.axis}, in {unit}: {'; '.join(measured)}",
            all_hold(verdicts),
            f"the mean paired difference between neighbouring points is {'above' if self.sign > 0 else 'below'} 0 at "
            "every step; false if one is not",
        )

    def _order(self, frame: pd.DataFrame, number: str, rivals: Sequence[str]) -> list[Claim]:
        source = f"{self.figures[number]}, section 6"
        best, measured_best = mean_ratios(frame, self.axis, number, CGAN, rivals)
        found = [
            Claim(
                f"MADDPG-CGAN has the least {WORDS[number]} of the paper's methods, whatever the number of {self.axis}",
                source,
                "best (no numbers)",
                measured_best,
                all_hold(best),
                "the mean ratio to each other method is below 1 at every point; false if one is not",
            )
        ]
        if GREEDY in rivals:
            others = [CGAN, *(rival for rival in rivals if rival != GREEDY)]
            verdicts, measured = zip(
                *(mean_ratios(frame, self.axis, number, other, [GREEDY]) for other in others), strict=True
            )
            found.append(
                Claim(
                    f"Greedy has the most {WORDS[number]} of the paper's methods, whatever the number of {self.axis}",
                    source,
                    "declines markedly (no numbers)",
                    "; ".join(measured),
                    all_hold(itertools.chain(*verdicts)),
                    "the mean ratio of each other method to Greedy is below 1 at every point; false if one is not",
                )
            )
        return found

    def _headline(self, frame: pd.DataFrame, number: str, rivals: Sequence[str]) -> Claim:
        saved = self.saved(frame, number, CGAN, rivals)
        beside = self.saved(frame, number, OPTIMUM, rivals)
        limit = SAVED[number]
        word = "delay" if number == DELAY else "energy of a finished task"
        failing = {method: 100 * float(values(frame, "failed", method=method).mean()) for method in (CGAN, *rivals)}
        return Claim(
            f"MADDPG-CGAN needs about {limit:.0%} less {WORDS[number]} than the baselines ({self.figures[number]})",
            "Abstract, section 7",
            f"about {limit:.0%}",
            f"{saved.text(100, '.3g', '+')} % less {word} than the mean of {', '.join(rivals)} over all points; the "
            f"optimum {beside.text(100, '.3g', '+')} %; failed tasks, %: "
            + ", ".join(f"{method} {share:.2g}" for method, share in failing.items()),
            saved.above(limit),
            f"one minus the ratio to the mean of the baselines, averaged over all points, is above {limit:.0%}",
        )

    def saved(self, frame: pd.DataFrame, number: str, method: str, rivals: Sequence[str]) -> Interval:
        """Share that a method saves against the mean of others, averaged over all points."""
        shares = []
        for place in sorted(set(frame[self.axis])):
            theirs = [values(frame, number, method=rival, **{self.axis: place}) for rival in rivals]
            shares.append(1.0 - values(frame, number, method=method, **{self.axis: place}) / np.mean(theirs, axis=0))
        return Interval.of(np.mean(shares, axis=0))


def mean_ratios(
    frame: pd.DataFrame, axis: str, number: str, method: str, rivals: Sequence[str]
) -> tuple[list[bool | None], str]:
    """Verdicts that a method has less than each rival at each point, and the paired ratios as text."""
    verdicts, measured = [], []
    for rival in rivals:
        ratios = {}
        for place in sorted(set(frame[axis])):
            ours, theirs = (values(frame, number, method=name, **{axis: place}) for name in (method, rival))
            ratios[place] = Interval.of(ours / theirs)
        verdicts += [ratio.below(1.0) for ratio in ratios.values()]
        measured.append(f"/ {rival}: " + ", ".join(f"{ratio.text()} at {place:g}" for place, ratio in ratios.items()))
    return verdicts, f"{method} {'; '.join(measured)}"


class UsersFigure(SweepFigure):
    """Figs. 6 and 7."""

    name = "users"
    keys = ("users", "method")
    axis, figures, sign = "users", {DELAY: "Fig. 6", ENERGY: "Fig. 7"}, 1.0

    @property
    def points(self) -> list[Point]:
        """With the usual servers."""
        return [Point(users, self.setting.common.servers) for users in self.setting.sizes.users]


class ServersFigure(SweepFigure):
    """Figs. 8 and 9."""

    name = "servers"
    keys = ("servers", "method")
    axis, figures, sign = "servers", {DELAY: "Fig. 8", ENERGY: "Fig. 9"}, -1.0

    @property
    def points(self) -> list[Point]:
        """With the usual users."""
        return [Point(self.setting.common.users, servers) for servers in self.setting.sizes.servers]
