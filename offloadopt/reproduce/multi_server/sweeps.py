"""Figures 9 and 10: time and energy of DIRS and of the simple rules by the number of users and of servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from offloadopt.core import FloatArray
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import DataFrame, Unit
from offloadopt.reproduce.claim_builders import Lowest, steps_along
from offloadopt.reproduce.claims import Claim, Interval, Verdict, all_hold
from offloadopt.reproduce.multi_server.measurements import OPTIMUM
from offloadopt.reproduce.multi_server.study import DIRS, REFERENCES, RULE_STYLES, RULES, SHIFTS, MultiServerStudy
from offloadopt.reproduce.summary import values
from offloadopt.reproduce.sweep import Axis, Panel, Sweep

STYLES = {**RULE_STYLES, DIRS: plots.Style("DIRS", plots.BLUE, "-", "o"), OPTIMUM: REFERENCES[OPTIMUM]}
METRICS = {"time_s": ("time", "s"), "energy_j": ("energy", "J")}
PANELS = (
    Panel("time_s", "mean time of all devices, s"),
    Panel("energy_j", "mean energy of all devices, J"),
    Panel("cost", "mean cost (11)"),
    Panel("gap", "mean gap to the optimum, %", 100.0, span=(0.5, 2.0), without=[OPTIMUM]),
)


def users_figure(study: MultiServerStudy) -> Sweep:
    """Figure 9; time, energy and the saving by DIRS also grow with the users."""
    users = Axis("users", "users N", study.sizes.users)
    return _sweep(study, "fig-9", users, (*_lowest("users", "Fig. 9"), growth, widening))


def servers_figure(study: MultiServerStudy) -> Sweep:
    """Figure 10."""
    servers = Axis("servers", "servers M", study.sizes.servers)
    return _sweep(study, "fig-10", servers, _lowest("servers", "Fig. 10"))


def _sweep(
    study: MultiServerStudy, name: str, axis: Axis, claimed: Iterable[Callable[[DataFrame], Iterable[Claim]]]
) -> Sweep:
    """A policy of its own is trained for every point; all methods decide the same held-out instances."""

    def at(replicate: int, place: int) -> Iterable[Unit]:
        scenario = study.layout(replicate, "paper", **{axis.column: place})
        return study.rules(replicate, scenario), study.learned(DIRS, replicate, scenario)

    return Sweep(
        study=study,
        name=name,
        axis=axis,
        at=at,
        panels=PANELS,
        claimed=tuple(claimed),
        styles=STYLES,
        without=tuple(SHIFTS),
    )


@dataclass(frozen=True, kw_only=True)
class LowestOfAll(Lowest):
    """DIRS has less of a number than each rule; the point with the least difference is named, with the optimum's."""

    unit: str

    def decide(self, frame: DataFrame) -> tuple[list[Verdict], str]:
        """Each rule at each point."""
        verdicts: list[Verdict] = []
        worst = []
        for rule in self.rivals:
            differences = self.against(frame, rule)
            verdicts += [difference.below(0.0) for difference in differences.values()]
            point = max(differences, key=lambda at: differences[at].mean)
            best = replace(self, method=OPTIMUM).against(frame, rule)[point]
            most = differences[point].text(sign="+")
            own = f"{best.mean:+.3g} for the optimum"
            worst.append(f"DIRS - {rule.title()} at most {most} {self.unit} ({point} {self.axis}; {own})")
        return verdicts, "; ".join(worst)


def _lowest(field: str, source: str) -> list[LowestOfAll]:
    """DIRS takes less time, and less energy, than each rule at every point."""
    return [
        LowestOfAll(
            claim=f"DIRS has the lowest mean {word} of DIRS, Greedy, Random and Local at every number of {field}",
            source=source,
            paper=f"lowest at all {field} (curves only)",
            number=metric,
            axis=field,
            method=DIRS,
            rivals=RULES,
            rule="the mean paired difference to each rule is below 0 at every point; false if one is not",
            unit=unit,
        )
        for metric, (word, unit) in METRICS.items()
    ]


def growth(frame: DataFrame) -> Iterable[Claim]:
    """Time and energy grow with the users."""
    first, last = min(frame["users"]), max(frame["users"])
    steps = [
        step
        for method in (DIRS, *RULES)
        for metric in METRICS
        for step in steps_along(frame, metric, "users", method=method)
    ]
    few, many = (Interval.of(values(frame, "time_s", method=DIRS, users=users)).text() for users in (first, last))
    yield Claim(
        "Mean time and energy of all methods grow with the number of users",
        "Fig. 9",
        "all curves rise (curves only)",
        f"time of DIRS {few} s with {first} users, {many} s with {last}",
        all_hold(step.above(0.0) for step in steps),
        "the mean paired difference of neighbouring points is above 0 for each method, in time and in energy",
    )


def widening(frame: DataFrame) -> Iterable[Claim]:
    """The saving by DIRS grows with the users."""
    first, last = min(frame["users"]), max(frame["users"])

    def saved(rule: str, users: int) -> FloatArray:
        theirs, ours = (values(frame, "cost", method=method, users=users) for method in (rule, DIRS))
        return theirs - ours

    measured = [
        f"{rule.title()} - DIRS: {Interval.of(saved(rule, first)).text()} with {first} users, "
        f"{Interval.of(saved(rule, last)).text()} with {last}"
        for rule in RULES
    ]
    yield Claim(
        "The advantage of DIRS over Greedy, Random and Local grows with the number of users",
        "Fig. 9",
        "largest where the number of users is large (curves only)",
        "cost saved: " + "; ".join(measured),
        all_hold(Interval.of(saved(rule, last) - saved(rule, first)).above(0.0) for rule in RULES),
        f"for each rule the mean paired difference of the cost saved with {last} and with {first} users is above 0",
    )
