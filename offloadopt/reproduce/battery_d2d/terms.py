"""Parts of each method's cost (terms, failures, delays, energy, battery life), and Fig. 4: what frequency modes save.

Fig. 4 compares modes chosen for each task (DVFS) with processors that always run at full speed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Axes, DataFrame, Measured, Row, Unit
from offloadopt.reproduce.battery_d2d import bars
from offloadopt.reproduce.battery_d2d.study import (
    GREEDY,
    LEARNERS,
    OED,
    OMD,
    QUEUE,
    RANDOM,
    RMAPPO,
    RULES,
    STYLES,
    BatteryD2DStudy,
    Point,
)
from offloadopt.reproduce.battery_d2d.tables import PresetTable
from offloadopt.reproduce.claim_builders import Ratio
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.summary import select, values

ENOUGH = 0.1
"""Share by which rMAPPO must be cheaper than random, OED and OMD."""


def terms_table(study: BatteryD2DStudy) -> PresetTable:
    """All numbers of all methods at the common point, with the battery life that their ageing rate gives."""

    def needs(replicate: int, preset: str) -> Iterable[Unit]:
        yield study.solvers(replicate, study.at(Point(preset)), RULES, preset=preset)
        yield from study.learned(replicate, preset)

    def place(unit: Unit, found: Measured) -> Row | None:
        return {} if found.scenario == study.at(Point(unit.labels["preset"])) else None

    def draw(axes: Sequence[Axes], summary: DataFrame, preset: str) -> None:
        rows = bars.rows_of(summary, study.in_order(summary["method"]))
        *three, life = axes
        bars.draw_terms(three, rows, preset)
        bars.draw_bars(life, rows, "worn_years")
        bars.label_rows(life, rows, first=False)
        plots.finish(life, "years until 20 % of the capacity are lost", "")

    return PresetTable(
        study=study,
        name="terms",
        keys=("preset", "method"),
        needs=needs,
        columns=place,
        panels=4,
        draw_panels=draw,
        claimed=yardsticks(study),
    )


def yardsticks(study: BatteryD2DStudy) -> list[Ratio]:
    """Criteria of our own: rMAPPO against simple rules, other learners, and rules that use the observation."""
    if RMAPPO not in study.sizes.steps:
        return []
    simple = f"rMAPPO costs at least {100 * ENOUGH:g} % less than random, OED and OMD"
    rivals = {
        simple: (RANDOM, OED, OMD),
        "rMAPPO costs less than all other learners": [name for name in LEARNERS if name != RMAPPO],
        "rMAPPO costs less than the greedy rule and than energy queues": (GREEDY, QUEUE),
    }
    return [
        Ratio(
            claim=f"{claim} (our own yardstick; {preset})",
            source="not in the paper",
            paper="-",
            where={"preset": preset},
            method=RMAPPO,
            rivals=others,
            lead="",
            each="{value} of {rival}'s",
            joint=", ",
            measured="rMAPPO's cost is {found}",
            most=1.0 - ENOUGH if claim == simple else 1.0,
            rule=f"the mean ratio of costs is below {1.0 - ENOUGH if claim == simple else 1.0:g} for each of them",
        )
        for preset in study.sizes.presets
        for claim, others in rivals.items()
        if not set(others) <= set(LEARNERS) or set(others) & set(study.sizes.steps)
    ]


DVFS, FIXED = "DVFS", "full speed"
BESIDE = (("failed", 100, "% failed"), ("finished_j", 1, "J a finished task"), ("delay_3_s", 1, "s of kind 3"))
SHOWN = {name: RULES[name] for name in (GREEDY, QUEUE)}


def frequency_figure(study: BatteryD2DStudy) -> PresetTable:
    """RMAPPO and two rules with and without frequency modes; with them, the trainings are those of other figures."""

    def needs(replicate: int, preset: str) -> Iterable[Unit]:
        point = Point(preset)
        fixed = study.at(point) | {"dvfs": False}
        for scenario in (study.at(point), fixed):
            yield study.solvers(replicate, scenario, SHOWN, preset=preset)
        if RMAPPO in study.sizes.steps:
            yield from study.learned(replicate, preset, methods=[RMAPPO])
            learner, tests = study.agents(RMAPPO, fixed), [study.test(replicate, fixed, point.name)]
            steps = study.sizes.steps[RMAPPO]
            yield study.training(replicate, fixed, learner, steps, tests, method=RMAPPO, preset=preset)

    def place(unit: Unit, found: Measured) -> Row | None:
        common = found.scenario | {"dvfs": True} == study.at(Point(unit.labels["preset"]))
        return {"frequency": DVFS if found.scenario["dvfs"] else FIXED} if common else None

    def draw(axes: Sequence[Axes], summary: DataFrame, preset: str) -> None:
        rows = [
            (f"{method}, {frequency}", row)
            for method in study.in_order(summary["method"])
            for frequency in (DVFS, FIXED)
            for _, row in bars.rows_of(select(summary, frequency=frequency), [method])
        ]
        bars.draw_terms(axes, rows, preset)

    return PresetTable(
        study=study,
        name="dvfs",
        keys=("preset", "frequency", "method"),
        needs=needs,
        columns=place,
        panels=3,
        draw_panels=draw,
        claimed=(cheaper_with_modes,),
    )


def cheaper_with_modes(frame: DataFrame) -> Iterable[Claim]:
    """Whether DVFS lowers the total cost of each method."""
    for preset in dict.fromkeys(frame["preset"]):
        for method in STYLES:
            chosen = select(frame, preset=preset, method=method)
            if not len(chosen):
                continue
            means = {
                (number, speed): Interval.of(values(chosen, number, frequency=speed)).mean
                for number, *_ in BESIDE
                for speed in (DVFS, FIXED)
            }
            beside = "; ".join(
                f"{means[number, DVFS] * scale:.3g} against {means[number, FIXED] * scale:.3g} {name}"
                for number, scale, name in BESIDE
            )
            ratio = Interval.of(values(chosen, "cost", frequency=DVFS) / values(chosen, "cost", frequency=FIXED))
            yield Claim(
                f"DVFS costs less than a fixed frequency in all: {method} ({preset})",
                "Fig. 4, Section IV",
                "balances delay and energy (no numbers)" if method == RMAPPO else "- (the paper's method is rMAPPO)",
                f"{ratio.text()} times the cost; {beside}",
                ratio.below(1.0),
                "the mean ratio of costs is below 1",
            )
