"""Utility and overload against the number of users, and the excess cost of the paper's grid of decisions."""

from __future__ import annotations

from collections.abc import Iterable

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import DataFrame, Unit
from offloadopt.reproduce.claim_builders import Lowest
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.partial_mobile.study import (
    DISCRETE,
    EDGE_ONLY,
    EXACT,
    LEVELS,
    OPTIMUM,
    RANDOM_REQUESTS,
    RULES,
    PartialMobileStudy,
)
from offloadopt.reproduce.summary import reference, values
from offloadopt.reproduce.sweep import Axis, Panel, Sweep

RIVALS = (EDGE_ONLY, RANDOM_REQUESTS)
"""Baselines that can overload servers."""
CONTINUOUS = "continuous"
NEAR = 0.05
"""A cost above the optimum by at most this share counts as near."""
LOOKS = ((plots.ORANGE, ":", "^"), (plots.BLUE, "-", "o"), (plots.GREEN, "--", "s"), (plots.PURPLE, "-.", "d"))
"""Colour, line and marker of each grid, from the coarsest."""


def users_figure(study: PartialMobileStudy) -> Sweep:
    """All methods on the same held-out episodes against the number of users."""
    sizes = study.sizes
    rules = {EXACT: ("exact", {"relative_gap": sizes.user_gap, "time_limit_s": 10.0 * sizes.user_slots}), **RULES}

    def at(replicate: int, users: int) -> Iterable[Unit]:
        scenario = study.scenario(users=users, horizon=sizes.user_slots)
        test = study.test(replicate, scenario, count=sizes.user_episodes)
        return [
            study.solvers(replicate, scenario, rules, test=test),
            *study.learned(replicate, scenario, test["count"]),
        ]

    less_overload = Lowest(
        claim=f"The {DISCRETE} overloads servers less often than baselines, whatever the number of users",
        source="abstract",
        paper="effectively reduces the overload probability (no numbers, baselines not named)",
        number="overload",
        axis="users",
        method=DISCRETE,
        rivals=RIVALS,
        lead="minus {rival}: ",
        scale=100.0,
        measured="percent of servers and slots, {found}; 0 wherever a server shares its CPU optimally",
        rule=f"the mean paired difference to {' and '.join(RIVALS)} is below 0 at every number of users; "
        "false if one is not",
    )
    return Sweep(
        study=study,
        name="users",
        axis=Axis("users", "users", sizes.users),
        at=at,
        panels=(Panel("utility", "mean utility"), Panel("overload", "overloaded servers, % of slots", 100.0)),
        claimed=(less_overload,),
        legend_columns=4,
    )


def grid_figure(study: PartialMobileStudy) -> Sweep:
    """Excess cost of Algorithm 2's levels: the best decisions on a grid against the continuous optimum.

    If the weight of time is small, overloading a server is optimal, because requests reduced in proportion give finer
    shares of CPU than the grid. The grid's solver covers only equal ones of those: its cost is then the best known.
    """
    grids = study.sizes.levels

    def at(replicate: int, weight: float) -> Iterable[Unit]:
        scenario = study.scenario(time_weight=weight)
        yield study.solvers(replicate, scenario, OPTIMUM, decisions=CONTINUOUS)
        for levels in grids:
            yield study.solvers(replicate, scenario, study.grid(levels), decisions=grid_label(levels))

    def excess(frame: DataFrame) -> DataFrame:
        return frame.assign(excess=frame["cost"] / reference(frame, "cost", ["weight"], decisions=CONTINUOUS) - 1.0)

    labels = [grid_label(levels) for levels in grids]
    looks = {label: plots.Style(label, *look) for label, look in zip(labels, LOOKS, strict=False)}
    return Sweep(
        study=study,
        name="grid",
        axis=Axis("weight", "weight of time", study.sizes.level_weights, "time_weight"),
        at=at,
        panels=(
            Panel("excess", "cost above the continuous optimum, %", 100.0, span=(0.7, 1.4), without=[CONTINUOUS]),
            Panel("utility", "mean utility"),
        ),
        claimed=(near_optimum,) if LEVELS in grids else (),
        styles={**looks, CONTINUOUS: plots.Style(CONTINUOUS, plots.BLACK)},
        by="decisions",
        numbers=("cost", "utility", "time_s", "energy_j"),
        derive=excess,
    )


def near_optimum(frame: DataFrame) -> Iterable[Claim]:
    """Whether the paper's number of levels leaves good decisions to choose from."""
    weights = sorted(set(frame["weight"]))
    found = [Interval.of(values(frame, "excess", weight=weight, decisions=grid_label(LEVELS))) for weight in weights]
    numbers = [f"{excess.text(100, sign='+')} at {weight:g}" for excess, weight in zip(found, weights, strict=True)]
    yield Claim(
        f"{LEVELS} levels of ratio and CPU leave near-optimal decisions to choose from",
        "Algorithm 2 (implied: nothing is said of what the encoding costs)",
        "no numbers",
        f"cost of the best decisions on the grid, % above the optimum: {', '.join(numbers)}",
        all_hold(excess.below(NEAR) for excess in found),
        f"the mean excess is below {100 * NEAR:g} % at every weight; false if one is not",
    )


def grid_label(levels: int) -> str:
    """Label of a grid."""
    return f"K = {levels}"
