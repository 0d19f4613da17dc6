"""The numbers of the table against other ways to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from offloadopt.evaluation.reference import Reference
from offloadopt.evaluation.statistics import (
    _BLOCK,
    MethodRun,
    Statistics,
    gap_of_means,
    mean_interval,
    paired_counts,
    summarise,
)

INF = np.inf


def row(
    cost: list[float],
    reference: list[float],
    provers: tuple[str, ...] = ("p",),
    bound: list[float] | None = None,
) -> Statistics:
    values = np.array(reference, dtype=float)
    run = MethodRun(
        "m",
        {},
        np.array(cost, dtype=float),
        np.array([-INF] * len(cost) if bound is None else bound, dtype=float),
        seconds=np.array([0.001, 0.003]),
        seconds_alone=np.array([0.002, 0.004, 0.009]),
        alone_from_batch=False,
    )
    return summarise(run, Reference(values, provers, np.zeros(len(cost))), opponent=None, resamples=500, seed=3)


def test_the_gap_is_relative_to_the_reference_of_each_instance() -> None:
    found = row([11.0, 30.0, 8.0], [10.0, 20.0, 8.0])
    assert found.gap_mean == pytest.approx((0.1 + 0.5 + 0.0) / 3)
    assert found.gap_median == pytest.approx(0.1)
    assert found.gap_worst == pytest.approx(0.5)
    assert found.optimal_share == pytest.approx(1 / 3)
    assert found.mean_cost == pytest.approx(49 / 3)


def test_a_negative_reference_gives_a_positive_gap() -> None:
    assert row([-9.0], [-10.0]).gap_mean == pytest.approx(0.1)


def test_a_methods_own_gap_is_measured_from_what_it_proved_itself() -> None:
    found = row([11.0, 30.0, 8.0, INF], [10.0, 30.0, 8.0, 5.0], bound=[8.0, 25.0, -INF, 5.0])
    assert found.own_gap_mean == pytest.approx((3 / 8 + 5 / 25) / 2)
    assert row([11.0], [10.0]).own_gap_mean is None


def test_the_gap_of_means_differs_from_the_mean_of_gaps() -> None:
    found = row([2.0, 100.0], [1.0, 100.0])
    assert found.gap_mean == pytest.approx(0.5)
    assert found.gap_of_means == pytest.approx(1 / 101)


def test_the_gap_of_means_uses_only_instances_that_have_a_gap() -> None:
    found = row([2.0, INF, 7.0], [1.0, 5.0, -INF])
    assert found.gap_of_means == pytest.approx(1.0)
    assert found.gap_count == 1


def test_infeasible_decisions_have_neither_cost_nor_gap_but_count_in_the_shares() -> None:
    found = row([11.0, INF, INF, 10.0], [10.0, 10.0, 10.0, 10.0])
    assert found.mean_cost == pytest.approx(10.5)
    assert found.gap_mean == pytest.approx(0.05)
    assert found.feasible_share == 0.5
    assert found.optimal_share == 0.25


def test_without_a_feasible_decision_there_are_no_numbers() -> None:
    found = row([INF, INF], [1.0, 2.0])
    assert (found.mean_cost, found.gap_mean, found.gap_low, found.gap_high) == (None,) * 4
    assert (found.gap_median, found.gap_worst, found.gap_of_means) == (None,) * 3
    assert found.feasible_share == 0.0
    assert found.optimal_share == 0.0


def test_nothing_is_called_optimal_without_a_proof() -> None:
    assert row([1.0, 2.0], [1.0, 2.0], provers=()).optimal_share is None


def test_a_reference_of_zero_gives_no_gap_unless_it_is_met() -> None:
    found = row([0.0, 1.0], [0.0, 0.0])
    assert found.gap_count == 1
    assert found.gap_mean == 0.0
    assert gap_of_means(np.array([1.0]), np.array([0.0])) is None


def test_times_are_milliseconds_and_agree_with_numpy() -> None:
    found = row([1.0, 1.0], [1.0, 1.0])
    assert found.batched_ms == pytest.approx(2.0)
    assert found.decision_ms_median == pytest.approx(4.0)
    assert found.decision_ms_p99 == pytest.approx(np.percentile([2.0, 4.0, 9.0], 99))
    assert found.timed_alone == 3


def test_the_interval_agrees_with_scipys_bootstrap() -> None:
    values = np.random.default_rng(0).exponential(size=80)
    ours = mean_interval(values, resamples=20_000, seed=1)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.05 * values.std() / np.sqrt(80) * 4)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    hits = [
        low <= 0.0 <= high
        for low, high in (mean_interval(rng.normal(size=60), resamples=300, seed=7) for _ in range(400))
    ]
    assert 0.90 <= np.mean(hits) <= 0.98


def test_the_interval_is_the_same_whatever_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=50)
    whole = mean_interval(values, resamples=501, seed=1)
    monkeypatch.setattr("offloadopt.evaluation.statistics._BLOCK", 7 * 50)
    assert _BLOCK > 501 * 50  # the first was one block
    assert mean_interval(values, resamples=501, seed=1) == whole


def test_equal_gaps_have_an_interval_without_width() -> None:
    assert mean_interval(np.zeros(20), resamples=100, seed=0) == (0.0, 0.0)


@pytest.mark.parametrize(("values", "resamples"), [([0.3], 100), ([], 100), ([0.1, 0.2], 0)])
def test_too_little_data_gives_no_interval(values: list[float], resamples: int) -> None:
    assert mean_interval(np.array(values), resamples=resamples, seed=0) is None


def test_pairs_count_wins_ties_and_losses_and_infeasible_loses() -> None:
    ours = np.array([1.0, 2.0, 3.0, INF, 5.0, INF])
    theirs = np.array([2.0, 2.0 + 1e-9, 2.0, 4.0, INF, INF])
    assert paired_counts(ours, theirs) == (2, 2, 2)
    assert paired_counts(theirs, ours) == (2, 2, 2)


def test_pairs_count_every_instance_once() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(1, 4, 100).astype(float), rng.integers(1, 4, 100).astype(float)
    wins, ties, losses = paired_counts(ours, theirs)
    assert (wins, ties, losses) == (sum(ours < theirs), sum(ours == theirs), sum(ours > theirs))


def test_a_method_proves_if_it_has_any_bound() -> None:
    cost = np.ones(2)
    runs = [MethodRun("m", {}, cost, np.array(bound), cost, cost, False) for bound in ([-INF, 1.0], [-INF, -INF])]
    assert [run.proves for run in runs] == [True, False]


def test_metrics_leave_out_infeasible_decisions_and_what_is_not_finite() -> None:
    cost, none = np.array([1.0, INF, 3.0]), np.full(3, -INF)
    metrics = {"energy_j": np.array([2.0, 100.0, 4.0]), "time_s": np.array([1.0, 1.0, INF])}
    run = MethodRun("m", {}, cost, none, np.ones(3), np.ones(3), False, metrics)
    found = summarise(run, Reference(cost, (), np.zeros(3)), opponent=None, resamples=10, seed=0)
    assert found.metrics == {"energy_j": 3.0, "time_s": None}
    columns = found.columns()
    assert columns["metric_energy_j"] == 3.0
    assert "metrics" not in columns
    hopeless = MethodRun("m", {}, np.full(3, INF), none, np.ones(3), np.ones(3), False, metrics)
    assert summarise(
        hopeless, Reference(cost, (), np.zeros(3)), opponent=None, resamples=10, seed=0
    ).metrics == {"energy_j": None, "time_s": None}  # fmt: skip
