"""Utility and overload against the number of users, and the excess cost of the paper's grid of decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.partial_mobile.setting import (
    DISCRETE,
    EDGE_ONLY,
    EXACT,
    LEVELS,
    RANDOM_REQUESTS,
    RULES,
    STYLES,
    Setting,
    in_order,
    rows_by_method,
)
from offloadopt.reproduce.summary import summarised, values

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NEAR = 0.05
"""A cost above the optimum by at most this share counts as near."""
LOOKS = ((plots.ORANGE, ":", "^"), (plots.BLUE, "-", "o"), (plots.GREEN, "--", "s"), (plots.PURPLE, "-.", "d"))
"""Colour, line and marker of each grid, from the coarsest."""


class UsersFigure(Artefact):
    """All methods on the same held-out episodes against the number of users."""

    name = "users"
    keys = ("users", "method")
    rivals = (EDGE_ONLY, RANDOM_REQUESTS)
    """Baselines that can overload servers."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """The rules with the optimum, and all trainings, at each number of users."""
        sizes, found = self.setting.sizes, []
        rules = {EXACT: ("exact", {"relative_gap": sizes.user_gap, "time_limit_s": 10.0}), **RULES}
        for replicate in self.setting.replicates:
            for users in sizes.users:
                scenario = self.setting.scenario(users=users, horizon=sizes.user_slots)
                count = sizes.user_episodes
                found.append(self.setting.solvers(replicate, scenario, rules, episodes=count, users=users))
                found += self.setting.learned(replicate, scenario, episodes=count, users=users)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method."""
        for method, numbers in rows_by_method(unit, result):
            yield {"users": int(unit.labels["users"]), "method": method, **numbers}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Utility and overload."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2)
        panels = (("utility", 1.0, "mean utility"), ("overload", 100.0, "overloaded servers, % of slots"))
        for ax, (number, scale, label) in zip(axes, panels, strict=True):
            for method in in_order(summary["method"]):
                plots.series(ax, summary[summary["method"] == method], "users", number, STYLES[method], scale)
            ax.set_xticks(self.setting.sizes.users)
            plots.fit_to_means(ax)
            plots.finish(ax, "users", label)
        plots.legend(figure, axes, columns=4)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """The paper's method overloads servers less often than uncoordinated rules."""
        if DISCRETE not in set(frame["method"]):
            return []
        verdicts, measured = [], []
        for rival in self.rivals:
            steps = {users: self._less(frame, rival, users) for users in self.setting.sizes.users}
            verdicts += [step.below(0.0) for step in steps.values()]
            numbers = ", ".join(f"{step.text(100, sign='+')} at {users}" for users, step in steps.items())
            measured.append(f"minus {rival}: {numbers}")
        return [
            Claim(
                f"The {DISCRETE} overloads servers less often than baselines, whatever the number of users",
                "abstract",
                "effectively reduces the overload probability (no numbers, baselines not named)",
                f"percent of servers and slots, {'; '.join(measured)}; 0 wherever a server shares its CPU optimally",
                all_hold(verdicts),
                f"the mean paired difference to {' and '.join(self.rivals)} is below 0 at every number of users; "
                "false if one is not",
            )
        ]

    def _less(self, frame: pd.DataFrame, rival: str, users: int) -> Interval:
        ours, theirs = (values(frame, "overload", users=users, method=method) for method in (DISCRETE, rival))
        return Interval.of(ours - theirs)


class GridFigure(Artefact):
    """Excess cost of Algorithm 2's levels: the best decisions on a grid against the continuous optimum.

    If the weight of time is small, overloading a server is optimal, because requests reduced in proportion give finer
    shares of CPU than the grid. The grid's solver covers only equal ones of those: its cost is then the best known.
    """

    name = "grid"
    keys = ("weight", "decisions")
    continuous = "continuous"

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """The optimum, and that on each grid, at each weight."""
        found = []
        for replicate in self.setting.replicates:
            for weight in self.setting.sizes.level_weights:
                scenario = self.setting.scenario(time_weight=weight)
                found.append(self.setting.optimum(replicate, scenario, weight=weight, decisions=self.continuous))
                for levels in self.setting.sizes.levels:
                    grid = self.setting.grid(levels)
                    found.append(
                        self.setting.solvers(replicate, scenario, grid, weight=weight, decisions=grid_label(levels))
                    )
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Cost and utility."""
        (numbers,) = result.values()
        labels = {name: unit.labels[name] for name in self.keys}
        yield {**labels, **{name: numbers[name] for name in ("cost", "utility", "time_s", "energy_j")}}

    def frame(self, results: Mapping[str, Result]) -> pd.DataFrame:
        """Build the table with the relative excess of each grid's cost over the optimum."""
        frame = super().frame(results)
        best = frame[frame["decisions"] == self.continuous].set_index(["weight", REPLICATE])["cost"]
        optimum = best.reindex(frame.set_index(["weight", REPLICATE]).index).to_numpy()
        return frame.assign(excess=frame["cost"] / optimum - 1.0)

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Excess cost, and utility."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2)
        looks = zip(self.setting.sizes.levels, LOOKS, strict=False)
        styles = {grid_label(levels): plots.Style(grid_label(levels), *look) for levels, look in looks}
        for decisions, style in styles.items():
            chosen = summary[summary["decisions"] == decisions]
            plots.series(axes[0], chosen, "weight", "excess", style, 100.0)
            plots.series(axes[1], chosen, "weight", "utility", style)
        continuous = plots.Style(self.continuous, plots.BLACK)
        plots.series(axes[1], summary[summary["decisions"] == self.continuous], "weight", "utility", continuous)
        means = summary["excess"][summary["excess"] > 0]  # a band may end below 0, where there is no logarithm
        axes[0].set_ylim(70.0 * means.min(), 140.0 * means.max())
        plots.logarithmic(axes[0], "y")
        plots.fit_to_means(axes[1])
        for ax, label in zip(axes, ("cost above the continuous optimum, %", "mean utility"), strict=True):
            ax.set_xticks(self.setting.sizes.level_weights)
            plots.finish(ax, "weight of time", label)
        plots.legend(figure, axes)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Whether the paper's number of levels leaves good decisions to choose from."""
        if LEVELS not in self.setting.sizes.levels:
            return []
        weights = sorted(set(frame["weight"]))
        found = [
            Interval.of(values(frame, "excess", weight=weight, decisions=grid_label(LEVELS))) for weight in weights
        ]
        numbers = ", ".join(
            f"{excess.text(100, sign='+')} at {weight:g}" for excess, weight in zip(found, weights, strict=True)
        )
        return [
            Claim(
                f"{LEVELS} levels of ratio and CPU leave near-optimal decisions to choose from",
                "Algorithm 2 (implied: nothing is said of what the encoding costs)",
                "no numbers",
                f"cost of the best decisions on the grid, % above the optimum: {numbers}",
                all_hold(excess.below(NEAR) for excess in found),
                f"the mean excess is below {100 * NEAR:g} % at every weight; false if one is not",
            )
        ]


def grid_label(levels: int) -> str:
    """Label of a grid."""
    return f"K = {levels}"
