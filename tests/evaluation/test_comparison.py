"""Running a comparison: the same instances for all, the problem's own costs, and what is refused."""

from __future__ import annotations

import itertools
import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Decisions, Instances, IntArray, Method, Problem, Progress, Solutions, Solver
from offloadopt.errors import BrokenProof, InvalidInput, UnknownName, Unsupported
from offloadopt.evaluation import InterruptedComparison, Report, compare
from offloadopt.formats import csv_tables
from offloadopt.problems.multi_server import MultiServer
from offloadopt.structures.assignment import AssignmentProblem

SECONDS = 0.25


class Assigns(Method):
    """Decides by an assignment of its own, then allocates optimally."""

    name = "assigns"

    def __init__(self) -> None:
        self.seen: list[Instances] = []
        self.seeds: list[int] = []

    def assignment(self, problem: MultiServer, instances: Instances, seed: int) -> IntArray:
        return np.zeros((instances.count, problem.tasks), dtype=np.int64)

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        assert isinstance(problem, MultiServer)
        self.seen.append(instances)
        self.seeds.append(seed)
        decisions = problem.allocate(instances, self.assignment(problem, instances, seed))
        return Solutions.scored(problem, instances, self.spoiled(decisions), seconds=SECONDS)

    def spoiled(self, decisions: Decisions) -> Decisions:
        return decisions


class AtRandom(Assigns):
    def assignment(self, problem: MultiServer, instances: Instances, seed: int) -> IntArray:
        return np.random.default_rng(seed).integers(problem.servers + 1, size=(instances.count, problem.tasks))


class Overloads(Assigns):
    """Promises every CPU twice on the first instances."""

    def __init__(self, spoil: int) -> None:
        super().__init__()
        self.spoil = spoil

    def assignment(self, problem: MultiServer, instances: Instances, seed: int) -> IntArray:
        return np.ones((instances.count, problem.tasks), dtype=np.int64)

    def spoiled(self, decisions: Decisions) -> Decisions:
        factor = np.where(np.arange(decisions.count) < self.spoil, 1.5, 1.0)
        return Decisions({**decisions, "cpu_hz": decisions["cpu_hz"] * factor[:, None]})


class Proves(Assigns):
    """Tries every assignment; its bound is its cost times ``honesty``."""

    def __init__(self, honesty: float = 1.0) -> None:
        super().__init__()
        self.honesty = honesty

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        assert isinstance(problem, MultiServer)
        every = np.array(list(itertools.product(range(problem.servers + 1), repeat=problem.tasks)))
        costs = problem.costs(instances).cost(np.broadcast_to(every, (instances.count, *every.shape)))
        decisions = problem.allocate(instances, every[costs.argmin(axis=1)])
        bound = self.honesty * costs.min(axis=1)
        if self.honesty > 1:  # a liar hides its lie behind a dearer decision of its own
            decisions = problem.allocate(instances, every[costs.argmax(axis=1)])
        return Solutions.scored(problem, instances, decisions, seconds=SECONDS, bound=bound)


class NeedsMore(Solver):
    name = "needs-more"

    class Structure(AssignmentProblem[Any]):
        pass

    serves = Structure

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        raise AssertionError("must be refused before it runs")


@pytest.fixture
def problem() -> Problem[Any]:
    return offloadopt.problem("multi_server", "heterogeneous", users=4)


@pytest.fixture
def instances(problem: Problem[Any]) -> Instances:
    return problem.sample(12, seed=1)


def quick(problem: Problem[Any], methods: dict[str, Method], instances: Instances, **options: Any) -> Report:
    return compare(problem, methods, instances, **{"single_decisions": 2, "bootstrap": 50, **options})


def test_gaps_equal_an_independent_computation(problem: Problem[Any], instances: Instances) -> None:
    exact, local = Proves().run(problem, instances), Assigns().run(problem, instances)
    report = quick(problem, {"exact": Proves(), "local": Assigns()}, instances)
    gap = local.objective / exact.objective - 1
    found = report.to_frame().loc["local"]
    assert report.reference.label == "certified optimum"
    assert found["gap_mean"] == pytest.approx(gap.mean())
    assert found["gap_worst"] == pytest.approx(gap.max())
    assert found["gap_of_means"] == pytest.approx(local.objective.sum() / exact.objective.sum() - 1)
    assert report.to_frame().loc["exact", "optimal_share"] == 1.0


