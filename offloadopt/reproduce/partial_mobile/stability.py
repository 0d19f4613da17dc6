"""Stability of learners: training curves, and deviations over seeds and over the last episodes.

Curves show one minus the cost per user and slot: the utility minus the penalty of overloaded servers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.partial_mobile import measurements
from offloadopt.reproduce.partial_mobile.setting import (
    DISCRETE,
    EXACT,
    LEARNERS,
    PRETRAINED,
    STYLES,
    Setting,
    rows_by_method,
)
from offloadopt.reproduce.summary import summarised, values
from offloadopt.reproduce.training import Json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

STEADY = 0.02
"""A standard deviation of the gain over the last episodes, and over seeds, that counts as good stability."""
NEAR = 0.05
"""A utility this close to the optimum's, relatively, counts as near."""
LOOKS = (
    (plots.ORANGE, "--"), (plots.GREEN, "-."), (plots.PURPLE, "-"), (plots.VERMILION, "--"), (plots.GREY, "-."),
)  # fmt: skip
"""Colour and line of each variant."""


class StabilityFigure(Artefact):
    """The discretised DDPG, variants of it, and other learners, at the paper's first setting."""

    name = "stability"
    keys = ("method", "step")

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """All trainings at one weight, and the optimum in the same held-out episodes."""
        found, scenario, sizes = [], self.setting.scenario(), self.setting.sizes
        for replicate in self.setting.replicates:
            found += self.setting.learned(replicate, scenario)
            if DISCRETE in sizes.steps:
                found += [self._variant(replicate, variant) for variant in sizes.variants]
            found.append(self.setting.optimum(replicate, scenario))
        return found

    def _variant(self, replicate: int, name: str) -> Unit:
        variant = self.setting.sizes.variants[name]
        learner = self.setting.learner(DISCRETE, variant.settings)
        return self.setting.training(replicate, self.setting.scenario(), learner, variant.steps, method=name)

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """The curve; the last point has the test and the last episodes' standard deviation as well."""
        ((method, test),) = rows_by_method(unit, result)
        if unit.function is not measurements.train:
            yield {"method": method, "step": 0.0, "gain": 1.0 - test["cost"], **at_end(test, 0.0)}
            return
        # Where nothing was recorded on the way, the end alone is known.
        *summarise_curve, last = result["curve"] or [{"step": float(unit.parameters["steps"]), "gain": None}]
        for point in summarise_curve:
            yield {"method": method, **point}
        yield {"method": method, **last, **at_end(test, result["spread"])}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """The curves, and both standard deviations."""
        summary = summarised(frame, self.keys).assign(thousands=lambda table: table["step"] / 1000)
        figure, axes = plots.panels(2)
        styles = self._styles(frame)
        for method, style in styles.items():
            plots.series(axes[0], summary[summary["method"] == method], "thousands", "gain", style)
        optimum = frame[frame["method"] == EXACT]["gain"].mean()
        plots.level(axes[0], optimum, STYLES[EXACT])
        # A curve can begin far below the values that are compared.
        ends = [ends_of(frame, "gain", method) for method in styles]
        lowest = min((float(np.nanmin(found)) for found in ends if np.isfinite(found).any()), default=0.0)
        axes[0].set_ylim(max(lowest - (optimum - lowest), axes[0].get_ylim()[0]), optimum + 0.05)
        plots.finish(axes[0], "training steps, thousands", "utility less penalty, while exploring")
        spreads = {method: spread_of(frame, method) for method in styles}
        for place, (method, style) in enumerate(styles.items()):
            axes[1].barh(place - 0.18, spreads[method][0], 0.34, color=style.color)
            axes[1].barh(place + 0.18, spreads[method][1], 0.34, color=style.color, alpha=0.4)
        axes[1].set_yticks(range(len(styles)), [style.label for style in styles.values()])
        axes[1].invert_yaxis()
        plots.finish(axes[1], "deviation of seeds (dark), episodes (pale)", "")
        plots.legend(figure, axes, columns=4)
        return figure

    def _styles(self, frame: pd.DataFrame) -> dict[str, plots.Style]:
        """Learners without markers, as a curve has many points, then the variants."""
        present = set(frame["method"])
        own = {
            method: plots.Style(style.label, style.color, style.line)
            for method, style in STYLES.items()
            if method in LEARNERS and method in present
        }
        variants = zip(self.setting.sizes.variants, LOOKS, strict=False)
        return own | {variant: plots.Style(variant, *look) for variant, look in variants if variant in present}

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Stability over seeds and over episodes, and nearness to the optimum as a criterion of our own."""
        near = [self._near(frame, method) for method in (DISCRETE, PRETRAINED) if method in set(frame["method"])]
        if DISCRETE not in set(frame["method"]):
            return near
        over_seeds, _ = spread_of(frame, DISCRETE)
        episodes = Interval.of(ends_of(frame, "spread", DISCRETE))
        ours, best = ends_of(frame, "utility", DISCRETE), ends_of(frame, "utility", EXACT)
        return [
            Claim(
                f"The {DISCRETE} is stable",
                "abstract",
                "good stability (no numbers)",
                f"standard deviation {over_seeds:.2g} over seeds, {episodes.text()} over the last "
                f"episodes (at most {measurements.LAST_EPISODES}, each the mean of those side by side); mean utility "
                f"{Interval.of(ours).text()}, the optimum's {Interval.of(best).text()}",
                bool(over_seeds < STEADY and episodes.mean < STEADY) if len(ours) > 1 else None,
                f"both standard deviations are below {STEADY:g} of utility",
            ),
            *near,
        ]

    def _near(self, frame: pd.DataFrame, method: str) -> Claim:
        ours, best = ends_of(frame, "utility", method), ends_of(frame, "utility", EXACT)
        gap, overload = Interval.of(1.0 - ours / best), Interval.of(ends_of(frame, "overload", method))
        return Claim(
            f"The {method} comes within {100 * NEAR:g} % of the optimal utility (our own yardstick)",
            "not in the paper",
            "-",
            f"{gap.text(100)} % below, servers overloaded in {overload.text(100)} % of slots",
            gap.below(NEAR),
            f"the mean ratio to the optimum's utility is above {1 - NEAR:g}",
        )


def at_end(test: Json, spread: float | None) -> Row:
    """Numbers that exist only at the end of training."""
    return {"utility": test["utility"], "overload": test["overload"], "spread": spread}


def ends_of(frame: pd.DataFrame, number: str, method: str) -> np.ndarray:
    """A number at the end of each training ``[replicates]``."""
    own = frame[frame["method"] == method]
    return values(own, number, step=own["step"].max())


def spread_of(frame: pd.DataFrame, method: str) -> tuple[float, float]:
    """Standard deviations of the tested utility over seeds (0 for one), and of the gain over the last episodes."""
    utility = ends_of(frame, "utility", method)
    over_seeds = float(utility.std(ddof=1)) if len(utility) > 1 else 0.0
    return over_seeds, float(ends_of(frame, "spread", method).mean())
