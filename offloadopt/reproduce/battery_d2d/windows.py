"""Gaps of rules, rMAPPO and imitation to the proved optimum in short windows of a small fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Result, Row, Unit
from offloadopt.reproduce.battery_d2d import bars, measurements
from offloadopt.reproduce.battery_d2d.setting import (
    GREEDY,
    OPTIMUM,
    QUEUE,
    RMAPPO,
    RULES,
    STYLES,
    Chosen,
    Point,
    Setting,
    rows_by_method,
)
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.summary import summarised

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

WINDOWS, EPISODES = "windows", "episodes"


def optimum_solver(setting: Setting, **options: float) -> Chosen:
    """Exact solver with the time limit of a window."""
    return {OPTIMUM: ("exact", {"time_limit_s": setting.sizes.window_seconds, **options})}


class HindsightTable(Artefact):
    """Costs above the proved bound of the fleet's total cost, which assumes that the future is known.

    In a few slots no battery is emptied: energy, ageing and disconnected devices decide there.
    """

    name = "hindsight"
    keys = ("method",)

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """The optimum, the rules, and rMAPPO trained in windows."""
        found, scenario = [], self.setting.window()
        for replicate in self.setting.replicates:
            for chosen in (optimum_solver(self.setting), RULES):
                found.append(self.setting.solvers(replicate, scenario, chosen, window=True))
            found += trained_in_windows(self.setting, replicate)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method, and the bound."""
        for _, method, numbers in rows_by_method(unit, result):
            yield {"method": method, **numbers}

    def frame(self, results: Mapping[str, Result]) -> pd.DataFrame:
        """Build the table with the share by which each cost lies above the mean bound of its replicate."""
        frame = super().frame(results)
        bounds = frame[frame["method"] == measurements.BOUND].set_index(REPLICATE)["cost"]
        bound = bounds.reindex(frame[REPLICATE]).to_numpy()
        return frame.assign(gap=(frame["cost"] - bound) / bound)

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw the gaps of all methods, one below the other."""
        summary = summarised(frame, self.keys).sort_values("gap")
        rows = bars.rows_of(summary, [method for method in summary["method"] if method != measurements.BOUND])
        figure, (ax,) = plots.panels(1)
        bars.draw_bars(ax, rows, "gap", 100.0, [STYLES[method].color for method, _ in rows])
        bars.label_rows(ax, rows)
        plots.finish(ax, "cost above the hindsight bound, %", "")
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """None: the paper has no optimum."""
        return []


def trained_in_windows(setting: Setting, replicate: int) -> list[Unit]:
    """Training of rMAPPO from scratch in all windows, tested in those with few enough tasks."""
    if RMAPPO not in setting.sizes.steps:
        return []
    scenario = setting.window()
    test = setting.test(replicate, scenario, window=True)
    return [setting.training(replicate, scenario, RMAPPO, setting.sizes.window_steps, [test], window=True)]


class ImitationTable(Artefact):
    """Imitation of an expert, rMAPPO that starts from it, the expert itself, and rMAPPO alone.

    In windows the experts are the greedy rule and the optimum, in whole episodes the greedy rule and energy queues.
    """

    name = "imitation"
    keys = ("at", "method")

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @property
    def experts(self) -> Mapping[str, Mapping[str, Chosen]]:
        """Experts in windows and in whole episodes, as solvers by label."""
        greedy, queue = {GREEDY: RULES[GREEDY]}, {QUEUE: RULES[QUEUE]}
        return {
            WINDOWS: {GREEDY: greedy, OPTIMUM: optimum_solver(self.setting)},
            EPISODES: {GREEDY: greedy, QUEUE: queue},
        }

    def plan(self) -> Sequence[Unit]:
        """Imitation of each expert, the expert itself, and rMAPPO from scratch."""
        found, setting = [], self.setting
        for replicate in setting.replicates:
            for at, experts in self.experts.items():
                window = at == WINDOWS
                scenario = setting.window() if window else setting.at(self.common)
                for expert, chosen in experts.items():
                    count = self._demonstrations(window, expert)
                    labels = {"at": at, "expert": expert}
                    found.append(setting.imitations(replicate, scenario, chosen, count, window=window, **labels))
                    found.append(setting.solvers(replicate, scenario, chosen, window=window, **labels))
            found += trained_in_windows(setting, replicate)
            shown = setting.shown(replicate, self.common.preset)
            found += [unit for unit in shown if unit.labels["method"] == RMAPPO]
        return found

    @property
    def common(self) -> Point:
        """Point at which whole episodes are compared."""
        return Point(self.setting.first_preset)

    def _demonstrations(self, window: bool, expert: str) -> int:
        sizes = self.setting.sizes
        if expert == OPTIMUM:
            return sizes.optimum_demonstrations
        return sizes.window_demonstrations if window else sizes.demonstrations

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each expert, each imitation of it, and rMAPPO alone."""
        if unit.function is measurements.train_on_demonstrations:
            for when, numbers in result.items():
                yield {"at": unit.labels["at"], "method": imitation_label(unit.labels["expert"], when), **numbers}
            return
        common = self.setting.at(self.common)
        for scenario, method, numbers in rows_by_method(unit, result):
            if scenario in (common, self.setting.window()):
                yield {"at": EPISODES if scenario == common else WINDOWS, "method": method, **numbers}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw the costs of all methods, one below the other."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2)
        for ax, (at, experts) in zip(axes, self.experts.items(), strict=True):
            chosen = summary[summary["at"] == at]
            methods = {RMAPPO: plots.GREY}
            for expert, color in zip(experts, (plots.GREEN, plots.BLUE), strict=True):
                methods |= dict.fromkeys(
                    (expert, imitation_label(expert, "before"), imitation_label(expert, "after")), color
                )
            rows = bars.rows_of(chosen, [method for method in methods if method in set(chosen["method"])])
            bars.draw_bars(ax, rows, "cost", colors=[methods[method] for method, _ in rows])
            bars.label_rows(ax, rows)
            plots.finish(ax, "cost of a window" if at == WINDOWS else "cost of an episode", "", at)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """None: the paper has no imitation."""
        return []


def imitation_label(expert: str, when: str) -> str:
    """Label of the imitation of an expert, before and after reinforcement learning."""
    return f"imitates {expert}" if when == "before" else f"{RMAPPO} after {expert}"
