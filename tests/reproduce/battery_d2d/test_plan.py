"""The figures of the battery-care offloading: every number is what the problem says, every verdict what numbers say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput
from offloadopt.problems.battery_d2d import BatteryD2D, BatteryD2DScenario
from offloadopt.reproduce import paper, training
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Paper, distinct_units
from offloadopt.reproduce.battery_d2d import measurements, plan
from offloadopt.reproduce.battery_d2d.frequency import DVFS, FIXED, FrequencyFigure
from offloadopt.reproduce.battery_d2d.setting import (
    GREEDY,
    MADDPG,
    OED,
    OMD,
    OPTIMUM,
    PAPER_METHODS,
    QUEUE,
    RANDOM,
    RMAPPO,
    RULES,
    SB3_DQN,
    Point,
    Setting,
    Sizes,
)
from offloadopt.reproduce.battery_d2d.sweeps import CapacityFigure, TasksFigure
from offloadopt.reproduce.battery_d2d.terms import TermsTable
from offloadopt.reproduce.battery_d2d.windows import EPISODES, WINDOWS
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.runner import reproduce

TINY = Sizes(
    replicates=2,
    test_instances=3,
    presets=("clipped-delay", "paper"),
    capacities_j=(400.0, 500.0),
    chances=(0.3, 0.5),
    each_point=False,
    steps={RMAPPO: 60, MADDPG: 60},
    window={"horizon": 3},
    window_instances=3,
    window_tasks=4,
    window_seconds=5.0,
    window_steps=30,
    window_environments=4,
    demonstrations=2,
    window_demonstrations=3,
    optimum_demonstrations=2,
    imitation_steps=2,
    changes={RMAPPO: {"hidden": (8,), "num_envs": 2}, MADDPG: {"hidden": (8,), "num_envs": 2}},
)
BASE = {"users": 2, "servers": 1, "horizon": 6}
SETTING = Setting(TINY, BASE)
NAMES = ["capacity", "tasks", "dvfs", "training", "terms", "hindsight", "imitation"]


def tiny(**changes: Any) -> Paper:
    return plan.of_setting("tiny", Setting(replace(TINY, **changes), BASE))


def artefact(made: Paper, name: str) -> Artefact:
    return next(found for found in made.artefacts if found.name == name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """Everything, in the smallest size."""
    folder = tmp_path_factory.mktemp("reproduction")
    return folder, reproduce(tiny(), [], folder, workers=1)


# ------------------------------------------------------------------------------------------------------- end to end


def test_every_artefact_has_its_tables_and_its_picture(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    assert [found.name for found in tiny().artefacts] == NAMES
    for found in tiny().artefacts:
        assert (folder / f"{found.name}.png").read_bytes().startswith(b"\x89PNG")
        summary = pd.read_csv(folder / f"{found.name}.csv")
        assert not summary.duplicated(list(found.keys)).any()
        assert set(pd.read_csv(folder / f"{found.name}-replicates.csv")[REPLICATE]) == {1, 2}


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
    assert {RMAPPO, OPTIMUM, measurements.BOUND, *RULES} == set(frame["method"])
    assert (frame["gap"] >= -1e-9).all()
    assert (frame[frame["method"] == OPTIMUM]["proved"] == 1.0).all()
    assert frame[frame["method"] == OPTIMUM]["gap"].max() <= 1e-4 + 1e-9
    assert frame[frame["method"] == RANDOM]["gap"].min() > 0.01


def test_imitation_stands_beside_its_experts(made: tuple[Path, list[Claim]]) -> None:
    frame = pd.read_csv(made[0] / "imitation.csv")
    for at, experts in ((WINDOWS, (GREEDY, OPTIMUM)), (EPISODES, (GREEDY, QUEUE))):
        methods = set(frame[frame["at"] == at]["method"])
        imitations = {text.format(expert) for expert in experts for text in ("imitates {}", "rMAPPO after {}")}
        assert methods - {measurements.BOUND} == {RMAPPO, *experts, *imitations}


def test_claims_are_told_once_each_with_five_fields_and_their_rules(made: tuple[Path, list[Claim]]) -> None:
    folder, claims = made
    rows = json.loads((folder / "claims.json").read_bytes())
    assert rows == [claim.row() for claim in claims]
    assert all(set(row) == {"claim", "source", "paper", "measured", "holds"} for row in rows)
    assert len({row["claim"] for row in rows}) == len(rows)
    assert all(json.loads((folder / "run.json").read_bytes())["rules"].values())


def test_a_plan_without_learners_leaves_out_what_only_they_can_show() -> None:
    bare = tiny(steps={})
    assert [found.name for found in bare.artefacts] == [name for name in NAMES if name not in ("training", "imitation")]
    assert {unit.function for unit in distinct_units(bare.artefacts).values()} == {measurements.apply_solvers}


def test_learners_that_nobody_registered_are_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "names", lambda group: {"dqn-sb3": registry.BUILT_IN[group]["dqn-sb3"]})
    left = tiny(steps={RMAPPO: 60, SB3_DQN: 60})
    assert "imitation" not in [found.name for found in left.artefacts]
    assert {unit.labels["method"] for unit in artefact(left, "training").units} == {SB3_DQN}


def test_real_places_are_refused() -> None:
    with pytest.raises(InvalidInput, match="battery_d2d has no real places"):
        paper("battery_d2d", "quick", users_file=Path("users.csv"), sites_file=Path("sites.csv"))


# ------------------------------------------------------------------------------------------------------------- plans


def test_one_training_serves_all_points_unless_each_has_its_own() -> None:
    once = [unit for unit in SETTING.learned(1, "paper") if unit.labels["method"] == RMAPPO]
    assert [unit.parameters["scenario"] for unit in once] == [SETTING.at(Point("paper"))]
    assert len(once[0].parameters["tests"]) == 3
    each = Setting(replace(TINY, each_point=True), BASE)
    own = [unit for unit in each.learned(1, "paper") if unit.labels["method"] == RMAPPO]
    assert len(own) == 3
    for unit in own:
        (test,) = unit.parameters["tests"]
        assert unit.parameters["scenario"] == test["scenario"]
    capacity = [unit.labels["point"] for unit in CapacityFigure(each).units if unit.labels.get("method") == RMAPPO]
    assert set(capacity) == {Point(preset, place).name for preset in TINY.presets for place in (400.0, 500.0)}


@pytest.mark.parametrize("size", ["quick", "full"])
def test_no_capacity_is_so_small_that_failing_on_purpose_pays(size: str) -> None:
    """The dearest execution of a full battery's task costs less than its failure."""
    for capacity in plan.SIZES[size].capacities_j:
        scenario = BatteryD2DScenario.preset("clipped-delay", battery_j=capacity)
        problem = BatteryD2D(scenario)
        for cpu, link_w in zip(problem.processors, (0.0, scenario.cellular_w), strict=True):
            joules = float(np.max(cpu.power_w / cpu.speed_hz)) * scenario.cycles_max + link_w
            share = np.array([joules / capacity])
            damage = problem.ageing.damage(np.array(1.0), share, np.ones(1))
            dearest = scenario.energy_weight * joules + scenario.ageing_weight * float(damage)
            assert dearest < scenario.failure_weight


