"""Figs. 6 to 9: delay and energy of a task against the number of users and of servers, beside the optimum's.

Learners are trained at every point. The paper's figures have no numbers; its statements about them are decided here,
and its headline, 12 % less delay and 25 % less energy than the baselines, against the mean of the three that section 6
names: Greedy, DQN and DDPG. Energy is that of finished tasks: methods that let tasks fail would save otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from offloadopt.reproduce.artefact import DataFrame
from offloadopt.reproduce.claim_builders import ClaimBuilder, Ratio, Trend
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.summary import above_bound, values
from offloadopt.reproduce.sweep import Axis, Panel, Sweep
from offloadopt.reproduce.twin_inference.measurements import BOUND
from offloadopt.reproduce.twin_inference.study import CGAN, GREEDY, OPTIMUM, PAPER_METHODS, STYLES, TwinInferenceStudy

DELAY, ENERGY = "delay_s", "energy_j"
SAVED = {DELAY: 0.12, ENERGY: 0.25}
"""The headline."""
WORDS = {DELAY: "delay", ENERGY: "energy"}
BASELINES = PAPER_METHODS[:3]
PANELS = (
    Panel(DELAY, "delay of a task, ms", 1000.0),
    Panel(ENERGY, "energy of a finished task, mJ", 1000.0),
    Panel("cost_per_task", "cost of a task"),
    Panel("failed", "failed tasks, %", 100.0),
)


def users_figure(study: TwinInferenceStudy) -> Sweep:
    """Figs. 6 and 7, where delay and energy are said to grow."""
    return sweep(study, "users", study.sizes.users, {DELAY: "Fig. 6", ENERGY: "Fig. 7"}, 1.0)


def servers_figure(study: TwinInferenceStudy) -> Sweep:
    """Figs. 8 and 9, where delay and energy are said to fall."""
    return sweep(study, "servers", study.sizes.servers, {DELAY: "Fig. 8", ENERGY: "Fig. 9"}, -1.0)


def sweep(
    study: TwinInferenceStudy, name: str, places: Sequence[int], figures: Mapping[str, str], sign: float
) -> Sweep:
    """All methods on the same held-out instances against the number of users or servers."""
    return Sweep(
        study=study,
        name=name,
        axis=Axis(name, name, places),
        at=lambda replicate, place: study.everything(replicate, study.at(**{name: place})),
        panels=PANELS,
        derive=lambda frame: frame.assign(gap=above_bound(frame, BOUND, name)),
        wide_bands=False,
        claimed=[claim for number in figures for claim in claims_about(study, name, number, figures[number], sign)],
    )


def claims_about(
    study: TwinInferenceStudy, axis: str, number: str, figure: str, sign: float
) -> Iterable[ClaimBuilder | Callable[[DataFrame], Iterable[Claim]]]:
    """The trends of a number, the best and the worst method, and the headline."""
    users, servers = study.sizes.common
    verb = "grows" if sign > 0 else "falls"
    source, word = f"{figure}, section 6", WORDS[number]
    subjects = {CGAN: [CGAN]} if CGAN in study.sizes.slots else {}
    for subject, methods in {**subjects, "every method": [method for method in STYLES if method != BOUND]}.items():
        yield Trend(
            claim=f"A task's {word} {verb} with the number of {axis}: {subject} "
            f"({f'{servers} servers' if axis == 'users' else f'{users} users'})",
            source=source,
            paper=f"{verb} (no numbers)",
            number=number,
            axis=axis,
            methods=methods,
            sign=sign,
            scale=1000.0,
            measured=f"at {{places}} {axis}, in {'ms' if number == DELAY else 'mJ'}: {{found}}",
        )
    if not subjects:
        return
    yield Ratio(
        claim=f"MADDPG-CGAN has the least {word} of the paper's methods, whatever the number of {axis}",
        source=source,
        paper="best (no numbers)",
        number=number,
        axis=axis,
        method=CGAN,
        rivals=PAPER_METHODS,
        lead="/ {rival}: ",
        measured=f"{CGAN} {{found}}",
        rule="the mean ratio to each other method is below 1 at every point; false if one is not",
    )
    yield lambda frame: greedy_has_most(frame, axis, number, source)
    yield lambda frame: headline(frame, axis, number, figure)


def greedy_has_most(frame: DataFrame, axis: str, number: str, source: str) -> Iterable[Claim]:
    """Whether each other method of the paper has less than Greedy."""
    claim = f"Greedy has the most {WORDS[number]} of the paper's methods, whatever the number of {axis}"
    others = [method for method in (CGAN, *PAPER_METHODS[1:]) if method in set(frame["method"])]
    below = [
        Ratio(claim=claim, source=source, number=number, axis=axis, method=method, rivals=[GREEDY]).decide(frame)
        for method in others
    ]
    yield Claim(
        claim,
        source,
        "declines markedly (no numbers)",
        "; ".join(measured for _, measured in below),
        all_hold(itertools.chain.from_iterable(verdicts for verdicts, _ in below)),
        "the mean ratio of each other method to Greedy is below 1 at every point; false if one is not",
    )


def headline(frame: DataFrame, axis: str, number: str, figure: str) -> Iterable[Claim]:
    """What MADDPG-CGAN saves against the mean of the baselines, averaged over all points."""
    rivals = [method for method in BASELINES if method in set(frame["method"])]

    def saved(method: str) -> Interval:
        shares = []
        for place in sorted(set(frame[axis])):
            theirs = [values(frame, number, method=rival, **{axis: place}) for rival in rivals]
            shares.append(1.0 - values(frame, number, method=method, **{axis: place}) / np.mean(theirs, axis=0))
        return Interval.of(np.mean(shares, axis=0))

    ours, limit = saved(CGAN), SAVED[number]
    failing = {method: 100 * float(values(frame, "failed", method=method).mean()) for method in (CGAN, *rivals)}
    yield Claim(
        f"MADDPG-CGAN needs about {limit:.0%} less {WORDS[number]} than the baselines ({figure})",
        "Abstract, section 7",
        f"about {limit:.0%}",
        f"{ours.text(100, '.3g', '+')} % less {'delay' if number == DELAY else 'energy of a finished task'} than the "
        f"mean of {', '.join(rivals)} over all points; the optimum {saved(OPTIMUM).text(100, '.3g', '+')} %; "
        "failed tasks, %: " + ", ".join(f"{method} {share:.2g}" for method, share in failing.items()),
        ours.above(limit),
        f"one minus the ratio to the mean of the baselines, averaged over all points, is above {limit:.0%}",
    )
