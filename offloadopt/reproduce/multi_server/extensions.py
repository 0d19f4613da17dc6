"""Artefacts beyond the paper: optimality gaps over training time, on harder servers and on other scenarios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.multi_server.setting import (
    AS_TRAINED,
    DIRS,
    IMITATION,
    LEARNED,
    OWN_DIRS,
    PRICES,
    SHIFTS,
    Setting,
)
from offloadopt.reproduce.summary import summarised

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = {
    "local": plots.Style("Local", plots.GREY, "-.", "D"),
    "random": plots.Style("Random", plots.GREEN, "-.", "v"),
    "greedy": plots.Style("Greedy", plots.ORANGE, "-.", "^"),
    IMITATION: plots.Style("imitation alone, exact demonstrations", plots.PURPLE, "--", "s"),
    DIRS: plots.Style("DIRS as published", plots.BLUE, "-", "o"),
    OWN_DIRS: plots.Style("DIRS, our defaults", plots.SKY, ":", "P"),
    PRICES: plots.Style("equivariant, all links seen", plots.VERMILION, "--", "X"),
}

LEAST_GAP = 1e-5
"""Smaller gaps are drawn here on a logarithmic axis."""
GAP_LABEL = "mean gap to the optimum, % (0.001: or less)"


class Extension(Artefact):
    """Artefact without a claim of the paper."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """None."""
        return []


class AnytimeFigure(Extension):
    """Optimality gap of policies trained from scratch with budgets of different lengths.

    Each point is a training of its own, as learning rates follow the budget; time includes making demonstrations.
    """

    name = "gap-over-time"
    keys = ("method", "share")

    def plan(self) -> Sequence[Unit]:
        """A training for each learner, budget and replicate."""
        return [
            Unit(unit.function, unit.parameters, {**unit.labels, "method": method, "share": share})
            for replicate in self.setting.replicates
            for share in self.setting.sizes.budget_shares
            for method in LEARNED
            for unit in [self.setting.learned(method, replicate, self.setting.scenario(replicate), share)]
        ]

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """One row."""
        yield {
            "method": unit.labels["method"],
            "share": unit.labels["share"],
            "samples": result["spent"]["samples"],
            "train_cpu_s": result["spent"]["cpu_seconds"],
            "train_wall_s": result["spent"]["seconds"],
            "gap": result["tests"][AS_TRAINED]["gap"],
        }

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Gap against training time, both logarithmic."""
        summary = summarised(frame, self.keys)
        figure, (ax,) = plots.panels(1)
        gaps = ["gap", "gap_low", "gap_high"]
        summary[gaps] = summary[gaps].clip(LEAST_GAP)
        for method in LEARNED:
            plots.series(ax, summary[summary["method"] == method], "train_cpu_s", "gap", STYLES[method], 100)
        plots.logarithmic(ax, "x", "y")
        plots.finish(ax, "training time (processor), s", GAP_LABEL)
        plots.legend(figure, [ax], columns=2)
        return figure


