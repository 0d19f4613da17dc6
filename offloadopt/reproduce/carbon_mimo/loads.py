"""Cost, carbon, overflow and waste against the load, for learned policies, rules and the hindsight bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Result, Row, Unit
from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.carbon_mimo.setting import (
    CADDTO,
    DDPG,
    ENERGY,
    GREEDY_LOCAL,
    GREEDY_OFFLOAD,
    LYAPUNOV,
    PERFECT,
    PPO,
    RULES,
    STYLES,
    Setting,
)
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.summary import summarised, values

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NEAR_ZERO = 0.01
"""Largest share of lost bits that counts as near zero."""
LEVEL = 0.01
"""A cost that is higher by at most this share counts as level."""


class LoadFigure(Artefact):
    """All methods on the same held-out instances at every load."""

    keys = ("load", "method")
    panels: ClassVar[tuple[tuple[str, float, str], ...]]
    """Number, factor and label of each panel."""
    rivals: ClassVar[tuple[str, ...]] = (DDPG, LYAPUNOV)

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """The rules and the bound at each load, and all trainings."""
        found = []
        for replicate in self.setting.replicates:
            for load in self.setting.sizes.loads:
                scenario = self.setting.scenario(arrival_quanta=load)
                found.append(self.setting.solvers(replicate, scenario, RULES, load=load))
                found.append(self.setting.solvers(replicate, scenario, PERFECT, load=load))
            found += self.setting.learned(replicate)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method and load."""
        if unit.function is measurements.train:
            for load, numbers in result["tests"].items():
                yield {"load": float(load), "method": unit.labels["method"], **numbers}
            return
        for method, numbers in result.items():
            yield {"load": float(unit.labels["load"]), "method": method, **numbers}

    def frame(self, results: dict[str, Result]) -> pd.DataFrame:  # type: ignore[override]
        """Build the table with each method's relative gap to the mean hindsight bound of its replicate and load."""
        frame = super().frame(results)
        bounds = frame[frame["method"] == measurements.BOUND].set_index(["load", REPLICATE])["cost"]
        bound = bounds.reindex(frame.set_index(["load", REPLICATE]).index).to_numpy()
        return frame.assign(gap=(frame["cost"] - bound) / np.abs(bound))

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw a panel for each number."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2, -(-len(self.panels) // 2))
        for ax, (number, scale, label) in zip(axes, self.panels, strict=True):
            for method, style in STYLES.items():
                chosen = summary[summary["method"] == method]
                if chosen[number].notna().any() and not (
                    number == "gap" and method in (measurements.BOUND, measurements.HINDSIGHT)
                ):
                    plots.series(ax, chosen, "load", number, style, scale)
            plots.fit_to_means(ax)
            if number in ("cost", "gap"):
                means = summary[~summary["method"].isin([measurements.BOUND, measurements.HINDSIGHT])][number]
                ax.set_ylim(scale * max(means.min(), 1e-6) / 2, scale * means.max() * 2)
                plots.logarithmic(ax, "y")
            ax.set_xticks(self.setting.sizes.loads)
            plots.finish(ax, "mean arrivals, kbit a slot and user", label)
        plots.legend(figure, axes)
        return figure

    def values(self, frame: pd.DataFrame, number: str, method: str, load: float) -> FloatArray:
        """Select one number of one method at one load ``[replicates]``."""
        return values(frame, number, method=method, load=load)

    def lowest(self, frame: pd.DataFrame, number: str, name: str, source: str, paper: str) -> Claim:
        """Claim that CADDTO-PPO is below its rivals in one number at every load."""
        loads = self.setting.sizes.loads
        verdicts, measured = [], []
        for rival in self.rivals:
            steps = {
                load: Interval.of(self.values(frame, number, CADDTO, load) - self.values(frame, number, rival, load))
                for load in loads
            }
            verdicts += [step.below(0.0) for step in steps.values()]
            measured.append(
                f"{CADDTO} - {rival}: " + ", ".join(f"{steps[load].text(sign='+')} at {load:g}" for load in loads)
            )
        return Claim(
            f"CADDTO-PPO has the lowest {name} of CADDTO-PPO, DDPG and Lyapunov at every load",
            source,
            paper,
            "; ".join(measured),
            all_hold(verdicts),
            "the mean paired difference to each rival is below 0 at every load; false if one is not",
        )