def test_a_comparison_can_be_written_as_strict_json(problem: Problem[Any], instances: Instances) -> None:
    read = json.loads(quick(problem, {"exact": Proves(), "overloads": Overloads(spoil=12)}, instances).to_json())
    assert read["scenario"]["bandwidth_hz"] == 1e6
    assert read["methods"][1]["mean_cost"] is None
    assert read["instances"] == 12


def test_every_method_decides_the_same_instances_with_the_same_seed(
    problem: Problem[Any], instances: Instances
) -> None:
    first, second = Assigns(), AtRandom()
    quick(problem, {"first": first, "second": second}, instances, seed=9)
    assert first.seen[1] is instances
    assert second.seen[1] is instances
    assert set(first.seeds) == set(second.seeds) == {9}


def test_costs_are_the_problems_not_the_methods(problem: Problem[Any], instances: Instances) -> None:
    class Boasts(Assigns):
        def run(self, problem: Problem[Any], instances: Instances, **options: Any) -> Solutions:
            honest = super().run(problem, instances, **options)
            return Solutions(honest.decisions, honest.objective / 2, honest.bound, honest.status, honest.seconds)

    report = quick(problem, {"boasts": Boasts(), "local": Assigns()}, instances)
    assert report.methods[0].cost.tolist() == report.methods[1].cost.tolist()


def test_infeasible_decisions_cost_infinity_and_lose(problem: Problem[Any], instances: Instances) -> None:
    methods = {"exact": Proves(), "local": Assigns(), "overloads": Overloads(spoil=5)}
    report = quick(problem, methods, instances, paired_with="exact")
    row = report.to_frame().loc["overloads"]
    assert np.isposinf(report.methods[2].cost).sum() == 5
    assert row["feasible_share"] == pytest.approx(7 / 12)
    assert row["gap_count"] == 7
    assert row["losses"] >= 5
    assert row["wins"] + row["ties"] + row["losses"] == 12


def test_a_lying_bound_is_refused_when_another_method_beats_it(problem: Problem[Any], instances: Instances) -> None:
    with pytest.raises(BrokenProof, match=r"'liar' claims .* yet 'exact' found"):
        quick(problem, {"liar": Proves(honesty=1.01), "exact": Proves()}, instances)


def test_a_loose_bound_is_named_so(problem: Problem[Any], instances: Instances) -> None:
    report = quick(problem, {"bounded": Proves(honesty=0.9), "local": Assigns()}, instances)
    assert report.reference.label == "lower bound (not tight: mean 11 %, worst 11 %)"
    assert report.to_frame().loc["bounded", "gap_mean"] == pytest.approx(1 / 0.9 - 1)
    assert report.to_frame().loc["bounded", "optimal_share"] == 0.0


def test_pairs_are_counted_against_the_first_method_that_proves_nothing(
    problem: Problem[Any], instances: Instances
) -> None:
    report = quick(problem, {"exact": Proves(), "local": Assigns(), "random": AtRandom()}, instances)
    assert report.paired_with == "local"
    exact, local, random = report.statistics
    assert (local.wins, local.ties, local.losses) == (None, None, None)
    assert exact.losses == 0
    assert random.wins == int(np.sum(report.methods[2].cost < report.methods[1].cost * (1 - 1e-6)))


def test_the_same_method_twice_ties_everywhere(problem: Problem[Any], instances: Instances) -> None:
    once, twice = quick(problem, {"once": AtRandom(), "twice": AtRandom()}, instances).statistics
    assert (twice.wins, twice.ties, twice.losses) == (0, 12, 0)
    assert twice.gap_mean == once.gap_mean == 0.0


def test_one_instance_and_one_method_are_enough(problem: Problem[Any], instances: Instances) -> None:
    report = quick(problem, {"local": Assigns()}, instances.take([0]))
    (row,) = report.statistics
    assert (row.gap_mean, row.gap_low, row.gap_high, row.wins) == (0.0, None, None, None)
    assert report.paired_with is None


def test_an_added_method_changes_no_number_of_the_others(problem: Problem[Any], instances: Instances) -> None:
    few = quick(problem, {"exact": Proves(), "local": Assigns()}, instances).to_frame()
    more = quick(problem, {"random": AtRandom(), "exact": Proves(), "local": Assigns()}, instances, paired_with="local")
    assert more.to_frame().loc[few.index].equals(few)