def test_a_policy_is_tested_and_taught_on_instances_that_it_was_not_trained_on() -> None:
    units = distinct_units(tiny().artefacts).values()
    for unit in units:
        if unit.function is measurements.train:
            assert unit.parameters["seed"] not in {test["seed"] for test in unit.parameters["tests"]}
        if unit.function is measurements.train_on_demonstrations:
            seeds = (unit.parameters[name]["seed"] for name in ("demonstrations", "test"))
            assert len({unit.parameters["seed"], *seeds}) == 3


# ------------------------------------------------------------------------------------------------------ single units


def test_averages_are_the_problems_own_on_the_same_instances() -> None:
    scenario = SETTING.scenario("paper", disconnect_chance=0.0, task_chance=1.0)
    found = measurements.apply_solvers(scenario, {"all": {"name": "all-edge", "options": {"mode": 0}}}, 4, 7)["all"]
    problem = BatteryD2D(BatteryD2DScenario(**scenario))
    instances = problem.sample(4, 7)
    # The only edge device is the last of three targets.
    outcome = problem.evaluate(instances, problem.choose(np.full((4, 6, 2), 2), np.zeros((4, 6, 2), dtype=np.int64)))
    total = {name: values.sum() for name, values in outcome.metrics.items()}
    assert found["cost"] == pytest.approx(outcome.cost.mean())
    assert sum(found[name] for name in measurements.TERMS) == pytest.approx(found["cost"])
    assert found["failed"] == pytest.approx(total["failures"] / (4 * 6 * 2))
    assert found["delay_2_s"] == pytest.approx(total["delay_2_s"] / total["finished_2"])
    assert found["finished_j"] == pytest.approx(total["energy_j"] / (48 - total["failures"]))
    seconds = 1.0 / (total["degradation"] / (4 * 3 * 6 * 1.0))  # lives of three batteries in four episodes of 6 s
    assert found["life_years"] == pytest.approx(seconds / 86400 / 365.25)
    assert found["worn_years"] == pytest.approx(found["life_years"] / 5)


