from __future__ import annotations

import itertools

import numpy as np
import pytest
from pyomo.opt import SolverFactory
from scipy.optimize import linear_sum_assignment, minimize_scalar

from offloadopt import registry
from offloadopt.core import Instances, Status
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario
from offloadopt.solvers.models.multi_server import MultiServerModel
from offloadopt.solvers.models.solver import Milp, Minlp, SolveResult, export, safe_bound, solver_named

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


def best_by_enumeration(problem, instance):
    """The cheapest of all assignments, each allocated and evaluated by the problem."""
    users, servers = problem.scenario.users, problem.scenario.servers
    assignments = np.array(list(itertools.product(range(servers + 1), repeat=users)))
    copies = instance.take(np.zeros(len(assignments), dtype=int))
    return problem.evaluate(copies, problem.allocate(copies, assignments)).cost.min()


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


@pytest.mark.parametrize("seed", range(3))
def test_the_papers_own_cpu_variables_give_the_same_optimum_and_the_closed_forms_shares(seed):
    problem = registry.problem("multi_server", "heterogeneous", users=5, servers=2)
    instance = problem.sample(1, seed)
    optimum = best_by_enumeration(problem, instance)

    explicit = MultiServerModel(problem, instance, allocation="explicit")
    result = solver_named("scip")(explicit.pyomo, 0.0, None)
    assert result.found
    assert result.bound * explicit.cost_unit == pytest.approx(optimum, rel=1e-6)
    assert safe_bound(explicit, result) <= optimum

    decisions = explicit.decisions()
    assert problem.evaluate(instance, decisions).cost[0] == pytest.approx(optimum, rel=1e-9)
    away = [(i, j) for i, j in enumerate(decisions["server"][0]) if j > 0]
    assert away
    shares = [explicit.pyomo.f[i, j].value / explicit.pyomo.f[i, j].ub for i, j in away]
    closed_form = [decisions["cpu_hz"][0, i] / problem.scenario.cpu_server_hz for i, _ in away]
    np.testing.assert_allclose(shares, closed_form, rtol=1e-2)


def test_the_linear_model_is_a_lower_bound_that_a_cut_makes_exact():
    problem = registry.problem("multi_server", "heterogeneous", users=8, servers=2)
    instance = problem.sample(1, seed=0)
    model, solve = MultiServerModel(problem, instance, linear=True), solver_named("highs")
    optimum = Minlp().run(problem, instance).objective[0]
    loose = solve(model.pyomo, 0.0, None).bound * model.cost_unit
    assert loose < optimum * (1 - 1e-7)

    server = Minlp().run(problem, instance).decisions["server"].copy()
    server[0, np.flatnonzero(server[0])[0]] = 0  # any other decision
    decided = problem.allocate(instance, server)
    assert model.add_cuts(decided)
    assert not model.add_cuts(decided)
    for i, j in enumerate(server[0]):
        model.pyomo.a[i, j].fix(1)
    at_decision = solver_named("highs")(model.pyomo, 0.0, None).bound * model.cost_unit
    assert at_decision == pytest.approx(problem.evaluate(instance, decided).cost[0], rel=1e-9)


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


def test_each_method_can_use_the_others_or_another_solver():
    problem = registry.problem("multi_server", "heterogeneous", users=8)
    instances = problem.sample(1, seed=7)
    expected = Minlp().run(problem, instances).objective
    for method in (Milp(pyomo_solver="scip"), Minlp(pyomo_solver="scip_persistent"), Milp(pyomo_solver="appsi_highs")):
        solutions = method.run(problem, instances)
        np.testing.assert_allclose(solutions.objective, expected, rtol=1e-6)
        assert solutions.status_names == ["OPTIMAL"]


class BoastfulSolver:
    """A solver behind Pyomo's classic interface that reports its incumbent as a bound, as some do."""

    def __init__(self, **_):
        self._scip = SolverFactory("scip_direct")

    def available(self, exception_flag=True):
        return True

    def solve(self, model, **options):
        results = self._scip.solve(model, **options)
        results.problem.lower_bound = results.problem.upper_bound
        return results


def test_a_solver_whose_own_bound_cannot_be_read_proves_nothing():
    SolverFactory.register("boastful")(BoastfulSolver)
    try:
        problem = registry.problem("multi_server", "heterogeneous", users=8)
        instances = problem.sample(1, seed=8)
        solutions = Minlp(pyomo_solver="boastful").run(problem, instances)
    finally:
        SolverFactory.unregister("boastful")
    assert solutions.status_names == ["FEASIBLE"]
    assert solutions.bound[0] == -np.inf
    np.testing.assert_allclose(solutions.objective, Minlp().run(problem, instances).objective, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("sicp", UnknownName, "did you mean 'scip'"),
        ("baron", UnknownName, "is not installed; known: .*highs, .*scip"),
        ("highs", Unsupported, "cannot solve this model"),
    ],
)
def test_a_solver_that_cannot_be_used_is_refused_in_one_line(name, kind, words):
    problem = registry.problem("multi_server", users=3)
    with pytest.raises(kind, match=words) as refusal:
        Minlp(pyomo_solver=name).run(problem, problem.sample(1, seed=0))
    assert "\n" not in str(refusal.value)
    assert repr(name) in str(refusal.value)


class Unmodelled(MultiServer):
    name = "unmodelled"


@BOTH
def test_a_problem_without_a_model_is_refused(method):
    problem = Unmodelled(MultiServer.scenario_type(users=3))
    with pytest.raises(Unsupported, match=r"'unmodelled'.*multi_server"):
        method.run(problem, problem.sample(1, seed=0))


def test_a_model_is_of_one_instance_and_linear_only_without_shares():
    problem = registry.problem("multi_server", users=3)
    instances = problem.sample(2, seed=0)
    with pytest.raises(InvalidInput, match="2 instances"):
        MultiServerModel(problem, instances)
    with pytest.raises(Unsupported, match="explicit"):
        MultiServerModel(problem, instances.take([0]), linear=True, allocation="explicit")
    with pytest.raises(InvalidInput, match="'mean'"):
        MultiServerModel(problem, instances.take([0]), allocation="mean")


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

    def test_another_suffix_and_no_instances_are_refused(self, tmp_path):
        with pytest.raises(InvalidInput, match=r"'\.txt'; allowed: \.lp"):
            export(self.problem, self.instances, tmp_path / "model.txt")
        with pytest.raises(InvalidInput, match="0 instances"):
            export(self.problem, self.instances.take(slice(0, 0)), tmp_path / "model.lp")
