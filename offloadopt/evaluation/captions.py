"""Sentences that explain a comparison: its reference, what the numbers leave out, how each number is defined."""

from __future__ import annotations

from collections.abc import Sequence

from offloadopt.core import FEASIBILITY_TOLERANCE
from offloadopt.evaluation.plots import DOTS
from offloadopt.evaluation.reference import SAME_COST, Reference
from offloadopt.evaluation.statistics import Statistics


def lead(reference: Reference, horizon: int) -> str:
    """State how many instances were decided and what the gaps are measured from."""
    return f"Every method decided the same {_count(reference.count, 'instance')}. {reference_note(reference, horizon)}"


def reference_note(reference: Reference, horizon: int) -> str:
    """State in plain words what the gaps are measured from, how tight it is, and what it knows.

    Parameters
    ----------
    reference : Reference
    horizon : int
        Slots of an episode.
    """
    if not reference.proved:
        note = (
            "Gaps are measured from the best cost that any method found. No method proved a bound, so the true gaps "
            "may be larger."
        )
        return _with_hindsight(note, reference, horizon)
    provers, slack = _enumerate(reference.provers), 100 * reference.slack[reference.measured]
    if not len(slack):
        return f"Gaps are measured from a bound proved by {provers}, but no method found a feasible decision."
    covered = (
        ""
        if len(slack) == reference.count
        else f", on {_count(len(slack), 'instance')} with a bound and a feasible decision"
    )
    if reference.kind == "certified optimum":
        note = f"Gaps are measured from the certified optimum, proved by {provers}{covered}."
    else:
        note = (
            f"Gaps are measured from a lower bound proved by {provers}{covered}. It is not tight: even the best "
            f"decision found lies {slack.mean():.2g} % above it on average, {slack.max():.2g} % at worst. Gaps are "
            "overstated by up to that much."
        )
    return _with_hindsight(note, reference, horizon)


def _with_hindsight(note: str, reference: Reference, horizon: int) -> str:
    """Add what a reference that knows nature's later slots means for other methods."""
    if not reference.hindsight:
        return note
    return (
        f"{note} It is a reference in hindsight: it knows all {horizon:,} slots of an episode from the start. A method "
        "that decides slot by slot does not know the future, so part of its gap may be impossible to close."
    )


def feasibility_note() -> str:
    """State the tolerance of constraints."""
    return f"Feasible: no constraint has a relative violation above {FEASIBILITY_TOLERANCE:g}."


def time_note(horizon: int) -> str:
    """State what is timed in problems with a horizon."""
    return f"Times are those of a whole episode of {horizon:,} slots, not of one slot."


def workers_note(workers: int) -> str:
    """State what times are worth that were taken side by side."""
    return (
        f"Methods ran side by side in {workers} processes: times include what they take from each other. Compare times "
        "of one process alone."
    )


def summary_notes(reference: Reference, horizon: int, workers: int = 1) -> list[str]:
    """List the sentences below the summary's table."""
    notes = [reference_note(reference, horizon), feasibility_note()]
    return [*notes, *([time_note(horizon)] if horizon > 1 else []), *([workers_note(workers)] if workers > 1 else [])]


def facts(problem: str, methods: int, reference: Reference, seed: int, horizon: int) -> list[tuple[str, str]]:
    """List what identifies the comparison, as pairs of name and value."""
    pairs = [
        ("Problem", problem),
        ("Methods", str(methods)),
        ("Instances", f"{reference.count:,}" if horizon == 1 else f"{reference.count:,} episodes of {horizon:,} slots"),
        ("Reference", reference.label),
        ("Seed", str(seed)),
    ]
    infeasible = int(reference.infeasible.sum())
    return [*pairs, ("Proved infeasible", _count(infeasible, "instance"))] if infeasible else pairs


def metrics_note() -> str:
    """State what the problem's metrics are."""
    return (
        "Means over the instances that a method decided feasibly, as the problem itself computes them. The unit is the "
        "last part of a name; of a whole episode where there is one. CSV, JSON and Parquet have all of them too."
    )