def test_what_has_no_denominator_is_left_out() -> None:
    scenario = SETTING.scenario("paper", task_chance=0.0)
    found = measurements.apply_solvers(scenario, {"all": {"name": "all-edge", "options": {}}}, 2, 7)["all"]
    assert found["cost"] == 0.0
    assert {"failed", "delay_1_s", "finished_j", "life_years", "worn_years"}.isdisjoint(found)


def test_windows_are_the_first_that_have_few_enough_tasks() -> None:
    problem = BatteryD2D(BatteryD2DScenario(**SETTING.scenario("paper")))
    windows = measurements.draw(problem, 5, 3, most_tasks=4)
    tasks = windows["arrives"].sum(axis=(1, 2))
    assert windows.count == 5
    assert (tasks <= 4).all()
    many = problem.sample(200, 3)
    first = np.flatnonzero(many["arrives"].sum(axis=(1, 2)) <= 4)[:5]
    np.testing.assert_array_equal(windows["cycles"], many["cycles"][first])
    with pytest.raises(InvalidInput, match="most_tasks = -1"):
        measurements.draw(problem, 1, 3, most_tasks=-1)


def test_a_course_counts_decisions_of_agents_and_costs_of_the_fleet() -> None:
    problem = BatteryD2D(BatteryD2DScenario(**SETTING.scenario("paper")))
    step = {"step": 10, "reward": -2.0}
    assert measurements.learning_curve(problem, "ppo", [step, {"step": 20, "imitation_error": 1.0}]) == [
        {"step": 10, "cost": 24.0}
    ]
    assert measurements.learning_curve(problem, "maddpg", [{"step": 10, "cost": 5.0, "tasks": 3.0}]) == [
        {"step": 10, "cost": 5.0}
    ]
    # Slots of two episodes of six, and what is left of a third.
    slots = [{"step": 4 * number, "reward": -float(number % 6 == 0) * number} for number in range(1, 15)]
    assert measurements.learning_curve(problem, "ppo-sb3", slots) == [
        {"step": 48, "cost": 6.0},
        {"step": 96, "cost": 12.0},
    ]
    assert measurements.learning_curve(problem, "dqn-sb3", slots) == [
        {"step": 24, "cost": 6.0},
        {"step": 48, "cost": 12.0},
    ]


def test_demonstrations_may_be_made_before_or_by_the_training() -> None:
    problem = BatteryD2D(BatteryD2DScenario(**SETTING.scenario("paper")))
    recipe = {"solver": "greedy", "options": {}, "count": 2, "seed": 5}
    learner = SETTING.learner("imitation-agents", SETTING.scenario("paper"), hidden=(4,))
    instances = problem.sample(3, 8)
    costs = [
        training.train(problem, learner, demonstrations, 3, 1).policy.run(problem, instances).objective
        for demonstrations in (recipe, training.make_demonstrations(problem, **recipe))
    ]
    np.testing.assert_array_equal(*costs)


def test_recurrent_agents_learn_from_pieces_that_fit_the_horizon() -> None:
    for horizon, chunk in ((100, 10), (5, 5), (6, 2), (7, 1)):
        assert SETTING.learner("rmappo", {"horizon": horizon})["settings"]["chunk"] == chunk


