"""Cost, carbon, overflow and waste against the load, for learned policies, rules and the hindsight bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from offloadopt.reproduce.artefact import DataFrame, Unit
from offloadopt.reproduce.carbon_mimo.measurements import BOUND, HINDSIGHT
from offloadopt.reproduce.carbon_mimo.study import (
    CADDTO,
    DDPG,
    ENERGY,
    GREEDY_LOCAL,
    GREEDY_OFFLOAD,
    LYAPUNOV,
    PERFECT,
    PPO,
    RULES,
    CarbonMimoStudy,
)
from offloadopt.reproduce.claim_builders import Lowest, Ratio
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.summary import above_bound, values
from offloadopt.reproduce.sweep import Axis, Panel, Sweep

NEAR_ZERO = 0.01
"""Largest share of lost bits that counts as near zero."""
LEVEL = 0.01
"""A cost that is higher by at most this share counts as level."""
CARBON = "abstract; figure of carbon intensity"


def cost_figure(study: CarbonMimoStudy) -> Sweep:
    """Mean cost, and its gap to the hindsight bound."""
    return _sweep(
        study,
        "cost",
        Panel("cost", "mean cost a slot and user", span=(0.5, 2.0)),
        Panel("gap", "above the hindsight bound, %", 100.0, span=(0.5, 2.0), without=[BOUND, HINDSIGHT]),
        claimed=[
            cheaper(CADDTO, CADDTO, "abstract: outperforms DDPG and Lyapunov-based baselines", "no numbers"),
            *(cheaper(method, f"PPO ({method})", "our own reading, not in the paper", "-") for method in (ENERGY, PPO)),
        ],
    )


def carbon_figure(study: CarbonMimoStudy) -> Sweep:
    """Carbon intensity per bit and per joule."""
    return _sweep(
        study,
        "carbon",
        Panel("carbon_g_per_bit", "carbon, pg a bit served", 1e12),
        Panel("carbon_g_per_j", "carbon, µg a joule used", 1e6),
        claimed=[
            lowest("carbon_g_per_bit", "carbon per bit", CARBON, "about 3.0e-4 g/bit, in its own units"),
            lowest("carbon_g_per_j", "carbon per unit of energy", CARBON, "lowest (no numbers)"),
        ],
    )


def overflow_figure(study: CarbonMimoStudy) -> Sweep:
    """Lost bits, buffered bits, wasted energy and power."""
    return _sweep(
        study,
        "overflow",
        Panel("overflow", "lost bits, % of arrivals", 100.0),
        Panel("buffer_quanta", "mean buffer, kbit"),
        Panel("wasted", "wasted green energy, %", 100.0),
        Panel("power_w", "mean power a user, W"),
        claimed=[near_zero, lowest("overflow", "share of lost bits", "abstract", "lower than the baselines")],
    )


def _sweep(
    study: CarbonMimoStudy,
    name: str,
    *panels: Panel,
    claimed: Sequence[Callable[[DataFrame], Iterable[Claim]]],
) -> Sweep:
    """The rules and the bound at each load, and all trainings."""

    def at(replicate: int, load: float) -> Iterable[Unit]:
        scenario = study.scenario(arrival_quanta=load)
        return (study.solvers(replicate, scenario, solvers) for solvers in (RULES, PERFECT))

    return Sweep(
        study=study,
        name=name,
        axis=Axis("load", "mean arrivals, kbit a slot and user", study.sizes.loads, "arrival_quanta"),
        at=at,
        over=study.learned,
        panels=panels,
        claimed=claimed,
        derive=lambda frame: frame.assign(gap=above_bound(frame, BOUND, "load")),
    )


def cheaper(method: str, name: str, source: str, paper: str) -> Ratio:
    """A method costs less than DDPG and the greedy rules, and no more than Lyapunov."""
    return Ratio(
        claim=f"{name} has a lower cost than DDPG and the greedy rules, and is at least level with Lyapunov",
        source=source,
        paper=paper,
        axis="load",
        method=method,
        rivals=(DDPG, GREEDY_LOCAL, GREEDY_OFFLOAD, LYAPUNOV),
        level={LYAPUNOV: 1.0 + LEVEL},
        rule=f"the mean ratio of costs is below 1 (Lyapunov: below {1 + LEVEL:g}) at every load",
    )


def lowest(number: str, name: str, source: str, paper: str) -> Lowest:
    """CADDTO-PPO is below DDPG and Lyapunov in one number at every load."""
    return Lowest(
        claim=f"CADDTO-PPO has the lowest {name} of CADDTO-PPO, DDPG and Lyapunov at every load",
        source=source,
        paper=paper,
        number=number,
        axis="load",
        method=CADDTO,
        rivals=(DDPG, LYAPUNOV),
        points="load",
    )


def near_zero(frame: DataFrame) -> Iterable[Claim]:
    """Overflow near zero under extreme load, beside the least that this load allows."""
    load = max(frame["load"])
    found, least = (Interval.of(values(frame, "overflow", method=method, load=load)) for method in (CADDTO, HINDSIGHT))
    yield Claim(
        "CADDTO-PPO keeps near-zero packet overflow under extreme load",
        "abstract; figure of overflow",
        "near zero",
        f"{found.text(100)} % of the bits are lost at {load:g} kbit a slot; {least.text(100)} % at the hindsight "
        "decisions",
        found.below(NEAR_ZERO),
        f"the mean share of lost bits at the largest load is below {100 * NEAR_ZERO:g} %",
    )