def results_note(statistics: Sequence[Statistics], reference: Reference, workers: int = 1) -> str:
    """State what the table's numbers leave out."""
    notes = ["Click a heading to sort."]
    incomplete = [f"{row.name} {row.gap_count:,}" for row in statistics if row.gap_count < reference.count]
    if incomplete:
        notes.append("Costs leave out infeasible decisions, gaps also instances without a reference other than 0.")
        notes.append(f"Instances with a gap: {', '.join(incomplete)}; all others {reference.count:,}.")
    fewest, most = min(row.timed_alone for row in statistics), max(row.timed_alone for row in statistics)
    if most:
        span = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
        notes.append(f"Times alone are of {span} instances per method.")
    slow = [row.name for row in statistics if row.alone_from_batch]
    if slow:
        notes.append(f"Too slow to be run again, so shown with their times in the batch: {', '.join(slow)}.")
    if workers > 1:
        notes.append(workers_note(workers))
    return " ".join(notes)


def gap_caption(reference: Reference) -> str:
    """Explain the figure of the distribution of gaps."""
    dots = "One dot per instance" if reference.count <= DOTS else f"Up to {DOTS} dots per method, at even quantiles"
    equal = "solved to proven optimality" if reference.proved else "on which the method found the best cost"
    return (
        f"{dots}; the axis is logarithmic. Grey bar: the middle half. Tick: median. Diamond: mean, with its 95 % "
        f"interval. Shaded, where a logarithmic axis cannot reach: the share of the instances {equal}."
    )


def time_caption(horizon: int) -> str:
    """Explain the figure of gap against decision time."""
    timed = "a decision made alone" if horizon == 1 else f"a whole episode of {horizon:,} slots decided alone"
    return (
        f"Both axes are logarithmic; lower left is better. Filled: the median time of {timed}. Hollow: the mean time "
        "per instance when all are decided in one call. Vertical line: the 95 % interval of the mean gap."
    )


def terms(reference: Reference, *, bootstrap: int, paired_with: str | None, horizon: int) -> list[tuple[str, str]]:
    """Define every quantity of the report, as pairs of term and definition."""
    same = f"{100 * SAME_COST:g} %"
    optimal = (
        ("Optimal", f"a cost within {same} of the proved bound. The share is of all instances.")
        if reference.proved
        else ("Best found", f"nothing is proved here; a cost within {same} of the best one counts as equal to it.")
    )
    timed = "" if horizon == 1 else f" One instance is a whole episode of {horizon:,} slots."
    pairs = [
        (
            "Gap",
            "(cost − reference) / |reference| of one instance, in %. The table gives mean, median and worst over the "
            "instances.",
        ),
        (
            "95 % interval",
            f"of the mean gap: percentile bootstrap over the instances, {bootstrap:,} resamples, the same for every "
            "method.",
        ),
        (
            "Gap of means",
            "(mean cost − mean reference) / |mean reference|: the gap of the total cost. Instances whose small optimum "
            "inflates their own gap weigh less.",
        ),
        (
            "Own proof",
            "the mean gap to the lower bounds that the method itself proved: its own guarantee, also where no other "
            "method proves anything.",
        ),
        optimal,
        (
            "Feasible",
            f"decisions without a relative violation of any constraint above {FEASIBILITY_TOLERANCE:g}. An infeasible "
            "decision has no cost and no gap, and loses to any feasible one.",
        ),
        (
            "Decision time",
            "as each method reports it, without scoring, after a first call that is not timed. Alone: one instance per "
            f"call. Batched: mean per instance when all are decided in one call.{timed}",
        ),
    ]
    if paired_with is not None:
        against = f"cheaper than, within {same} of, or dearer than by {paired_with}"
        pairs.append(("Won / tied / lost", f"number of instances decided {against}."))
    return pairs


def _count(quantity: int, noun: str) -> str:
    return f"{quantity:,} {noun}{'' if quantity == 1 else 's'}"


def _enumerate(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