# ------------------------------------------------------------------------------------------------------------ claims

FULL = Setting(replace(plan.FULL, presets=("clipped-delay",)))
CLIPPED = {"preset": "clipped-delay"}


def judged(artefact: Artefact, rows: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    return {claim.claim: claim.holds for claim in artefact.claims(pd.DataFrame(rows))}


def sweep(axis: str, places: Sequence[float], of: Callable[[str, float], float]) -> list[dict[str, Any]]:
    """Costs of all methods, each ``of(method, place)`` with little noise."""
    return [
        {REPLICATE: r, **CLIPPED, axis: place, "method": method, "cost": of(method, place) * (1 + 1e-3 * r)}
        for r in (1, 2, 3)
        for method in (RMAPPO, *PAPER_METHODS)
        for place in places
    ]


def test_figures_hold_as_published_and_fail_in_reverse() -> None:
    for figure, axis, sign, claims in (
        (CapacityFigure(FULL), "battery_j", -1.0, 3),
        (TasksFigure(FULL), "task_chance", 1.0, 4),
    ):
        places = plan.FULL.capacities_j if axis == "battery_j" else plan.FULL.chances

        def published(method: str, place: float, sign: float = sign) -> float:
            return place**sign * (1.0 if method == RMAPPO else 2.0)

        def reverse(method: str, place: float, sign: float = sign) -> float:
            return place**-sign * (3.0 if method == RMAPPO else 2.0)

        held = judged(figure, sweep(axis, places, published))
        assert list(held.values()) == [True] * claims
        assert set(judged(figure, sweep(axis, places, reverse)).values()) == {False}


@pytest.mark.parametrize(("at_the_fewest", "verdicts"), [(0.1, [True, True, False]), (1.0, [True, False, True])])
def test_one_point_of_one_rival_decides_who_is_best_or_the_trend_of_all(
    at_the_fewest: float, verdicts: list[bool]
) -> None:
    def cost(method: str, place: float) -> float:
        return at_the_fewest if (method, place) == (OMD, 0.2) else place * (1.0 if method == RMAPPO else 2.0)

    found = judged(TasksFigure(FULL), sweep("task_chance", plan.FULL.chances, cost))
    assert list(found.values()) == [*verdicts, True]


def test_modes_must_pay_in_all() -> None:
    def rows(with_modes: float) -> list[dict[str, Any]]:
        return [
            {
                REPLICATE: r,
                **CLIPPED,
                "frequency": frequency,
                "method": method,
                "cost": cost * (1 + 1e-3 * r * (cost > 1)),
                **dict.fromkeys(("failed", "finished_j", "delay_3_s"), 1.0),
            }
            for r in (1, 2, 3)
            for method in (RMAPPO, GREEDY)
            for frequency, cost in ((DVFS, with_modes), (FIXED, 2.0))
        ]

    assert list(judged(FrequencyFigure(FULL), rows(1.5)).values()) == [True, True]
    assert list(judged(FrequencyFigure(FULL), rows(2.5)).values()) == [False, False]


def test_ten_percent_is_asked_below_simple_rules_and_anything_below_the_others() -> None:
    def rows(ours: float) -> list[dict[str, Any]]:
        others = {RANDOM: 3.0, OED: 4.0, OMD: 2.0, GREEDY: 1.95, QUEUE: 1.9, MADDPG: 1.85}
        return [
            {REPLICATE: r, **CLIPPED, "method": method, "cost": cost * (1 + 1e-3 * r * (method == RMAPPO))}
            for r in (1, 2, 3)
            for method, cost in {RMAPPO: ours, **others}.items()
        ]

    table = TermsTable(FULL)
    assert list(judged(table, rows(1.7)).values()) == [True, True, True]
    assert list(judged(table, rows(1.82)).values()) == [False, True, True]
    assert list(judged(table, rows(1.88)).values()) == [False, False, True]
    assert list(judged(table, rows(2.5)).values()) == [False, False, False]
    alone = [{**row, REPLICATE: 1} for row in rows(1.0)[:7]]
    assert set(judged(table, alone).values()) == {None}
