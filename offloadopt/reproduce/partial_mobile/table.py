"""Table 3: an episode's delay and energy, and the mean utility, against the weight of time.

The published levels are shown for comparison; nothing is tuned towards them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from offloadopt.reproduce.artefact import DataFrame, Unit
from offloadopt.reproduce.claim_builders import Trend
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.partial_mobile.study import (
    DISCRETE,
    EXACT,
    GREEDY,
    GRID,
    LOCAL,
    OPTIMUM,
    PRETRAINED,
    RANDOM,
    RULES,
    WEIGHTS,
    PartialMobileStudy,
)
from offloadopt.reproduce.summary import values
from offloadopt.reproduce.sweep import Axis, Panel, Sweep

PUBLISHED: Mapping[str, tuple[float, ...]] = {
    "time_s": (369.0, 343.0, 337.0, 321.0, 308.0, 293.0, 277.0, 256.0, 245.0),
    "energy_j": (394.0, 412.0, 431.0, 441.0, 456.0, 464.0, 479.0, 488.0, 511.0),
    "utility": (0.528, 0.534, 0.544, 0.549, 0.554, 0.575, 0.578, 0.613, 0.628),
}
"""Table 3 at `WEIGHTS`."""
TRENDS = (
    ("time_s", "delay", -1.0, "falls", ".0f"),
    ("energy_j", "energy", 1.0, "rises", ".0f"),
    ("utility", "utility", 1.0, "rises", ".3f"),
)
PANELS = tuple(
    Panel(number, label, published=dict(zip(WEIGHTS, PUBLISHED[number], strict=True)))
    for number, label in (
        ("time_s", "delay of an episode, s"),
        ("energy_j", "energy of an episode, J"),
        ("utility", "mean utility"),
    )
)
JUDGED = (EXACT, GRID, DISCRETE, PRETRAINED)
TOLERANCE = 0.05
"""A mean this close to the published one, relatively, counts as the same."""


def weight_table(study: PartialMobileStudy) -> Sweep:
    """Optimum, optimum on the paper's grid, rules and learners at nine weights of time."""
    rules = {name: RULES[name] for name in (GREEDY, RANDOM, LOCAL)}

    def at(replicate: int, weight: float) -> Iterable[Unit]:
        scenario = study.scenario(time_weight=weight)
        for solvers in (OPTIMUM, rules, study.grid()):
            yield study.solvers(replicate, scenario, solvers)
        if weight in study.sizes.learned_weights:
            yield from study.learned(replicate, scenario)

    return Sweep(
        study=study,
        name="table-3",
        axis=Axis("weight", "weight of time", study.sizes.weights, "time_weight"),
        at=at,
        panels=PANELS,
        grid=3,
        claimed=(trends, levels),
        legend_columns=4,
    )


def trends(frame: DataFrame) -> Iterable[Claim]:
    """Delay falls, energy and utility rise: for the optimum, the grid and the learners."""
    for number, name, sign, verb, form in TRENDS:
        for method in JUDGED:
            weights = weights_of(frame, method)
            if weights:
                yield from Trend(
                    claim=f"The {name} {verb} with every step of the weight of time: {method}",
                    source="Table 3",
                    paper=at_weights(form, PUBLISHED[number], WEIGHTS),
                    number=number,
                    axis="weight",
                    methods=(method,),
                    sign=sign,
                    form=form,
                    lead="",
                    measured="{found}" if tuple(weights) == WEIGHTS else "{found} at {places}",
                    where={"method": method},
                    points="weights",
                )(frame)


def levels(frame: DataFrame) -> Iterable[Claim]:
    """Whether all numbers are the published ones."""
    for method in JUDGED:
        weights = [weight for weight in weights_of(frame, method) if weight in WEIGHTS]
        if not weights:
            continue
        off = {
            number: [
                Interval.of(
                    values(frame, number, method=method, weight=weight) / PUBLISHED[number][WEIGHTS.index(weight)]
                )
                for weight in weights
            ]
            for number in PUBLISHED
        }
        yield Claim(
            f"Delay, energy and utility are the published ones: {method}",
            "Table 3 (with what its text leaves open, the server's energy above all; nothing is tuned towards it)",
            "1 (ratio of ours to the published)",
            "; ".join(
                f"{name} {at_weights('.2f', [ratio.mean for ratio in off[number]], weights)}"
                for number, name, *_ in TRENDS
            ),
            all_hold(ratio.within(1.0 - TOLERANCE, 1.0 + TOLERANCE) for ratios in off.values() for ratio in ratios),
            f"every mean ratio to the published value lies within {100 * TOLERANCE:g} % of 1",
        )


def weights_of(frame: DataFrame, method: str) -> list[float]:
    """Weights at which the table has a method."""
    return sorted(set(frame[frame["method"] == method]["weight"]))


def at_weights(form: str, numbers: Sequence[float], weights: Sequence[float]) -> str:
    """Format numbers, with their weights unless these are all nine."""
    text = ", ".join(format(number, form) for number in numbers)
    return text if tuple(weights) == WEIGHTS else f"{text} at {', '.join(f'{weight:g}' for weight in weights)}"
