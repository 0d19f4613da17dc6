"""Fig. 2, Fig. 3 and training: the cost against the capacity of batteries, the quantity of tasks, and the steps.

Capacities begin at 400 J and end where they no longer matter. A smaller battery ages so much by a single task (its
level falls by more) that below about 360 J failing on purpose is cheaper than the most expensive execution; batteries
of several kJ are never empty within an episode of 50 tasks of 10 J each, so methods would differ by ageing alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Axes, DataFrame, Measured, Result, Row, Unit
from offloadopt.reproduce.battery_d2d.study import (
    CAPACITY_J,
    CHANCE,
    MADDPG,
    PAPER_METHODS,
    RMAPPO,
    RULES,
    STYLES,
    BatteryD2DStudy,
    Point,
)
from offloadopt.reproduce.battery_d2d.tables import PresetTable
from offloadopt.reproduce.claim_builders import ClaimBuilder, Ratio, Trend
from offloadopt.reproduce.sweep import Axis, Panel
from offloadopt.reproduce.training import interval_means

COMMON = {"battery_j": CAPACITY_J, "task_chance": CHANCE}
POINTS = 40
"""Points of a training curve; replicates are averaged over the same intervals of steps."""
PANELS = (
    Panel("cost", "cost of an episode", span=(0.7, 1.4)),
    Panel("failed", "failed tasks, %", 100.0, least=-2.0),
)


def capacity_figure(study: BatteryD2DStudy) -> PresetTable:
    """Fig. 2: larger batteries."""
    axis = Axis("battery_j", "capacity of a battery, J", study.sizes.capacities_j, logarithmic=True)
    trend = "fall with every step of the batteries' capacity"
    return sweep(study, "capacity", axis, published(study, axis, "Fig. 2", trend, -1.0, " J", "capacity"))


def tasks_figure(study: BatteryD2DStudy) -> PresetTable:
    """Fig. 3: more tasks; the paper compares with MADDPG there."""
    axis = Axis("task_chance", "chance of a task, of each device and slot", study.sizes.chances)
    trend = "fall with every step to fewer tasks"
    claimed = published(study, axis, "Fig. 3", trend, 1.0, "", "quantity of tasks")
    if {RMAPPO, MADDPG} <= set(study.sizes.steps):
        claimed += [
            cheaper_everywhere(
                axis,
                preset,
                [MADDPG],
                claim=f"rMAPPO outperforms MADDPG ({preset})",
                source="Fig. 3, Section IV",
                paper="finally outperforms (no numbers)",
                rule="the mean ratio of costs is below 1 at every quantity of tasks; false if one is not",
            )
            for preset in study.sizes.presets
        ]
    return sweep(study, "tasks", axis, claimed)


def sweep(study: BatteryD2DStudy, name: str, axis: Axis, claimed: Sequence[ClaimBuilder]) -> PresetTable:
    """All methods on the same held-out instances at every place of one axis, elsewhere at the common point."""

    def needs(replicate: int, preset: str) -> Iterable[Unit]:
        points = [Point(preset, **{**COMMON, axis.column: place}) for place in axis.values]
        for point in points:
            yield study.solvers(replicate, study.at(point), RULES, preset=preset)
        yield from study.learned(replicate, preset, points)

    def place(unit: Unit, found: Measured) -> Row | None:
        at = {field: found.scenario[field] for field in COMMON}
        here = at[axis.column]
        return {axis.column: here} if here in axis.values and at == {**COMMON, axis.column: here} else None

    def draw(of_preset: Sequence[Axes], summary: DataFrame, preset: str) -> None:
        for ax, panel in zip(of_preset, PANELS, strict=True):
            panel.draw(ax, plots.hide_wide_bands(summary, [panel.number]), axis.column, STYLES)
            axis.finish(ax, summary, panel.label, preset)

    return PresetTable(
        study=study,
        name=name,
        keys=("preset", axis.column, "method"),
        needs=needs,
        columns=place,
        panels=len(PANELS),
        draw_panels=draw,
        legend_columns=6,
        claimed=claimed,
    )


def published(
    study: BatteryD2DStudy, axis: Axis, figure: str, trend: str, sign: float, unit: str, point: str
) -> list[ClaimBuilder]:
    """The trends of rMAPPO and of all methods, and the best method, for each preset."""
    has_own = RMAPPO in study.sizes.steps
    found: list[ClaimBuilder] = []
    for preset in study.sizes.presets:
        subjects: Mapping[str, Sequence[str]] = {RMAPPO: [RMAPPO]} if has_own else {}
        for subject, methods in {**subjects, "every method": list(STYLES)}.items():
            found.append(
                Trend(
                    claim=f"Costs {trend}: {subject} ({preset})",
                    source=f"{figure}, Section IV",
                    paper="shrinking total costs (no numbers)",
                    axis=axis.column,
                    where={"preset": preset},
                    methods=methods,
                    sign=sign,
                    measured=f"at {{places}}{unit}: {{found}}",
                )
            )
        found.append(
            cheaper_everywhere(
                axis,
                preset,
                PAPER_METHODS,
                claim=f"rMAPPO has the lowest cost of the paper's methods at every {point} ({preset})",
                source=f"{figure}, Section IV",
                paper="always possesses the best outcome (no numbers)",
                rule="the mean ratio of rMAPPO's cost to each other method's is below 1 at every point; false if "
                "one is not",
            )
        )
    return found


def cheaper_everywhere(axis: Axis, preset: str, rivals: Sequence[str], **words: str) -> Ratio:
    """RMAPPO costs less than each rival at every place."""
    return Ratio(
        axis=axis.column,
        where={"preset": preset},
        method=RMAPPO,
        rivals=rivals,
        lead="/ {rival}: ",
        measured=f"{RMAPPO} {{found}}",
        **words,  # type: ignore[arg-type]
    )


def training_figure(study: BatteryD2DStudy) -> PresetTable:
    """Cost of an episode while learners train at the common point, exploration included."""

    def made(unit: Unit, result: Result) -> Iterable[Row]:
        if result["curve"]:
            steps, costs = (np.array([point[name] for point in result["curve"]]) for name in ("step", "cost"))
            for step, cost in interval_means(steps, costs, float(steps[-1]), POINTS):
                yield {**{name: unit.labels[name] for name in ("preset", "method")}, "step": step, "cost": cost}

    def draw(axes: Sequence[Axes], summary: DataFrame, preset: str) -> None:
        (ax,) = axes
        curves = {method: style.plain for method, style in STYLES.items()}
        plots.lines(ax, plots.hide_wide_bands(summary, ["cost"]), "step", "cost", curves)
        plots.fit_to_means(ax)
        plots.logarithmic(ax, "x")
        plots.finish(ax, "decisions of devices", "cost of an episode, while exploring", preset)

    return PresetTable(
        study=study,
        name="training",
        keys=("preset", "method", "step"),
        needs=study.learned,
        read=made,
        panels=1,
        draw_panels=draw,
        beside=True,
        legend_columns=3,
    )
