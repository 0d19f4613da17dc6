"""The enclosed costs of ``multi_server`` against `problem.costs` and against a search over powers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.certificates import multi_server
from offloadopt.core import Instances
from offloadopt.structures.assignment import PricedAssignment

SCENARIOS: tuple[dict[str, Any], ...] = (
    {},
    {"energy_weight": 0.0},
    {"cpu_exponent": 2.7, "reference_gain_db": -110.0},
    {"energy_weight": 50.0, "reference_gain_db": 0.0},
)


def drawn(changes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], PricedAssignment]:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=6, servers=2, **changes)
    instances = problem.sample(1, seed=4)
    gain = instances["gain"].copy()
    gain[0, 0, 0] = 0.0
    instances = Instances({**instances, "gain": gain})
    one = {name: instances[name][0].tolist() for name in multi_server.ARRAYS}
    return problem.scenario.model_dump(mode="json"), one, problem.costs(instances)


@pytest.mark.parametrize("changes", SCENARIOS)
def test_enclosures_hold_what_the_problem_computes(changes: dict[str, Any]) -> None:
    scenario, instance, costs = drawn(changes)
    low, squared_load, capacity = multi_server.table(scenario, instance)
    for i, row in enumerate(low):
        for k, cost in enumerate(row):
            computed = costs.option_cost[0, i, k]
            if cost is None:
                assert np.isinf(computed)
                continue
            upper = multi_server.chosen_costs(scenario, instance, [k] * 6)[i]
            assert upper is not None
            assert cost <= upper <= cost * (1 + Fraction(1, 10**13))
            assert float(cost) == pytest.approx(computed, rel=4e-15)
    assert [math.sqrt(s) for s in squared_load] == pytest.approx(costs.load[0], rel=1e-15)
    assert [float(f) for f in capacity] == list(costs.capacity[0])


@pytest.mark.parametrize("field", ["time_weight", "energy_weight", "kappa", "power_max_w", "cpu_server_hz"])
def test_what_has_no_physical_sense_is_refused(field: str) -> None:
    scenario, instance, _ = drawn({})
    with pytest.raises(ValueError, match=f"{field} is n"):
        multi_server.table({**scenario, field: -1.0}, instance)
    with pytest.raises(ValueError, match="size is negative"):
        multi_server.table(scenario, {**instance, "task_bits": [-1.0] * 6})


@pytest.mark.parametrize("changes", SCENARIOS)
def test_no_power_costs_less(changes: dict[str, Any]) -> None:
    scenario, instance, _ = drawn(changes)
    low = multi_server.link_cost(scenario, instance["gain"][3][1], instance["task_bits"][3], False)
    assert low is not None
    best = np.inf
    for part in np.linspace(0.001, 1.0, 2000):
        watts = part * scenario["power_max_w"]
        snr = watts * instance["gain"][3][1] / (scenario["noise_w_per_hz"] * scenario["bandwidth_hz"])
        seconds = instance["task_bits"][3] / (scenario["bandwidth_hz"] * math.log2(1 + snr))
        best = min(best, scenario["time_weight"] * seconds + scenario["energy_weight"] * watts * seconds)
    assert float(low) <= best <= float(low) * 1.001
