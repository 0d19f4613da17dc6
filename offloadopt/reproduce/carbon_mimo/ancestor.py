"""Reward curve of the preceding paper (Chen and Wang, arXiv:1812.07394): one user at 100 m, by arrival rate.

The published numbers are those of the authors' notebook. GD-Local must match everywhere, GD-Offload up to rate 2 (its
power beyond that depends on a detail that the published code does not contain).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Result, Row, Unit
from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.carbon_mimo.setting import GREEDY_LOCAL, GREEDY_OFFLOAD, LYAPUNOV, RULES, Setting
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.summary import summarised, values
from offloadopt.reproduce.training import Json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

WEIGHTS = (0.5, 0.8)
RATES = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
DDPG, DQN = "DDPG", "DQN"
PUBLISHED: Mapping[tuple[str, float], tuple[float, ...]] = {
    (DDPG, 0.5): (-3.22, -4.52, -6.97, -9.67, -12.46, -15.46),
    (DQN, 0.5): (-3.91, -5.57, -7.83, -10.50, -13.29, -16.31),
    (GREEDY_LOCAL, 0.5): (-4.50, -6.62, -8.84, -11.12, -13.50, -16.04),
    (GREEDY_OFFLOAD, 0.5): (-4.40, -6.21, -8.43, -10.82, -13.17, -15.66),
    (DDPG, 0.8): (-3.06, -4.78, -7.88, -11.31, -15.24, -19.14),
    (DQN, 0.8): (-4.63, -6.77, -10.03, -13.53, -17.35, -20.88),
    (GREEDY_LOCAL, 0.8): (-6.30, -9.38, -12.61, -15.91, -19.29, -22.77),
    (GREEDY_OFFLOAD, 0.8): (-6.14, -8.73, -11.95, -15.43, -18.77, -22.16),
}
"""Rewards per slot at `RATES`, by method and weight of power."""
TOLERANCE = 0.02
"""A mean this close to the published one, relatively, counts as the same: its own sampling error is unknown."""
STYLES = {
    DDPG: plots.Style(DDPG, plots.BLUE, "-", "o"),
    DQN: plots.Style(DQN, plots.SKY, "-", "s"),
    LYAPUNOV: plots.Style(LYAPUNOV, plots.GREEN, "-", "D"),
    GREEDY_LOCAL: plots.Style(GREEDY_LOCAL, plots.VERMILION, "-.", "v"),
    GREEDY_OFFLOAD: plots.Style(GREEDY_OFFLOAD, plots.PURPLE, "-.", "<"),
}


class AncestorFigure(Artefact):
    """Mean reward per slot of rules and learners against the arrival rate."""

    name = "ancestor"
    keys = ("weight", "rate", "method")

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def scenario(self, weight: float, rate: float, horizon: int) -> Json:
        """One user 100 m away with an empty buffer."""
        return self.setting.scenario(
            "ancestor", users=1, arrival_quanta=rate, power_weight=weight, horizon=horizon, start_bits=0.0
        )

    def plan(self) -> Sequence[Unit]:
        """The rules and the learners at every rate; that paper trained at several."""
        sizes, found = self.setting.sizes, []
        horizon = min(1000, sizes.ancestor_slots)
        count = max(1, sizes.ancestor_slots // horizon)
        rules = {name: RULES[name] for name in (GREEDY_LOCAL, GREEDY_OFFLOAD, LYAPUNOV)}
        for replicate in self.setting.replicates:
            for weight in WEIGHTS:
                for rate in sizes.rates:
                    labels = {REPLICATE: replicate, "weight": weight, "rate": rate}
                    scenario = self.scenario(weight, rate, horizon)
                    parameters = {
                        "scenario": scenario,
                        "solvers": {
                            name: {"name": kind, "options": dict(opts)} for name, (kind, opts) in rules.items()
                        },
                        "count": count,
                        "seed": self.setting.test_seed(replicate),
                    }
                    found.append(Unit(measurements.apply_solvers, parameters, labels))
                    for method, steps in sizes.ancestor_steps.items():
                        learner = self.setting.learner(method.lower(), view="ancestor")
                        test = self.setting.test(replicate, scenario, "test", count)
                        trained = self.setting.training(
                            replicate, self.scenario(weight, rate, 200), learner, steps, [test]
                        )
                        found.append(Unit(trained.function, trained.parameters, {**labels, "method": method}))
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Reward, power and buffer."""
        tested = {unit.labels["method"]: result["tests"]["test"]} if unit.function is measurements.train else result
        for method, numbers in tested.items():
            yield {
                "weight": unit.labels["weight"],
                "rate": unit.labels["rate"],
                "method": method,
                "reward": -numbers["cost"],
                "power_w": numbers["power_w"],
                "buffer_quanta": numbers["buffer_quanta"],
            }

    def draw(self, frame: pd.DataFrame) -> Figure:
        """A panel for each weight; published values are hollow."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(len(WEIGHTS))
        for ax, weight in zip(axes, WEIGHTS, strict=True):
            for method, style in STYLES.items():
                chosen = summary[(summary["weight"] == weight) & (summary["method"] == method)]
                if len(chosen):
                    plots.series(ax, chosen, "rate", "reward", style)
                if (method, weight) in PUBLISHED:
                    ax.plot(
                        RATES, PUBLISHED[method, weight],
                        color=style.color, marker=style.marker, mfc="none", ls="", label=f"{method}, published",
                    )  # fmt: skip
            plots.finish(ax, "arrivals, kbit a slot", "reward a slot", f"w = {weight:g}")
        plots.legend(figure, axes, columns=4)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Whether the greedy rules match their published values, and DDPG beats DQN and these."""
        found = [self._matches(frame, GREEDY_LOCAL, max(RATES)), self._matches(frame, GREEDY_OFFLOAD, 2.0)]
        if set(self.setting.sizes.ancestor_steps) >= {DDPG, DQN}:
            found.append(self._order(frame))
        return found

    def _rates(self, most: float) -> list[float]:
        return [rate for rate in self.setting.sizes.rates if rate <= most]

    def _matches(self, frame: pd.DataFrame, method: str, most: float) -> Claim:
        verdicts, measured, published = [], [], []
        for weight in WEIGHTS:
            for rate in self._rates(most):
                paper = PUBLISHED[method, weight][RATES.index(rate)]
                mean = values(frame, "reward", method=method, weight=weight, rate=rate).mean()
                verdicts.append(bool(abs(mean / paper - 1.0) < TOLERANCE))
                measured.append(f"{mean:.2f}")
                published.append(f"{paper:.2f}")
        reach = "at every rate" if most == max(RATES) else f"up to rate {most:g}"
        return Claim(
            f"{method}'s reward is the published one {reach}",
            "Chen and Wang, test curve",
            ", ".join(published),
            ", ".join(measured),
            all_hold(verdicts),
            f"every mean lies within {100 * TOLERANCE:g} % of the published value, w = 0.5 then 0.8",
        )

    def _order(self, frame: pd.DataFrame) -> Claim:
        verdicts, measured = [], []
        for weight in WEIGHTS:
            for rate in self._rates(max(RATES)):
                found = {
                    method: values(frame, "reward", method=method, weight=weight, rate=rate)
                    for method in (DDPG, DQN, GREEDY_LOCAL)
                }
                verdicts += [
                    Interval.of(found[DDPG] - found[DQN]).above(0.0),
                    Interval.of(found[DQN] - found[GREEDY_LOCAL]).above(0.0),
                ]
                measured.append("/".join(f"{found[method].mean():.2f}" for method in found))
        return Claim(
            "DDPG earns more than DQN, and DQN more than GD-Local, at every rate",
            "Chen and Wang, test curve",
            "DDPG > DQN > greedy up to rate 3 (DQN falls behind at 3.5 and 4)",
            "DDPG/DQN/GD-Local: " + "; ".join(measured),
            all_hold(verdicts),
            "the mean paired differences are above 0 at every rate, w = 0.5 then 0.8",
        )


