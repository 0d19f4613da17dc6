"""Stability of learners: training curves, and deviations over seeds and over the last episodes.

Curves show one minus the cost per user and slot: the utility minus the penalty of overloaded servers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, DataFrame, Figure, Result, Row, Unit, measured
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.partial_mobile import measurements
from offloadopt.reproduce.partial_mobile.study import (
    DISCRETE,
    EXACT,
    LEARNERS,
    OPTIMUM,
    PRETRAINED,
    STYLES,
    PartialMobileStudy,
)
from offloadopt.reproduce.summary import select, summarised, values

STEADY = 0.02
"""A standard deviation of the gain over the last episodes, and over seeds, that counts as good stability."""
NEAR = 0.05
"""A utility this close to the optimum's, relatively, counts as near."""
LOOKS = (
    (plots.ORANGE, "--"), (plots.GREEN, "-."), (plots.PURPLE, "-"), (plots.VERMILION, "--"), (plots.GREY, "-."),
)  # fmt: skip
"""Colour and line of each variant."""


def stability_figure(study: PartialMobileStudy) -> Artefact:
    """The discretised DDPG, variants of it, and other learners, at the paper's first setting.

    The optimum stands beside them in the same held-out episodes.
    """

    def over(replicate: int) -> Iterable[Unit]:
        scenario = study.scenario()
        yield from study.learned(replicate, scenario)
        if DISCRETE in study.sizes.steps:
            yield from (study.variant(replicate, scenario, name) for name in study.sizes.variants)
        yield study.solvers(replicate, scenario, OPTIMUM)

    variants = {name: plots.Style(name, *look) for name, look in zip(study.sizes.variants, LOOKS, strict=False)}
    styles = {method: style.plain for method, style in STYLES.items() if method in LEARNERS} | variants
    return Artefact(
        study=study,
        name="stability",
        keys=("method", "step"),
        over=over,
        read=read,
        picture=partial(picture, styles),
        by_replicate=True,
        claimed=(stable, *(partial(near, method=method) for method in (DISCRETE, PRETRAINED))),
    )


def read(unit: Unit, result: Result) -> Iterable[Row]:
    """The curve; the last point has the test and the last episodes' standard deviation as well."""
    (found,) = measured(unit, result)
    end = {name: found.numbers[name] for name in ("utility", "overload")}
    if found.method == EXACT:
        yield {"method": EXACT, "step": 0.0, "gain": 1.0 - found.numbers["cost"], **end, "spread": 0.0}
        return
    # Where nothing was recorded on the way, the end alone is known.
    *before, last = result["curve"] or [{"step": float(unit.parameters["steps"]), "gain": None}]
    for point in before:
        yield {"method": found.method, **point}
    yield {"method": found.method, **last, **end, "spread": result["spread"]}


def picture(styles: Mapping[str, plots.Style], frame: DataFrame) -> Figure:
    """Draw the curves, and both standard deviations."""
    summary = summarised(frame, ("method", "step")).assign(thousands=lambda table: table["step"] / 1000)
    figure, axes = plots.panels(2)
    styles = {method: style for method, style in styles.items() if method in set(frame["method"])}
    plots.lines(axes[0], summary, "thousands", "gain", styles)
    optimum = select(frame, method=EXACT)["gain"].mean()
    plots.level(axes[0], optimum, STYLES[EXACT])
    # A curve can begin far below the values that are compared.
    ends = [ends_of(frame, "gain", method) for method in styles]
    lowest = min((float(np.nanmin(found)) for found in ends if np.isfinite(found).any()), default=0.0)
    axes[0].set_ylim(max(lowest - (optimum - lowest), axes[0].get_ylim()[0]), optimum + 0.05)
    plots.finish(axes[0], "training steps, thousands", "utility less penalty, while exploring")
    for place, (method, style) in enumerate(styles.items()):
        for spread, offset, alpha in zip(spread_of(frame, method), (-0.18, 0.18), (None, 0.4), strict=True):
            axes[1].barh(place + offset, spread, 0.34, color=style.color, alpha=alpha)
    axes[1].set_yticks(range(len(styles)), [style.label for style in styles.values()])
    axes[1].invert_yaxis()
    plots.finish(axes[1], "deviation of seeds (dark), episodes (pale)", "")
    plots.legend(figure, axes, columns=4)
    return figure


def stable(frame: DataFrame) -> Iterable[Claim]:
    """Stability over seeds and over episodes."""
    if DISCRETE not in set(frame["method"]):
        return
    over_seeds, _ = spread_of(frame, DISCRETE)
    episodes, ours = (Interval.of(ends_of(frame, number, DISCRETE)) for number in ("spread", "utility"))
    best = Interval.of(ends_of(frame, "utility", EXACT))
    yield Claim(
        f"The {DISCRETE} is stable",
        "abstract",
        "good stability (no numbers)",
        f"standard deviation {over_seeds:.2g} over seeds, {episodes.text()} over the last "
        f"episodes (at most {measurements.LAST_EPISODES}, each the mean of those side by side); mean utility "
        f"{ours.text()}, the optimum's {best.text()}",
        bool(over_seeds < STEADY and episodes.mean < STEADY) if ours.replicates > 1 else None,
        f"both standard deviations are below {STEADY:g} of utility",
    )


def near(frame: DataFrame, method: str) -> Iterable[Claim]:
    """Nearness to the optimum, as a criterion of our own."""
    if method not in set(frame["method"]):
        return
    ours, best = ends_of(frame, "utility", method), ends_of(frame, "utility", EXACT)
    gap, overload = Interval.of(1.0 - ours / best), Interval.of(ends_of(frame, "overload", method))
    yield Claim(
        f"The {method} comes within {100 * NEAR:g} % of the optimal utility (our own yardstick)",
        "not in the paper",
        "-",
        f"{gap.text(100)} % below, servers overloaded in {overload.text(100)} % of slots",
        gap.below(NEAR),
        f"the mean ratio to the optimum's utility is above {1 - NEAR:g}",
    )


def ends_of(frame: DataFrame, number: str, method: str) -> np.ndarray:
    """A number at the end of each training ``[replicates]``."""
    own = frame[frame["method"] == method]
    return values(own, number, step=own["step"].max())


def spread_of(frame: DataFrame, method: str) -> tuple[float, float]:
    """Standard deviations of the tested utility over seeds (0 for one), and of the gain over the last episodes."""
    utility = ends_of(frame, "utility", method)
    over_seeds = float(utility.std(ddof=1)) if len(utility) > 1 else 0.0
    return over_seeds, float(ends_of(frame, "spread", method).mean())
