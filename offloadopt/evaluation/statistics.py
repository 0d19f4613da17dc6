"""Summary statistics of a method: means, gaps with confidence intervals, times, wins and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from offloadopt.core import FloatArray, relative_gap
from offloadopt.evaluation.reference import SAME_COST, Reference

LEVEL = 0.95
"""Coverage of every interval."""
_BLOCK = 1 << 20  # resampled values held in memory at a time


@dataclass(frozen=True)
class MethodRun:
    """Costs, bounds and times of one method.

    Attributes
    ----------
    name : str
    settings : mapping
        The method's fields, if it has any.
    cost : array [count]
        ``inf`` where the decision is infeasible.
    bound : array [count]
        Proved lower bound, ``-inf`` where there is none.
    seconds : array [count]
        Time per instance when all are decided in one call.
    seconds_alone : array [timed]
        Times of decisions made one at a time.
    alone_from_batch : bool
        Whether ``seconds_alone`` are ``seconds``, because the method is too slow to be run again.
    metrics : mapping of str to array [count]
        The problem's metrics of the decisions.
    """

    name: str
    settings: Mapping[str, Any]
    cost: FloatArray
    bound: FloatArray
    seconds: FloatArray
    seconds_alone: FloatArray
    alone_from_batch: bool
    metrics: Mapping[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def concatenate(cls, parts: Sequence[MethodRun]) -> MethodRun:
        """Join runs of one method on instances that follow each other."""
        first = parts[0]
        if len(parts) == 1:
            return first

        def joined(name: str) -> FloatArray:
            return np.concatenate([getattr(part, name) for part in parts])

        return replace(
            first,
            cost=joined("cost"),
            bound=joined("bound"),
            seconds=joined("seconds"),
            seconds_alone=joined("seconds_alone"),
            alone_from_batch=any(part.alone_from_batch for part in parts),
            metrics={name: np.concatenate([part.metrics[name] for part in parts]) for name in first.metrics},
        )

    @property
    def proves(self) -> bool:
        """Whether the method proved a bound for any instance."""
        return not bool(np.isneginf(self.bound).all())


@dataclass(frozen=True)
class Statistics:
    """Statistics of one method. ``None`` stands for a number that does not exist, such as a gap without a reference.

    Attributes
    ----------
    mean_cost : float
        Mean over the instances that the method decided feasibly.
    gap_mean, gap_low, gap_high, gap_median, gap_worst : float
        Relative gaps to the reference: mean of the gaps, its 95 % bootstrap interval, median, largest.
    optimal_share : float
        Share of all instances decided within `SAME_COST` of a proved bound.
    feasible_share : float
        Share of all instances decided feasibly.
    decision_ms_median, decision_ms_p99 : float
        Time to decide one instance alone, in ms: median and 99th percentile. With a horizon, of a whole episode.
    gap_of_means : float
        Gap of the mean cost to the mean reference, over the same instances as ``gap_mean``.
    gap_count : int
        Instances that have a gap.
    batched_ms : float
        Mean time per instance, in ms, when all are decided in one call.
    timed_alone : int
        Instances that ``decision_ms_median`` and ``decision_ms_p99`` are computed from.
    alone_from_batch : bool
        Whether those are times from the batch, because the method is too slow to be run again.
    own_gap_mean : float
        Mean relative gap to the bounds that the method itself proved, over the instances that have one.
    wins, ties, losses : int
        Instances on which the method is cheaper than, within `SAME_COST` of, dearer than the method it is paired with;
        an infeasible decision loses to a feasible one.
    metrics : dict of str to float
        Mean of each of the problem's metrics over the instances that the method decided feasibly.
    """

    name: str
    mean_cost: float | None
    gap_mean: float | None
    gap_low: float | None
    gap_high: float | None
    gap_median: float | None
    gap_worst: float | None
    optimal_share: float | None
    feasible_share: float
    decision_ms_median: float | None
    decision_ms_p99: float | None
    gap_of_means: float | None
    gap_count: int
    batched_ms: float
    timed_alone: int
    alone_from_batch: bool
    own_gap_mean: float | None
    wins: int | None
    ties: int | None
    losses: int | None
    metrics: dict[str, float | None] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """Return the numbers as cells of one row; each metric has a column of its own, ``metric_<name>``."""
        cells = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "metrics"}
        return {**cells, **{f"metric_{name}": value for name, value in self.metrics.items()}}


def summarise(
    run: MethodRun, reference: Reference, *, opponent: FloatArray | None, resamples: int, seed: int
) -> Statistics:
    """Compute one method's statistics.

    Parameters
    ----------
    run : MethodRun
    reference : Reference
    opponent : array [count], optional
        Costs of the method that this one is paired with.
    resamples, seed : int
        Of the bootstrap.
    """
    cost, alone = run.cost, run.seconds_alone
    feasible = np.isfinite(cost)
    gap = reference.gap(cost)
    has_gap = np.isfinite(gap)
    gaps = gap[has_gap]
    own_gap = relative_gap(cost, run.bound)
    proved = np.isfinite(own_gap)
    low, high = mean_interval(gaps, resamples=resamples, seed=seed) or (None, None)
    wins, ties, losses = (None, None, None) if opponent is None else paired_counts(cost, opponent)
    return Statistics(
        name=run.name,
        mean_cost=_number(cost[feasible].mean()) if feasible.any() else None,
        gap_mean=_number(gaps.mean()) if has_gap.any() else None,
        gap_low=low,
        gap_high=high,
        gap_median=_number(np.median(gaps)) if has_gap.any() else None,
        gap_worst=_number(gaps.max()) if has_gap.any() else None,
        optimal_share=_number(np.mean(has_gap & (gap <= SAME_COST))) if reference.proved else None,
        feasible_share=float(feasible.mean()),
        decision_ms_median=_number(1e3 * np.median(alone)) if len(alone) else None,
        decision_ms_p99=_number(1e3 * np.percentile(alone, 99)) if len(alone) else None,
        gap_of_means=gap_of_means(cost[has_gap], reference.values[has_gap]),
        gap_count=int(has_gap.sum()),
        batched_ms=float(1e3 * run.seconds.mean()),
        timed_alone=len(alone),
        alone_from_batch=run.alone_from_batch,
        own_gap_mean=_number(own_gap[proved].mean()) if proved.any() else None,
        wins=wins,
        ties=ties,
        losses=losses,
        metrics={
            name: _number(np.mean(values[feasible])) if feasible.any() else None for name, values in run.metrics.items()
        },
    )


def mean_interval(values: FloatArray, *, resamples: int, seed: int) -> tuple[float, float] | None:
    """Compute the percentile bootstrap interval of a mean (Efron & Tibshirani 1993, section 13.3).

    ``None`` for fewer than two values, which tell nothing about the spread.
    Equal seeds and lengths give equal resamples, so methods on the same instances share them.
    """
    count = len(values)
    if count < 2 or resamples < 1:
        return None
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // count)
    means = [
        values[rng.integers(count, size=(min(rows, resamples - begin), count))].mean(axis=1)
        for begin in range(0, resamples, rows)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def gap_of_means(cost: FloatArray, reference: FloatArray) -> float | None:
    """Compute ``(mean cost - mean reference) / |mean reference|``: the gap of the total cost."""
    if not len(cost) or reference.mean() == 0.0:
        return None
    return _number((cost.mean() - reference.mean()) / abs(reference.mean()))


def paired_counts(cost: FloatArray, opponent: FloatArray) -> tuple[int, int, int]:
    """Count wins, ties and losses on the same instances; two infeasible decisions tie."""
    margin = SAME_COST * np.where(np.isfinite(opponent), np.abs(opponent), 0.0)
    wins, losses = cost < opponent - margin, cost > opponent + margin
    return int(wins.sum()), int(len(cost) - wins.sum() - losses.sum()), int(losses.sum())


def _number(value: np.floating) -> float | None:
    """Convert to a finite float, or ``None``: NaN and infinity are not JSON."""
    return float(value) if np.isfinite(value) else None
