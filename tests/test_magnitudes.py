"""A magnitude three orders from the usual one draws one warning with array or field, unit and ratio, and no error."""

from __future__ import annotations

import warnings

import pytest

import offloadopt
from offloadopt import registry
from offloadopt.core import Instances
from offloadopt.magnitudes import unusual_array, unusual_field

from toys.small_problems import SMALL


@pytest.mark.parametrize("name", SMALL)
def test_sampled_instances_and_presets_are_usual(name: str) -> None:
    scenario_type = registry.get("problems", name).scenario_type
    for preset in scenario_type.presets:
        if preset not in (*scenario_type.preset_needs, "solar"):  # files, and an extra
            problem = offloadopt.problem(name, preset, **(SMALL[name] if preset == "paper" else {}))
            assert unusual_field(problem.scenario) is None
            assert unusual_array(problem, problem.sample(2, seed=5)) is None


def test_the_array_with_a_wrong_unit_is_named() -> None:
    problem = offloadopt.problem("multi_server", users=5)
    instances = problem.sample(3, seed=0)
    giga = Instances({**instances, "task_cycles": instances["task_cycles"] / 1e9})
    assert unusual_array(problem, giga) == (
        "task_cycles is one 1e+09th of what the scenario samples: median 1 [cycle]; check its unit"
    )
    with pytest.warns(UserWarning, match=r"task_cycles is one 1e\+09th"):
        offloadopt.solve(problem, dict(giga), "local")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        offloadopt.solve(problem, dict(instances), "local")
        offloadopt.solve(problem, giga, "local")  # already checked, or sampled


def test_the_field_with_a_wrong_unit_is_named() -> None:
    scenario = offloadopt.problem("multi_server", users=9, cpu_local_hz=1.0, area_m=100.0).scenario
    assert unusual_field(scenario) == "cpu_local_hz = 1 [Hz] is one 1e+09th of the preset's 1e+09; check its unit"
    assert unusual_field(scenario.replace(cpu_local_hz=5e8)) is None
    modes = offloadopt.problem("twin_inference", user_hz=(1e13, 2e13)).scenario
    assert unusual_field(modes) == "user_hz = 1.5e+13 [Hz] is 1e+04 times the preset's 1.5e+09; check its unit"
