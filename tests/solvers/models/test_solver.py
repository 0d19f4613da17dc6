"""`milp` and `minlp` against enumeration and each other, at limits, and with other solvers."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, minimize_scalar

from offloadopt import registry
from offloadopt.core import Instances, Interrupted, Status
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.interrupts import ending_command
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario
from offloadopt.solvers.models.multi_server import MultiServerModel
from offloadopt.solvers.models.pyomo_solvers import SolveResult
from offloadopt.solvers.models.solver import Milp, Minlp, export, safe_bound
from offloadopt.structures.assignment import SlotwiseProblem

from toys.enumeration import best_by_enumeration
from toys.model_problems import MODELLED, model_problem, optimum

METHODS = [Milp(), Minlp()]


BOTH = pytest.mark.parametrize("method", METHODS, ids=["milp", "minlp"])


SCENARIOS = {
    "paper": {"users": 5, "servers": 2},
    "heterogeneous": {"preset": "heterogeneous", "users": 5, "servers": 3},
    "crowded": {"users": 6, "servers": 2, "task_spread": 0.9, "cpu_server_hz": 2e10, "reference_gain_db": -10.0},
    "small units": {
        "users": 4,
        "servers": 2,
        "task_spread": 0.5,
        "task_cycles": 3e5,
        "task_bits": 200.0,
        "cpu_server_hz": 1e9,
        "time_weight": 2e-5,
        "energy_weight": 1e-5,
    },
    "melbourne links": {**MultiServerScenario.presets["melbourne"], "users": 5, "servers": 2, "area_m": 400.0},
}


@BOTH
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_agrees_with_enumeration_of_all_assignments(method, scenario):
    problem = registry.problem("multi_server", **SCENARIOS[scenario])
    instances = problem.sample(4, seed=3)
    optimum = np.array([best_by_enumeration(problem, instances.take([row])) for row in range(4)])
    solutions = method.run(problem, instances)
    np.testing.assert_allclose(solutions.objective, optimum, rtol=1e-9)
    assert (solutions.bound <= optimum).all()
    assert solutions.status_names == ["OPTIMAL"] * 4
    assert (solutions.gap <= method.relative_gap).all()


def test_some_scenarios_of_these_tests_mix_local_and_offloaded_tasks():
    for scenario in ("paper", "heterogeneous", "crowded", "small units"):
        problem = registry.problem("multi_server", **SCENARIOS[scenario])
        instances = problem.sample(4, seed=3)
        share = problem.evaluate(instances, Milp().run(problem, instances).decisions).metrics["offloaded"].mean()
        assert 0.1 < share < 1.0, scenario


def test_minlp_on_the_papers_preset_equals_a_linear_assignment():
    """With equal loads server j's k-th task costs ``s^2 (2k - 1) / F_j`` more: tasks are matched to slots."""
    problem = registry.problem("multi_server", "paper")
    s, instances = problem.scenario, problem.sample(3, seed=11)

    def link_cost(gain):
        g = gain / (s.noise_w_per_hz * s.bandwidth_hz)

        def cost(power_w):
            return (s.time_weight + s.energy_weight * power_w) / np.log2(1 + g * power_w) * s.task_bits / s.bandwidth_hz

        inside = minimize_scalar(cost, bounds=(0, s.power_max_w), method="bounded", options={"xatol": 1e-11}).fun
        return min(inside, cost(s.power_max_w))

    local_cost = (s.time_weight + s.energy_weight * s.kappa * s.cpu_local_hz**3) * s.task_cycles / s.cpu_local_hz
    slot_cost = s.time_weight * s.task_cycles / s.cpu_server_hz * (2 * np.arange(1, s.users + 1) - 1)
    expected = []
    for gain in instances["gain"]:
        link = np.vectorize(link_cost)(gain)
        servers = [link[:, [j]] + slot_cost for j in range(s.servers)]
        table = np.concatenate([*servers, np.full((s.users, s.users), local_cost)], axis=1)
        expected.append(table[linear_sum_assignment(table)].sum())
    solutions = Minlp().run(problem, instances)
    np.testing.assert_allclose(solutions.objective, expected, rtol=1e-9)
    assert set(solutions.status_names) == {"OPTIMAL"}


def test_milp_equals_minlp_on_thirty_users():
    problem = registry.problem("multi_server", "heterogeneous")
    instances = problem.sample(2, seed=5)
    linear, quadratic = (method.run(problem, instances) for method in METHODS)
    np.testing.assert_allclose(linear.objective, quadratic.objective, rtol=1e-6)
    assert (np.maximum(linear.bound, quadratic.bound) <= np.minimum(linear.objective, quadratic.objective)).all()


