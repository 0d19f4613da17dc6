"""Reward curve of the preceding paper (Chen and Wang, arXiv:1812.07394): one user at 100 m, by arrival rate.

The published numbers are those of the authors' notebook. GD-Local must match everywhere, GD-Offload up to rate 2 (its
power beyond that depends on a detail that the published code does not contain).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, DataFrame, Figure, Result, Row, Unit, measured
from offloadopt.reproduce.carbon_mimo.study import GREEDY_LOCAL, GREEDY_OFFLOAD, LYAPUNOV, RULES, CarbonMimoStudy
from offloadopt.reproduce.claim_builders import steps_along
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.summary import select, values
from offloadopt.reproduce.training import Json

WEIGHTS = (0.5, 0.8)
RATES = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
DDPG, DQN = "DDPG", "DQN"
LONGEST = 1000
"""Most slots of an episode."""
V_EPISODES = 20
"""Episodes of so many slots for each V."""
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
OFFLOAD_UNTIL = 2.0
"""Largest rate at which GD-Offload must match."""
BESIDE = ("power_w", "buffer_quanta")
STYLES = {
    DDPG: plots.Style(DDPG, plots.BLUE, "-", "o"),
    DQN: plots.Style(DQN, plots.SKY, "-", "s"),
    LYAPUNOV: plots.Style(LYAPUNOV, plots.GREEN, "-", "D"),
    GREEDY_LOCAL: plots.Style(GREEDY_LOCAL, plots.VERMILION, "-.", "v"),
    GREEDY_OFFLOAD: plots.Style(GREEDY_OFFLOAD, plots.PURPLE, "-.", "<"),
}


def ancestor_figure(study: CarbonMimoStudy) -> Artefact:
    """Mean reward per slot of rules and learners against the arrival rate."""
    sizes, rules = study.sizes, {name: RULES[name] for name in (GREEDY_LOCAL, GREEDY_OFFLOAD, LYAPUNOV)}
    horizon = min(LONGEST, sizes.ancestor_slots)

    def alone(weight: float, rate: float, slots: int) -> Json:
        # One user 100 m away with an empty buffer.
        return study.scenario(
            "ancestor", users=1, arrival_quanta=rate, power_weight=weight, horizon=slots, start_bits=0.0
        )

    def over(replicate: int) -> Iterable[Unit]:
        for weight, rate in itertools.product(WEIGHTS, sizes.rates):
            labels = {"weight": weight, "rate": rate}
            scenario = alone(weight, rate, horizon)
            test = study.test(replicate, scenario, count=max(1, sizes.ancestor_slots // horizon))
            yield study.solvers(replicate, scenario, rules, test=test, **labels)
            for method, steps in sizes.ancestor_steps.items():
                learner = study.learner(method.lower(), view="ancestor")
                short = alone(weight, rate, 200)
                yield study.training(replicate, short, learner, steps, [test], method=method, **labels)

    def read(unit: Unit, result: Result) -> Iterable[Row]:
        for found in measured(unit, result):
            numbers = {"reward": -found.numbers["cost"], **{name: found.numbers[name] for name in BESIDE}}
            yield {**{key: unit.labels[key] for key in ("weight", "rate")}, "method": found.method, **numbers}

    claimed = [
        lambda frame: matches(frame, GREEDY_LOCAL, sizes.rates),
        lambda frame: matches(frame, GREEDY_OFFLOAD, [rate for rate in sizes.rates if rate <= OFFLOAD_UNTIL]),
        *([order] if set(sizes.ancestor_steps) >= {DDPG, DQN} else []),
    ]
    keys = ("weight", "rate", "method")
    return Artefact(study=study, name="ancestor", keys=keys, over=over, read=read, picture=rewards, claimed=claimed)


def rewards(summary: DataFrame) -> Figure:
    """Draw a panel for each weight; published values are hollow."""
    figure, axes = plots.panels(len(WEIGHTS))
    for ax, weight in zip(axes, WEIGHTS, strict=True):
        for method, style in STYLES.items():
            plots.lines(ax, select(summary, weight=weight), "rate", "reward", {method: style})
            if (method, weight) in PUBLISHED:
                ax.plot(
                    RATES, PUBLISHED[method, weight],
                    color=style.color, marker=style.marker, mfc="none", ls="", label=f"{method}, published",
                )  # fmt: skip
        plots.finish(ax, "arrivals, kbit a slot", "reward a slot", f"w = {weight:g}")
    plots.legend(figure, axes, columns=4)
    return figure


def matches(frame: DataFrame, method: str, rates: Sequence[float]) -> Iterable[Claim]:
    """Whether a greedy rule matches its published values."""
    found = [
        (
            float(values(frame, "reward", method=method, weight=weight, rate=rate).mean()),
            PUBLISHED[method, weight][RATES.index(rate)],
        )
        for weight, rate in itertools.product(WEIGHTS, rates)
    ]
    yield Claim(
        f"{method}'s reward is the published one "
        + ("at every rate" if method == GREEDY_LOCAL else f"up to rate {OFFLOAD_UNTIL:g}"),
        "Chen and Wang, test curve",
        ", ".join(f"{paper:.2f}" for _, paper in found),
        ", ".join(f"{mean:.2f}" for mean, _ in found),
        all_hold(abs(mean / paper - 1.0) < TOLERANCE for mean, paper in found),
        f"every mean lies within {100 * TOLERANCE:g} % of the published value, w = 0.5 then 0.8",
    )


def order(frame: DataFrame) -> Iterable[Claim]:
    """Whether DDPG beats DQN, and DQN the greedy rule."""
    verdicts, measured = [], []
    for weight, rate in itertools.product(WEIGHTS, sorted(set(frame["rate"]))):
        found = [
            values(frame, "reward", method=method, weight=weight, rate=rate) for method in (DDPG, DQN, GREEDY_LOCAL)
        ]
        verdicts += [Interval.of(more - less).above(0.0) for more, less in itertools.pairwise(found)]
        measured.append("/".join(f"{reward.mean():.2f}" for reward in found))
    yield Claim(
        "DDPG earns more than DQN, and DQN more than GD-Local, at every rate",
        "Chen and Wang, test curve",
        "DDPG > DQN > greedy up to rate 3 (DQN falls behind at 3.5 and 4)",
        "DDPG/DQN/GD-Local: " + "; ".join(measured),
        all_hold(verdicts),
        "the mean paired differences are above 0 at every rate, w = 0.5 then 0.8",
    )


def trade_off_figure(study: CarbonMimoStudy) -> Artefact:
    """Trade-off of the Lyapunov rule: its energy cost falls to the minimum like 1/V, its buffer grows like V.

    The buffer never overflows, and the horizon is long.
    """

    def over(replicate: int) -> Iterable[Unit]:
        scenario = study.scenario(buffer_bits=None, horizon=LONGEST, charge="normalised", harvest_w=0.0)
        test = study.test(replicate, scenario, count=V_EPISODES)
        for v in study.sizes.values_of_v:
            yield study.solvers(replicate, scenario, {LYAPUNOV: ("lyapunov", {"v": v})}, test=test, v=v)

    def picture(summary: DataFrame) -> Figure:
        figure, axes = plots.panels(2)
        for ax, number, label in zip(axes, BESIDE, ("mean power a user, W", "mean buffer, kbit"), strict=True):
            plots.series(ax, summary, "v", number, plots.Style(LYAPUNOV, plots.GREEN, "-", "D"))
            plots.logarithmic(ax, "x")
            plots.finish(ax, "V", label)
        plots.logarithmic(axes[1], "y")
        return figure

    def read(unit: Unit, result: Result) -> Iterable[Row]:
        yield {"v": unit.labels["v"], **{name: result[LYAPUNOV][name] for name in BESIDE}}

    return Artefact(
        study=study, name="lyapunov-v", keys=("v",), over=over, read=read, picture=picture, claimed=(traded,)
    )


def traded(frame: DataFrame) -> Iterable[Claim]:
    """[O(1/V), O(V)] (Mao et al. 2017): power never rises with V, the buffer never falls."""
    steps = [*steps_along(frame, "power_w", "v", -1.0), *steps_along(frame, "buffer_quanta", "v")]
    yield Claim(
        "Lyapunov trades power for delay: power falls with V towards its least, the buffer grows with it",
        "Mao et al. 2017, [O(1/V), O(V)]",
        "no numbers",
        "; ".join(
            f"V = {v:g}: {values(frame, 'power_w', v=v).mean():.3g} W, "
            f"{values(frame, 'buffer_quanta', v=v).mean():.3g} kbit"
            for v in sorted(set(frame["v"]))
        ),
        all_hold(step.above(0.0) for step in steps),
        "between neighbouring V the mean paired difference of power is below 0, of the buffer above 0",
    )