class TradeOffFigure(Artefact):
    """Trade-off of the Lyapunov rule: its energy cost falls to the minimum like 1/V, its buffer grows like V."""

    name = "lyapunov-v"
    keys = ("v",)

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """One unit for each V, with a buffer that never overflows and a long horizon."""
        scenario = self.setting.scenario(buffer_bits=None, horizon=1000, charge="normalised", harvest_w=0.0)
        return [
            Unit(
                measurements.apply_solvers,
                {
                    "scenario": scenario,
                    "solvers": {LYAPUNOV: {"name": "lyapunov", "options": {"v": v}}},
                    "count": 20,
                    "seed": self.setting.test_seed(replicate),
                },
                {REPLICATE: replicate, "v": v},
            )
            for replicate in self.setting.replicates
            for v in self.setting.sizes.values_of_v
        ]

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Power and buffer."""
        numbers = result[LYAPUNOV]
        yield {"v": unit.labels["v"], "power_w": numbers["power_w"], "buffer_quanta": numbers["buffer_quanta"]}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw power and buffer against V."""
        summary = summarised(frame, self.keys)
        figure, axes = plots.panels(2)
        for ax, number, label in zip(
            axes, ("power_w", "buffer_quanta"), ("mean power a user, W", "mean buffer, kbit"), strict=True
        ):
            plots.series(ax, summary, "v", number, plots.Style(LYAPUNOV, plots.GREEN, "-", "D"))
            plots.logarithmic(ax, "x")
            plots.finish(ax, "V", label)
        plots.logarithmic(axes[1], "y")
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """[O(1/V), O(V)] (Mao et al. 2017): power never rises with V, the buffer never falls."""
        ordered = sorted(set(frame["v"]))
        pairs = list(itertools.pairwise(ordered))
        falls = [
            Interval.of(values(frame, "power_w", v=b) - values(frame, "power_w", v=a)).below(0.0) for a, b in pairs
        ]
        rises = [
            Interval.of(values(frame, "buffer_quanta", v=b) - values(frame, "buffer_quanta", v=a)).above(0.0)
            for a, b in pairs
        ]
        measured = "; ".join(
            f"V = {v:g}: {values(frame, 'power_w', v=v).mean():.3g} W, "
            f"{values(frame, 'buffer_quanta', v=v).mean():.3g} kbit"
            for v in ordered
        )
        return [
            Claim(
                "Lyapunov trades power for delay: power falls with V towards its least, the buffer grows with it",
                "Mao et al. 2017, [O(1/V), O(V)]",
                "no numbers",
                measured,
                all_hold([*falls, *rises]),
                "between neighbouring V the mean paired difference of power is below 0, of the buffer above 0",
            )
        ]