class CostFigure(LoadFigure):
    """Mean cost, and its gap to the hindsight bound."""

    name = "cost"
    panels = (("cost", 1.0, "mean cost a slot and user"), ("gap", 100.0, "above the hindsight bound, %"))

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Cost below learned and greedy baselines and level with Lyapunov; the same with energy controls."""
        return [
            self.best_of_all(frame, CADDTO, "abstract: outperforms DDPG and Lyapunov-based baselines", "no numbers"),
            *(
                self.best_of_all(frame, method, "our own reading, not in the paper", "-")
                for method in (ENERGY, PPO)
                if method in set(frame["method"])
            ),
        ]

    def best_of_all(self, frame: pd.DataFrame, method: str, source: str, paper: str) -> Claim:
        """Claim that a method costs less than DDPG and the greedy rules, and no more than Lyapunov."""
        loads = self.setting.sizes.loads
        verdicts, measured = [], []
        for rival in (DDPG, GREEDY_LOCAL, GREEDY_OFFLOAD, LYAPUNOV):
            allowed = 1.0 + LEVEL if rival == LYAPUNOV else 1.0
            ratios = {
                load: Interval.of(self.values(frame, "cost", method, load) / self.values(frame, "cost", rival, load))
                for load in loads
            }
            verdicts += [ratio.below(allowed) for ratio in ratios.values()]
            measured.append(f"{method} / {rival}: " + ", ".join(f"{ratios[load].text()} at {load:g}" for load in loads))
        name = method if method == CADDTO else f"PPO ({method})"
        return Claim(
            f"{name} has a lower cost than DDPG and the greedy rules, and is at least level with Lyapunov",
            source,
            paper,
            "; ".join(measured),
            all_hold(verdicts),
            f"the mean ratio of costs is below 1 (Lyapunov: below {1 + LEVEL:g}) at every load",
        )


class CarbonFigure(LoadFigure):
    """Carbon intensity per bit and per joule."""

    name = "carbon"
    panels = (
        ("carbon_g_per_bit", 1e12, "carbon, pg a bit served"),
        ("carbon_g_per_j", 1e6, "carbon, µg a joule used"),
    )

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Lowest carbon per bit and per joule."""
        source = "abstract; figure of carbon intensity"
        return [
            self.lowest(frame, "carbon_g_per_bit", "carbon per bit", source, "about 3.0e-4 g/bit, in its own units"),
            self.lowest(frame, "carbon_g_per_j", "carbon per unit of energy", source, "lowest (no numbers)"),
        ]


class OverflowFigure(LoadFigure):
    """Lost bits, buffered bits, wasted energy and power."""

    name = "overflow"
    panels = (
        ("overflow", 100.0, "lost bits, % of arrivals"),
        ("buffer_quanta", 1.0, "mean buffer, kbit"),
        ("wasted", 100.0, "wasted green energy, %"),
        ("power_w", 1.0, "mean power a user, W"),
    )

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Overflow near zero under extreme load, beside the least that this load allows."""
        load = max(self.setting.sizes.loads)
        found = Interval.of(self.values(frame, "overflow", CADDTO, load))
        least = Interval.of(self.values(frame, "overflow", measurements.HINDSIGHT, load))
        return [
            Claim(
                "CADDTO-PPO keeps near-zero packet overflow under extreme load",
                "abstract; figure of overflow",
                "near zero",
                f"{found.text(100)} % of the bits are lost at {load:g} kbit a slot; {least.text(100)} % at the "
                "hindsight decisions",
                found.below(NEAR_ZERO),
                f"the mean share of lost bits at the largest load is below {100 * NEAR_ZERO:g} %",
            ),
            self.lowest(frame, "overflow", "share of lost bits", "abstract", "lower than the baselines"),
        ]
