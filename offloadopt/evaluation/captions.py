"""What a comparison means, in sentences: what the reference is, what was left out, how each number is defined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from offloadopt.evaluation.plots import DOTS
from offloadopt.evaluation.reference import SAME_COST

if TYPE_CHECKING:
    from offloadopt.evaluation.report import Report

TIME_CAPTION = (
    "Both axes are logarithmic; lower left is better. Filled: the median time of a decision made alone. Hollow: the "
    "mean time per instance when all are decided in one call. Vertical line: the 95 % interval of the mean gap."
)


def lead(report: Report) -> str:
    """What was compared with what, and how much that proves."""
    reference = report.reference
    same = f"Every method decided the same {_count(report.count, 'instance')}. Gaps are measured from "
    if not reference.proved:
        return f"{same}the best cost that any of them found. No method proved a bound, so the true gaps may be larger."
    provers, slack = _list(reference.provers), 100 * reference.slack[reference.measured]
    if not len(slack):
        return f"{same}a bound proved by {provers}, but no method found a feasible decision to measure."
    where = "" if len(slack) == report.count else f", on the {len(slack):,} that have one and a feasible decision"
    if reference.kind == "certified optimum":
        return f"{same}the certified optimum, proved by {provers}{where}."
    return (
        f"{same}a lower bound proved by {provers}{where}. It is not tight: even the best decision found lies "
        f"{slack.mean():.2g} % above it on average, {slack.max():.2g} % at worst. "
        "Gaps are overstated by up to that much."
    )


def facts(report: Report) -> list[tuple[str, str]]:
    """The comparison's identity."""
    pairs = [
        ("Problem", report.problem),
        ("Methods", str(len(report.methods))),
        ("Instances", f"{report.count:,}"),
        ("Reference", report.reference.label),
        ("Seed", str(report.seed)),
    ]
    infeasible = int(report.reference.infeasible.sum())
    return [*pairs, ("Proved infeasible", _count(infeasible, "instance"))] if infeasible else pairs


def results_note(report: Report) -> str:
    """What the table's numbers leave out."""
    rows = report.statistics
    notes = ["Click a heading to sort."]
    few = [f"{row.name} {row.gap_count:,}" for row in rows if row.gap_count < report.count]
    if few:
        notes.append("Costs leave out infeasible decisions, gaps also instances without a reference other than 0.")
        notes.append(f"Instances with a gap: {', '.join(few)}; all others {report.count:,}.")
    fewest, most = min(row.timed_alone for row in rows), max(row.timed_alone for row in rows)
    if most:
        span = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
        notes.append(f"Times alone are of {span} decisions per method.")
    slow = [row.name for row in rows if row.alone_from_batch]
    if slow:
        notes.append(f"Too slow to be asked again, so shown with their times in the batch: {', '.join(slow)}.")
    return " ".join(notes)


def gap_caption(report: Report) -> str:
    """How to read the picture of gaps."""
    dots = "One dot per instance" if report.count <= DOTS else f"Up to {DOTS} dots per method, at even quantiles"
    proved = "solved to proven optimality" if report.reference.proved else "on which the method found the best cost"
    return (
        f"{dots}; the axis is logarithmic. Grey bar: the middle half. Tick: median. Diamond: mean, with its 95 % "
        f"interval. Shaded, where a logarithmic axis cannot reach: the share of the instances {proved}."
    )


def terms(report: Report) -> list[tuple[str, str]]:
    """Every quantity on the page, defined."""
    same = f"{100 * SAME_COST:g} %"
    optimal = (
        ("Optimal", f"a cost within {same} of the proved bound. The share is of all instances.")
        if report.reference.proved
        else ("Best found", f"nothing is proved here; a cost within {same} of the best one counts as equal to it.")
    )
    pairs = [
        (
            "Gap",
            "(cost − reference) / |reference| of one instance, in %. The table gives mean, median and worst over the "
            "instances.",
        ),
        (
            "95 % interval",
            f"of the mean gap: percentile bootstrap over the instances, {report.bootstrap:,} resamples, the same for "
            "every method.",
        ),
        (
            "Gap of means",
            "(mean cost − mean reference) / |mean reference|: what the gap is worth in total. Instances whose small "
            "optimum inflates their own gap weigh less.",
        ),
        (
            "Own proof",
            "the mean gap to the lower bounds that the method itself proved: what it knows about its decisions where "
            "nobody else proves anything.",
        ),
        optimal,
        (
            "Feasible",
            "decisions that keep every constraint. An infeasible decision has no cost and no gap, and loses to any "
            "feasible one.",
        ),
        (
            "Decision time",
            "as each method reports it, without scoring, after a first call that is not timed. Alone: one instance per "
            "call. Batched: mean per instance when all are decided in one call.",
        ),
    ]
    if report.paired_with is not None:
        against = f"cheaper than, within {same} of, or dearer than by {report.paired_with}"
        pairs.append(("Won / tied / lost", f"number of instances decided {against}."))
    return pairs


def _count(number_of: int, what: str) -> str:
    return f"{number_of:,} {what}{'' if number_of == 1 else 's'}"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
