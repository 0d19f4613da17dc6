"""The figures of the battery-care offloading: every number is what the problem says, every verdict what numbers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offloadopt import registry
from offloadopt.problems.battery_d2d import BatteryD2D, BatteryD2DScenario
from offloadopt.reproduce.battery_d2d import plan
from offloadopt.reproduce.battery_d2d.measurements import BOUND
from offloadopt.reproduce.battery_d2d.study import GREEDY, MADDPG, OPTIMUM, QUEUE, RANDOM, RMAPPO, RULES, SB3_DQN
from offloadopt.reproduce.battery_d2d.terms import DVFS
from offloadopt.reproduce.battery_d2d.windows import EPISODES, WINDOWS
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import artefact
from toys.tiny_papers.battery_d2d import TINY, tiny


def test_every_method_stands_at_every_point(made: tuple[Path, list[Claim]]) -> None:
    methods = {RMAPPO, MADDPG, *RULES}
    for name, axis, places in (("capacity", "battery_j", (400, 500)), ("tasks", "task_chance", (0.3, 0.5))):
        summary = pd.read_csv(made[0] / f"{name}.csv")
        found = {key: set(rows["method"]) for key, rows in summary.groupby(["preset", axis])}
        assert found == {(preset, place): methods for preset in TINY.presets for place in places}
    for name in ("terms", "training"):
        assert set(pd.read_csv(made[0] / f"{name}.csv")["preset"]) == set(TINY.presets)


def test_the_figures_have_the_same_cost_where_they_cross(made: tuple[Path, list[Claim]]) -> None:
    keys = ["preset", "method", REPLICATE]
    frames = {name: pd.read_csv(made[0] / f"{name}-replicates.csv") for name in ("capacity", "tasks", "terms", "dvfs")}
    costs = {
        "capacity": frames["capacity"][frames["capacity"]["battery_j"] == 500.0],
        "tasks": frames["tasks"][frames["tasks"]["task_chance"] == 0.5],
        "terms": frames["terms"],
    }
    first, *others = (frame.set_index(keys)["cost"].sort_index() for frame in costs.values())
    for other in others:
        pd.testing.assert_series_equal(first, other)
    with_modes = frames["dvfs"][frames["dvfs"]["frequency"] == DVFS].set_index(keys)["cost"]
    pd.testing.assert_series_equal(with_modes, first.reindex(with_modes.index))


def test_no_method_is_below_the_bound_and_the_optimum_meets_it(made: tuple[Path, list[Claim]]) -> None:
    frame = pd.read_csv(made[0] / "hindsight-replicates.csv")
    assert {RMAPPO, OPTIMUM, BOUND, *RULES} == set(frame["method"])
    assert (frame["gap"] >= -1e-9).all()
    assert (frame[frame["method"] == OPTIMUM]["proved"] == 1.0).all()
    assert frame[frame["method"] == OPTIMUM]["gap"].max() <= 1e-4 + 1e-9
    assert frame[frame["method"] == RANDOM]["gap"].min() > 0.01


def test_imitation_stands_beside_its_experts(made: tuple[Path, list[Claim]]) -> None:
    frame = pd.read_csv(made[0] / "imitation.csv")
    for at, experts in ((WINDOWS, (GREEDY, OPTIMUM)), (EPISODES, (GREEDY, QUEUE))):
        methods = set(frame[frame["at"] == at]["method"])
        imitations = {text.format(expert) for expert in experts for text in ("imitates {}", "rMAPPO after {}")}
        assert methods - {BOUND} == {RMAPPO, *experts, *imitations}


def test_learners_that_nobody_registered_are_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "names", lambda group: {"dqn-sb3": registry.BUILT_IN[group]["dqn-sb3"]})
    left = tiny(steps={RMAPPO: 60, SB3_DQN: 60})
    assert "imitation" not in [found.name for found in left.artefacts]
    assert {unit.labels["method"] for unit in artefact(left, "training").units} == {SB3_DQN}


@pytest.mark.parametrize("size", ["quick", "full"])
def test_no_capacity_is_so_small_that_failing_on_purpose_pays(size: str) -> None:
    """The dearest execution of a full battery's task costs less than its failure."""
    for capacity in plan.PLAN.sizes[size].capacities_j:
        scenario = BatteryD2DScenario.preset("clipped-delay", battery_j=capacity)
        problem = BatteryD2D(scenario)
        for cpu, link_w in zip(problem.processors, (0.0, scenario.cellular_w), strict=True):
            joules = float(np.max(cpu.power_w / cpu.speed_hz)) * scenario.cycles_max + link_w
            share = np.array([joules / capacity])
            damage = problem.ageing.damage(np.array(1.0), share, np.ones(1))
            dearest = scenario.energy_weight * joules + scenario.ageing_weight * float(damage)
            assert dearest < scenario.failure_weight
