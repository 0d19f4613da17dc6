"""Artefacts beyond the paper: optimality gaps over training time, on harder servers and on other scenarios."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Axes, DataFrame, Figure, Measured, Result, Row, Unit
from offloadopt.reproduce.multi_server.measurements import OPTIMUM
from offloadopt.reproduce.multi_server.study import (
    AS_TRAINED,
    DIRS,
    IMITATION,
    LEARNED,
    OWN_DIRS,
    PRICES,
    REFERENCES,
    RULE_STYLES,
    SHIFTS,
    MultiServerStudy,
    spent,
)
from offloadopt.reproduce.training import Json

STYLES = {
    **RULE_STYLES,
    IMITATION: plots.Style("imitation alone, exact demonstrations", plots.PURPLE, "--", "s"),
    DIRS: plots.Style("DIRS as published", plots.BLUE, "-", "o"),
    OWN_DIRS: plots.Style("DIRS, our defaults", plots.SKY, ":", "P"),
    PRICES: plots.Style("equivariant, all links seen", plots.VERMILION, "--", "X"),
}

LEAST_GAP = 1e-5
"""Smaller gaps are drawn here on a logarithmic axis."""
GAP_LABEL = "mean gap to the optimum, % (0.001: or less)"


def anytime_figure(study: MultiServerStudy) -> Artefact:
    """Optimality gap of policies trained from scratch with budgets of different lengths.

    Each point is a training of its own, as learning rates follow the budget; time includes making demonstrations.
    """

    def over(replicate: int) -> Iterable[Unit]:
        for share, method in itertools.product(study.sizes.budget_shares, LEARNED):
            yield study.learned(method, replicate, study.layout(replicate), share, share=share)

    def read(unit: Unit, result: Result) -> Iterable[Row]:
        labels = {key: unit.labels[key] for key in ("method", "share")}
        yield {**labels, "samples": result["samples"], **spent(result), "gap": result["tests"][AS_TRAINED]["gap"]}

    def picture(summary: DataFrame) -> Figure:
        figure, (ax,) = plots.panels(1)
        gaps = ["gap", "gap_low", "gap_high"]
        summary[gaps] = summary[gaps].clip(LEAST_GAP)
        plots.lines(ax, summary, "train_cpu_s", "gap", {method: STYLES[method] for method in LEARNED}, 100)
        plots.logarithmic(ax, "x", "y")
        plots.finish(ax, "training time (processor), s", GAP_LABEL)
        plots.legend(figure, [ax], columns=2)
        return figure

    return Artefact(study=study, name="gap-over-time", keys=("method", "share"), over=over, read=read, picture=picture)


def hard_servers_figure(study: MultiServerStudy) -> Artefact:
    """Faster servers, with which more tasks are offloaded and decisions are harder: gaps, and the costs behind them."""
    speeds = {f"{speed / 1e9:g} GHz": speed for speed in study.sizes.server_hz}

    def picture(summary: DataFrame) -> Figure:
        figure, axes = plots.panels(2)
        draw_gaps(axes[0], summary, list(speeds), list(STYLES))
        plots.finish(axes[0], GAP_LABEL, "each server's CPU")
        styles = {**STYLES, OPTIMUM: REFERENCES[OPTIMUM]}
        plots.lines(axes[1], summary.assign(speed=summary["scenario"].map(speeds) / 1e9), "speed", "cost", styles)
        plots.fit_to_means(axes[1])
        axes[1].set_xticks([speed / 1e9 for speed in speeds.values()])
        plots.finish(axes[1], "each server's CPU, GHz", "mean cost (11)")
        plots.legend(figure, axes[1:], columns=3)
        return figure

    scenarios = {name: ("paper", {"cpu_server_hz": speed}) for name, speed in speeds.items()}
    return _gaps(study, "hard-servers", scenarios, (), picture)


def generalisation_figure(study: MultiServerStudy) -> Artefact:
    """Other presets (``melbourne`` only if its files are given), and channel statistics that no policy was trained on.

    Policies of the paper's preset alone have rows for these shifts.
    """
    scenarios: dict[str, tuple[str, Json]] = {name: (name, {}) for name in ("paper", "heterogeneous")}
    if study.users_file is not None:
        scenarios["melbourne"] = ("melbourne", {"users_file": study.users_file, "sites_file": study.sites_file})

    def picture(summary: DataFrame) -> Figure:
        figure, axes = plots.panels(2)
        draw_gaps(axes[0], summary, list(scenarios), list(STYLES))
        draw_gaps(axes[1], summary, ["paper", *SHIFTS], LEARNED)
        axes[0].set_title("trained and tested on the same preset", fontsize=10.5, loc="left")
        axes[1].set_title("trained on paper, tested on", fontsize=10.5, loc="left")
        plots.legend(figure, axes[:1], columns=3)
        return figure

    return _gaps(study, "generalisation", scenarios, tuple(SHIFTS), picture)


def _gaps(
    study: MultiServerStudy,
    name: str,
    scenarios: Mapping[str, tuple[str, Json]],
    shifts: Sequence[str],
    picture: Callable[[DataFrame], Figure],
) -> Artefact:
    """Gaps of rules and learners in several scenarios (preset and changes), each with trainings of its own."""

    def over(replicate: int) -> Iterable[Unit]:
        for label, (preset, changes) in scenarios.items():
            scenario = study.layout(replicate, preset, **changes)
            for method in LEARNED:
                yield study.learned(method, replicate, scenario, scenario=label)
            yield study.rules(replicate, scenario, scenario=label)

    def columns(unit: Unit, found: Measured) -> Row | None:
        trained_in, shifted = unit.labels["scenario"], found.test in SHIFTS
        if shifted and (found.test not in shifts or trained_in != "paper"):
            return None
        return {"scenario": found.test if shifted else trained_in, "method": found.method}

    return Artefact(study=study, name=name, keys=("scenario", "method"), over=over, columns=columns, picture=picture)


def draw_gaps(ax: Axes, summary: DataFrame, scenarios: Sequence[str], methods: Sequence[str]) -> None:
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