def test_a_bound_pays_for_the_tolerance_it_was_found_with():
    problem = registry.problem("multi_server", "heterogeneous")
    model = MultiServerModel(problem, problem.sample(1, seed=0))
    margins = [
        18.0
        - safe_bound(model, SolveResult(found=True, bound=18.0 / model.cost_unit, tolerance=tolerance, seconds=0.0))
        for tolerance in (0.0, 1e-9, 1e-6)
    ]
    assert margins[0] == pytest.approx(0.0, abs=1e-14)
    assert 1e-9 < margins[1] < 1e-6
    assert margins[2] == pytest.approx(1e3 * margins[1], rel=1e-6)


@BOTH
def test_a_link_without_gain_is_not_used(method):
    problem = registry.problem("multi_server", "heterogeneous", users=6, servers=2, load=3.0)
    sampled = problem.sample(2, seed=1)
    gain = sampled["gain"].copy()
    gain[0, :, 1] = 0.0
    gain[1] = 0.0
    instances = Instances({**sampled, "gain": gain})
    solutions = method.run(problem, instances)
    server = solutions.decisions["server"]
    assert set(server[0]) == {0, 1}
    assert (server[1] == 0).all()
    assert solutions.status_names == ["OPTIMAL", "OPTIMAL"]


@BOTH
@pytest.mark.parametrize("time_limit_s", [1e-6, 0.02, 0.1])
def test_a_time_limit_gives_a_valid_bound_or_none_and_always_a_decision(method, time_limit_s):
    problem = registry.problem("multi_server", "heterogeneous", users=60, servers=5)
    instances = problem.sample(1, seed=2)
    optimum = Milp().run(problem, instances)
    limited = method.replace(time_limit_s=time_limit_s).run(problem, instances)
    everything_local = problem.evaluate(instances, problem.allocate(instances, np.zeros((1, 60), dtype=int))).cost
    assert optimum.bound[0] <= limited.objective[0] <= everything_local[0]
    assert limited.bound[0] <= optimum.objective[0]
    if limited.status[0] == Status.OPTIMAL:
        assert limited.objective[0] <= optimum.objective[0] * (1 + 3e-6)
    if time_limit_s == 1e-6:
        assert limited.status_names == ["FEASIBLE"]


@BOTH
def test_a_loose_gap_is_enough_for_optimal_and_a_gap_of_zero_is_not_claimed(method):
    problem = registry.problem("multi_server", "heterogeneous")
    instances = problem.sample(2, seed=4)
    optimum = method.run(problem, instances).objective
    loose = method.replace(relative_gap=0.05).run(problem, instances)
    assert set(loose.status_names) == {"OPTIMAL"}
    assert (loose.gap <= 0.05).all()
    assert (loose.bound <= optimum).all()
    strict = method.replace(relative_gap=0.0).run(problem, instances)
    assert set(strict.status_names) == {"BOUNDED"}
    assert (strict.gap < 1e-6).all()
    np.testing.assert_allclose(strict.objective, optimum, rtol=1e-6)


@BOTH
def test_the_same_instances_give_the_same_decisions_and_no_output(method, capfd):
    problem = registry.problem("multi_server", "heterogeneous", users=12)
    instances, steps = problem.sample(3, seed=6), []
    first = method.run(problem, instances, progress=steps.append)
    second = method.run(problem, instances)
    assert steps == [1, 1, 1]
    for name in first.decisions:
        np.testing.assert_array_equal(first.decisions[name], second.decisions[name])
    np.testing.assert_array_equal(first.bound, second.bound)
    assert (first.details["solver_seconds"] > 0).all()
    assert (first.details["solver_seconds"] < first.seconds).all()
    assert capfd.readouterr() == ("", "")


@BOTH
def test_no_instances_give_no_solutions(method):
    problem = registry.problem("multi_server")
    assert method.run(problem, problem.sample(2, seed=0).take(slice(0, 0))).objective.shape == (0,)


class Unmodelled(MultiServer):
    name = "unmodelled"


@BOTH
def test_a_problem_without_a_model_is_refused(method):
    problem = Unmodelled(MultiServer.scenario_type(users=3))
    with pytest.raises(Unsupported, match=r"'unmodelled'.*multi_server"):
        method.run(problem, problem.sample(1, seed=0))


