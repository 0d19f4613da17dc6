"""A map where the instance is of the fixed layout; the options where nobody knows the places."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

import offloadopt


def test_a_sampled_instance_has_a_map_and_one_s_own_has_its_options() -> None:
    problem = offloadopt.problem("multi_server", users=5)
    instances = problem.sample(1, seed=0)
    assert [panel.name for panel in offloadopt.solve(problem, instances, "greedy").panels()] == ["map", "cpu"]
    moved = {**instances, "distance_m": instances["distance_m"] * 1.1}
    unknown = {name: values for name, values in instances.items() if name != "distance_m"}
    for own in (moved, unknown):
        assert [p.name for p in offloadopt.solve(problem, own, "greedy").panels()] == ["options", "cpu"]
    fresh = offloadopt.problem("multi_server", users=5, layout_seed=None)
    names = [panel.name for panel in offloadopt.solve(fresh, fresh.sample(1, seed=0), "greedy").panels()]
    assert names == ["options", "cpu"]


def test_the_servers_cpu_is_divided_as_decided() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=6)
    solutions = offloadopt.solve(problem, problem.sample(1, seed=0))
    ax = Figure().add_subplot()
    solutions.plot(ax=ax, panel="cpu")
    server, cpu_hz = solutions.decisions["server"][0], solutions.decisions["cpu_hz"][0]
    parts = sorted(bar.get_width() for bar in ax.patches if bar.get_width() < 1.0)
    np.testing.assert_allclose(parts, np.sort(cpu_hz[server > 0] / problem.scenario.cpu_server_hz))