def test_decisions_alone_are_timed_one_instance_at_a_time_after_a_warm_up(
    problem: Problem[Any], instances: Instances
) -> None:
    method = Assigns()
    report = quick(problem, {"m": method}, instances, single_decisions=5)
    assert [seen.count for seen in method.seen] == [1, 12, 1, 1, 1, 1, 1]
    assert report.statistics[0].timed_alone == 5
    assert report.statistics[0].decision_ms_median == pytest.approx(1e3 * SECONDS)


def test_a_slow_method_is_not_asked_again(problem: Problem[Any], instances: Instances) -> None:
    method = Assigns()
    (row,) = quick(problem, {"slow": method}, instances, single_budget_s=1.5 * SECONDS).statistics
    assert [seen.count for seen in method.seen] == [1, 12]
    assert (row.alone_from_batch, row.timed_alone) == (True, 12)


def test_the_time_budget_ends_the_timing_but_leaves_a_number(problem: Problem[Any], instances: Instances) -> None:
    class Instant(Assigns):
        def run(self, problem: Problem[Any], instances: Instances, **options: Any) -> Solutions:
            honest = super().run(problem, instances, **options)
            return Solutions.scored(problem, instances, honest.decisions, seconds=0.0)

    (row,) = quick(problem, {"m": Instant()}, instances, single_decisions=12, single_budget_s=0.0).statistics
    assert row.timed_alone == 1
    assert not row.alone_from_batch


def test_timing_can_be_left_out(problem: Problem[Any], instances: Instances) -> None:
    (row,) = quick(problem, {"m": Assigns()}, instances, single_decisions=0).statistics
    assert (row.decision_ms_median, row.decision_ms_p99, row.timed_alone) == (None, None, 0)


def test_progress_adds_up_to_methods_times_instances(problem: Problem[Any], instances: Instances) -> None:
    class Tells(Assigns):
        def run(
            self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
        ) -> Solutions:
            if progress is not None:
                progress(4)
            return super().run(problem, instances, seed=seed)

    told: list[int] = []
    quick(problem, {"tells": Tells(), "silent": Assigns()}, instances, progress=told.append)
    assert told == [4, 8, 12]