def first_slot(problem, instances):
    """The instance of which the model is written."""
    return problem.slots(instances).take([0]) if isinstance(problem, SlotwiseProblem) else instances


class TestExport:
    problem = registry.problem("multi_server", "heterogeneous", users=8)
    instances = problem.sample(2, seed=9)
    cost_unit = MultiServerModel(problem, instances.take([0])).cost_unit

    def optimum(self):
        return Minlp().run(self.problem, self.instances.take([0])).objective[0]

    def test_scip_reads_the_quadratic_lp_file_to_the_same_optimum(self, tmp_path):
        import pyscipopt

        export(self.problem, self.instances, tmp_path / "model.lp")
        model = pyscipopt.Model()
        model.hideOutput()
        model.readProblem(str(tmp_path / "model.lp"))
        model.optimize()
        assert model.getObjVal() * self.cost_unit == pytest.approx(self.optimum(), rel=1e-5)

    def test_highs_reads_the_linear_mps_file_to_a_lower_bound(self, tmp_path):
        import highspy

        export(self.problem, self.instances, tmp_path / "model.mps")
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.readModel(str(tmp_path / "model.mps"))
        highs.run()
        bound = highs.getInfo().mip_dual_bound * self.cost_unit
        assert 0.99 * self.optimum() < bound < self.optimum()

    def test_nl_is_written_alone(self, tmp_path):
        export(self.problem, self.instances, tmp_path / "model.nl")
        assert [path.name for path in tmp_path.iterdir()] == ["model.nl"]
        assert (tmp_path / "model.nl").read_text().startswith("g3 ")

    @pytest.mark.parametrize("name", MODELLED)
    def test_every_problem_is_written_as_nl_and_its_linear_form_as_mps(self, name, tmp_path):
        import highspy

        problem = model_problem(name, **({"horizon": 2} if name == "partial_mobile" else {}))
        instances = problem.sample(1, seed=3)
        slot = "'s first slot" if name == "partial_mobile" else ""
        assert export(problem, instances, tmp_path / "model.nl") == f"model of the first instance{slot}"
        said = export(problem, instances, tmp_path / "model.mps")
        assert said == f"model of the first instance{slot}, linearised: its optimum is a lower bound"
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.readModel(str(tmp_path / "model.mps"))
        highs.run()
        first = problem if not slot else problem.one_slot
        unit = registry.get("models", name)(first, first_slot(problem, instances), linear=True).cost_unit
        best = optimum(first, first_slot(problem, instances))[0]
        bound = highs.getInfo().objective_function_value * unit
        assert 0.5 * best < bound < best * (1 + 1e-5)

    @pytest.mark.parametrize("name", ["carbon_mimo", "twin_inference", "battery_d2d"])
    def test_a_format_that_cannot_hold_the_model_is_refused_in_one_line(self, name, tmp_path):
        problem = model_problem(name)
        instances = problem.sample(1, seed=3)
        with pytest.raises(InvalidInput, match=rf"model of {name} is nonlinear: \.lp cannot hold it; allowed: \.nl"):
            export(problem, instances, tmp_path / "model.lp")
        with pytest.raises(InvalidInput, match=r"nonlinear: \.mps cannot hold it"):
            export(problem, instances, tmp_path / "model.mps", linear=False)
        assert list(tmp_path.iterdir()) == []
        export(problem, instances, tmp_path / "model.lp", linear=True)
        assert "\nmin" in (tmp_path / "model.lp").read_text()

    def test_another_suffix_and_no_instances_are_refused(self, tmp_path):
        with pytest.raises(InvalidInput, match=r"'\.txt'; allowed: \.lp"):
            export(self.problem, self.instances, tmp_path / "model.txt")
        with pytest.raises(InvalidInput, match="0 instances"):
            export(self.problem, self.instances.take(slice(0, 0)), tmp_path / "model.lp")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("method", [Milp, Minlp])
def test_a_signal_within_the_library_ends_the_search(method, number):
    problem = registry.problem("multi_server", preset="heterogeneous", users=100, servers=10)
    instances = problem.sample(1, seed=1)
    method(time_limit_s=0.1).run(problem, instances)  # imports the libraries
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), number))
    timer.start()
    begin = time.perf_counter()
    with ending_command(), pytest.raises(Interrupted) as stopped:
        method().run(problem, instances)
    timer.join()
    assert time.perf_counter() - begin < 10.0
    assert np.isfinite(stopped.value.solutions.objective).all()