class ScenarioGaps(Extension):
    """Gaps of rules and learners in several scenarios, each with trainings of its own."""

    keys = ("scenario", "method")

    def scenarios(self, replicate: int) -> Mapping[str, measurements.Json]:
        """Scenarios of a replicate by name."""
        raise NotImplementedError

    def plan(self) -> Sequence[Unit]:
        """Rules and trainings for each scenario and replicate."""
        found = []
        for replicate in self.setting.replicates:
            for name, scenario in self.scenarios(replicate).items():
                units = {method: self.setting.learned(method, replicate, scenario) for method in LEARNED}
                units["rules"] = self.setting.rules(replicate, scenario)
                found += [
                    Unit(unit.function, unit.parameters, {**unit.labels, "scenario": name, "method": method})
                    for method, unit in units.items()
                ]
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method."""
        found = {unit.labels["method"]: result["tests"][AS_TRAINED]} if unit.function is measurements.train else result
        for method, numbers in found.items():
            yield {"scenario": unit.labels["scenario"], "method": method, **numbers}

    def draw_gaps(self, ax: Axes, summary: pd.DataFrame, scenarios: Sequence[str], methods: Sequence[str]) -> None:
        """Draw a row for each scenario and a marker for each method."""
        for row, method in enumerate(methods):
            chosen = summary[summary["method"] == method].set_index("scenario")
            places = [place + 0.14 * (row - (len(methods) - 1) / 2) for place in range(len(scenarios))]
            gaps = chosen.loc[list(scenarios)]
            style = STYLES[method]
            mean = 100 * gaps["gap"].clip(LEAST_GAP)
            ax.plot(mean, places, ls="", marker=style.marker, color=style.color, ms=6, label=style.label)
            low, high = (100 * gaps[f"gap_{end}"].clip(LEAST_GAP) for end in ("low", "high"))
            ax.hlines(places, low, high, color=style.color, alpha=0.6, lw=2)
        ax.set_yticks(range(len(scenarios)), scenarios)
        ax.set_ylim(len(scenarios) - 0.4, -0.6)
        ax.set_xlim(70 * LEAST_GAP, None)
        plots.logarithmic(ax, "x")
        plots.finish(ax, GAP_LABEL, "")


class HardServersFigure(ScenarioGaps):
    """Faster servers, with which more tasks are offloaded and decisions are harder."""

    name = "hard-servers"

    def scenarios(self, replicate: int) -> Mapping[str, measurements.Json]:
        """The paper's scenario with each speed."""
        return {
            f"{speed / 1e9:g} GHz": self.setting.scenario(replicate, cpu_server_hz=speed)
            for speed in self.setting.sizes.server_hz
        }

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw the gaps and the costs behind them."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2)
        names = [f"{speed / 1e9:g} GHz" for speed in self.setting.sizes.server_hz]
        self.draw_gaps(axes[0], summary, names, list(STYLES))
        optimum = plots.Style("certified optimum", plots.BLACK, "--")
        for method, style in {**STYLES, measurements.OPTIMUM: optimum}.items():
            chosen = summary[summary["method"] == method].set_index("scenario").loc[names]
            chosen = chosen.reset_index().assign(speed=[speed / 1e9 for speed in self.setting.sizes.server_hz])
            plots.series(axes[1], chosen, "speed", "cost", style)
        plots.finish(axes[0], GAP_LABEL, "each server's CPU")
        plots.fit_to_means(axes[1])
        axes[1].set_xticks([speed / 1e9 for speed in self.setting.sizes.server_hz])
        plots.finish(axes[1], "each server's CPU, GHz", "mean cost (11)")
        plots.legend(figure, axes[1:], columns=3)
        return figure


class GeneralisationFigure(ScenarioGaps):
    """Other presets, and channel statistics that the policies were not trained on."""

    name = "generalisation"

    def scenarios(self, replicate: int) -> Mapping[str, measurements.Json]:
        """The presets; ``melbourne`` only if its files are given."""
        setting = self.setting
        found = {"paper": setting.scenario(replicate), "heterogeneous": setting.scenario(replicate, "heterogeneous")}
        if setting.users_file is not None and setting.sites_file is not None:
            places: dict[str, Any] = {"users_file": setting.users_file, "sites_file": setting.sites_file}
            found["melbourne"] = setting.scenario(replicate, "melbourne", **places)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Yield also a row for each shift of the paper's channel statistics."""
        yield from super().rows(unit, result)
        if unit.function is measurements.train and unit.labels["scenario"] == "paper":
            for shift in SHIFTS:
                yield {"scenario": shift, "method": unit.labels["method"], **result["tests"][shift]}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw gaps of policies tested on their own preset, and on shifted ones."""
        summary = summarised(frame, self.keys)
        present = list(self.scenarios(1))
        figure, axes = plots.panels(2)
        self.draw_gaps(axes[0], summary, present, list(STYLES))
        self.draw_gaps(axes[1], summary, ["paper", *SHIFTS], LEARNED)
        axes[0].set_title("trained and tested on the same preset", fontsize=10.5, loc="left")
        axes[1].set_title("trained on paper, tested on", fontsize=10.5, loc="left")
        plots.legend(figure, axes[:1], columns=3)
        return figure