def test_problems_with_a_horizon_compare_alike(toy: ModuleType) -> None:
    queues = offloadopt.problem("queues")
    methods = {"foresight": offloadopt.solver("foresight"), "wait": toy.Threshold(np.inf, slots=3)}
    report = quick(queues, methods, queues.sample(20, seed=0))
    assert report.reference.label == "certified optimum"
    assert report.to_frame().loc["wait", "gap_mean"] > 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"methods": {}}, InvalidInput, "methods is empty"),
        ({"methods": {"m": Assigns(), " m": Assigns()}}, InvalidInput, "' m' is a second one"),
        ({"methods": {" ": Assigns()}}, InvalidInput, "' ' is blank"),
        ({"methods": {"m": Assigns(), "\x1bm": Assigns()}}, InvalidInput, "is a second one"),
        ({"reference": "exct"}, UnknownName, "reference = 'exct' is not compared; did you mean 'exact'"),
        ({"paired_with": "gredy"}, UnknownName, "paired_with = 'gredy'"),
        ({"bootstrap": -1}, InvalidInput, "bootstrap = -1; allowed: 0 or more"),
        ({"seed": -1}, InvalidInput, "seed = -1"),
        ({"methods": {"local": Assigns(), "late": NeedsMore()}}, Unsupported, "does not serve"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_one_line(
    problem: Problem[Any], instances: Instances, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments: dict[str, Any] = {"methods": {"exact": Proves(), "local": Assigns()}, **change}
    with pytest.raises(error, match=message):
        compare(problem, arguments.pop("methods"), instances, **arguments)


def test_no_instances_are_refused(problem: Problem[Any], instances: Instances) -> None:
    with pytest.raises(InvalidInput, match="instances is empty"):
        compare(problem, {"local": Assigns()}, instances.take(slice(0, 0)))


class Interrupts(Assigns):
    """Is interrupted while it decides all instances."""

    def spoiled(self, decisions: Decisions) -> Decisions:
        if decisions.count > 1:
            raise KeyboardInterrupt
        return decisions


def test_after_ctrl_c_the_methods_that_were_finished_are_reported() -> None:
    problem = offloadopt.problem("multi_server", users=3)
    methods = {"first": Assigns(), "second": Interrupts(), "third": Assigns()}
    with pytest.raises(InterruptedComparison, match="finished: first") as stopped:
        compare(problem, methods, problem.sample(3, 0), reference="second", paired_with="third")
    assert [run.name for run in stopped.value.report.methods] == ["first"]
    with pytest.raises(KeyboardInterrupt) as nothing:
        compare(problem, {"second": Interrupts()}, problem.sample(3, 0))
    assert not isinstance(nothing.value, InterruptedComparison)


def test_names_reach_no_terminal_or_spreadsheet_as_commands(problem: Problem[Any], instances: Instances) -> None:
    report = compare(
        problem,
        {"=cmd()": Assigns(), "red\x1b[31m\u202e": Assigns()},
        instances,
        paired_with="red\x1b[31m\u202e",
        single_decisions=0,
        bootstrap=10,
    )
    assert report.paired_with == "red[31m"
    for text in (report.summary(), report.to_html(), str(report.to_frame())):
        assert "red[31m" in text
        assert not {"\x1b", "\u202e"} & set(text)
    rows = csv_tables.encode(report.to_frame().reset_index()).decode().splitlines()
    assert [row.split(",")[0] for row in rows] == ["name", "'=cmd()", "red[31m"]


def test_metrics_are_the_problems_own_means_over_feasible_decisions() -> None:
    problem = offloadopt.problem("multi_server", users=4)
    instances = problem.sample(6, seed=2)
    report = quick(problem, {"greedy": offloadopt.solver("greedy", problem)}, instances)
    decided = offloadopt.solve(problem, instances, "greedy")
    energy_j = problem.evaluate(instances, decided.decisions).metrics["energy_j"]
    assert report.metrics[:3] == problem.main_metrics
    assert report.statistics[0].metrics["energy_j"] == pytest.approx(energy_j.mean(), rel=1e-14)
    np.testing.assert_array_equal(report.per_instance()["metric_energy_j"], energy_j)
    assert report.to_frame().loc["greedy", "metric_energy_j"] == report.statistics[0].metrics["energy_j"]
    assert json.loads(report.to_json())["methods"][0]["metrics"]["energy_j"] == report.statistics[0].metrics["energy_j"]
    assert "energy_j" in report.summary()
    assert "reward" not in report.summary(), "only the main metrics"
    assert "<code>reward</code>" in report.to_html()


def test_a_method_that_solves_instances_separately_has_several_processes() -> None:
    problem = offloadopt.problem("multi_server", users=6)
    instances = problem.sample(5, seed=2)
    methods = {name: offloadopt.solver(name, problem) for name in ("random", "exact")}
    finished: list[int] = []
    alone = quick(problem, methods, instances)
    beside = quick(problem, methods, instances, workers=2, progress=finished.append)
    assert sorted(finished) == [2, 3, 5]
    assert [run.name for run in beside.methods] == ["random", "exact"]
    for one, other in zip(alone.methods, beside.methods, strict=True):
        np.testing.assert_array_equal(one.cost, other.cost)
        np.testing.assert_array_equal(one.bound, other.bound)
        assert len(other.seconds) == 5
        for name, values in one.metrics.items():
            np.testing.assert_array_equal(values, other.metrics[name])


def test_methods_side_by_side_give_the_same_report_but_for_times() -> None:
    problem = offloadopt.problem("multi_server", users=4)
    instances = problem.sample(5, seed=2)
    names = ("greedy", "random", "local")
    methods = {name: offloadopt.solver(name, problem) for name in names}
    finished: list[int] = []
    alone = quick(problem, methods, instances, single_decisions=1)
    beside = quick(problem, methods, instances, single_decisions=1, workers=2, progress=finished.append)
    assert finished == [5, 5, 5]
    assert tuple(run.name for run in beside.methods) == names
    for one, other in zip(alone.methods, beside.methods, strict=True):
        np.testing.assert_array_equal(one.cost, other.cost)
        np.testing.assert_array_equal(one.metrics["time_s"], other.metrics["time_s"])
    assert "side by side in 2 processes" in beside.summary()
    assert "side by side" not in alone.summary()
    with pytest.raises(InvalidInput, match="workers = 0"):
        quick(problem, methods, instances, workers=0)
