"""The tables and figures of CADDTO-PPO: every number is what the problem says, every verdict what the numbers say."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from offloadopt.errors import InvalidInput
from offloadopt.problems.carbon_mimo import CarbonMimo, CarbonMimoScenario
from offloadopt.reproduce import paper, training
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Paper, distinct_units
from offloadopt.reproduce.carbon_mimo import ancestor, measurements, plan
from offloadopt.reproduce.carbon_mimo.setting import (
    CADDTO,
    DDPG,
    ENERGY,
    GREEDY_LOCAL,
    GREEDY_OFFLOAD,
    LYAPUNOV,
    Setting,
    Sizes,
)
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.runner import reproduce

TINY = Sizes(
    replicates=2,
    test_instances=3,
    loads=(1.0, 8.0),
    each_load=False,
    steps={CADDTO: 200, DDPG: 200},
    changes={},
    users=(1, 3),
    rates=(1.5, 4.0),
    ancestor_slots=300,
    ancestor_steps={"DDPG": 200},
    one_user_steps=200,
    values_of_v=(1e6, 1e8),
    expert_instances=2,
    expert_steps=5,
)
SETTING = Setting(TINY, {"users": 2, "horizon": 10})


def tiny() -> Paper:
    return plan.of_setting("tiny", SETTING)


def full(name: str) -> Artefact:
    return next(artefact for artefact in paper("carbon_mimo", "full").artefacts if artefact.name == name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """Everything, in the smallest size."""
    folder = tmp_path_factory.mktemp("reproduction")
    return folder, reproduce(tiny(), [], folder, workers=1)


# ------------------------------------------------------------------------------------------------------- end to end


def test_every_artefact_has_its_tables_and_its_picture(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    for artefact in tiny().artefacts:
        assert (folder / f"{artefact.name}.png").read_bytes().startswith(b"\x89PNG")
        table = pd.read_csv(folder / f"{artefact.name}.csv")
        assert not table.duplicated(list(artefact.keys)).any()
        single = pd.read_csv(folder / f"{artefact.name}-replicates.csv")
        assert set(single[REPLICATE]) == {1, 2}


def test_no_method_is_below_the_hindsight_bound(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    frame = pd.read_csv(folder / "cost-replicates.csv")
    assert {CADDTO, DDPG, LYAPUNOV, measurements.HINDSIGHT, measurements.BOUND} <= set(frame["method"])
    assert (frame["gap"] >= -1e-9).all()
    assert (frame[frame["method"] == measurements.BOUND]["gap"] == 0).all()


def test_claims_are_told_once_each_with_five_fields_and_their_rules(made: tuple[Path, list[Claim]]) -> None:
    folder, claims = made
    rows = json.loads((folder / "claims.json").read_bytes())
    assert rows == [claim.row() for claim in claims]
    assert all(set(row) == {"claim", "source", "paper", "measured", "holds"} for row in rows)
    assert len({row["claim"] for row in rows}) == len(rows)
    assert all(json.loads((folder / "run.json").read_bytes())["rules"].values())


def test_figures_over_the_loads_share_their_work() -> None:
    artefacts = {artefact.name: artefact for artefact in tiny().artefacts}
    shared = [set(distinct_units([artefacts[name]])) for name in ("cost", "carbon", "overflow")]
    assert shared[0] == shared[1] == shared[2]
    assert set(distinct_units([artefacts["training"]])) < shared[0]


def test_real_places_are_refused() -> None:
    with pytest.raises(InvalidInput, match="carbon_mimo has no real places"):
        paper("carbon_mimo", "quick", users_file=Path("users.csv"), sites_file=Path("sites.csv"))


# ------------------------------------------------------------------------------------------------------ single units


def test_averages_are_the_problems_own_on_the_same_instances() -> None:
    scenario = SETTING.scenario(arrival_quanta=6.0)
    found = measurements.apply_solvers(scenario, {"all": {"name": "full-power", "options": {}}}, 4, 7)["all"]
    problem = CarbonMimo(CarbonMimoScenario(**scenario))
    instances = problem.sample(4, 7)
    powers = np.full((4, 10, 2), 2.0)
    outcome = problem.evaluate(instances, {"local_w": powers, "offload_w": powers})
    joule = 4 * 10 * 2 * 4e-3
    assert found["cost"] == pytest.approx(outcome.cost.sum() / (4 * 10 * 2))
    assert found["power_w"] == pytest.approx(4.0)
    green = np.minimum(instances["harvest_j"], 4e-3).sum()
    assert found["carbon_g_per_j"] == pytest.approx(700 / 3.6e6 * (joule - green) / joule)
    assert found["wasted"] == pytest.approx(1 - green / instances["harvest_j"].sum())
    served = instances["arrival_bits"].sum() - outcome.metrics["overflow_bits"].sum()
    served -= problem_left(problem, instances, powers).sum()
    assert found["served"] == pytest.approx(served / instances["arrival_bits"].sum())


def problem_left(problem: CarbonMimo, instances: Any, powers: Any) -> Any:
    from offloadopt.core import Decisions

    state = problem.reset(instances)
    for slot in range(problem.horizon):
        state, _ = problem.step(instances, state, Decisions({"local_w": powers[:, slot], "offload_w": powers[:, slot]}))
    return state.values["buffer_bits"]


def test_a_policy_is_tested_on_instances_that_it_was_not_trained_on() -> None:
    (unit, *_) = SETTING.learned(1)
    seeds = {test["seed"] for test in unit.parameters["tests"]}
    assert unit.parameters["seed"] not in seeds
    assert {test["scenario"]["arrival_quanta"] for test in unit.parameters["tests"]} == set(TINY.loads)
    trained = unit.parameters["scenario"]
    assert (trained["arrival_quanta"], trained["arrival_quanta_to"]) == (min(TINY.loads), max(TINY.loads))


def test_with_a_training_at_each_load_every_load_is_tested_by_its_own() -> None:
    setting = Setting(dataclasses.replace(TINY, each_load=True), SETTING.base)
    units = setting.learned(1)
    assert len(units) == len(TINY.loads) * len(TINY.steps)
    for unit in units:
        (test,) = unit.parameters["tests"]
        assert unit.parameters["scenario"] == test["scenario"]
        assert test["scenario"]["arrival_quanta"] == unit.labels["load"]
    assert [unit.labels["load"] for unit in setting.shown(1)] == [8.0] * len(TINY.steps)


def test_a_long_curve_is_thinned_evenly_and_keeps_its_end() -> None:
    curve = [{"step": step} for step in range(1, 1001)]
    kept = [point["step"] for point in training.thinned(curve, 100)]
    assert kept == list(range(10, 1001, 10))


# ------------------------------------------------------------------------------------------------------------ claims


def judged(artefact: Artefact, rows: Sequence[Mapping[str, Any]]) -> list[bool | None]:
    return [claim.holds for claim in artefact.claims(pd.DataFrame(rows))]


def loads(of: Callable[[str, float, int], float]) -> list[dict[str, Any]]:
    """Numbers of a load figure, all of them ``of(method, load, replicate)``."""
    numbers = ("cost", "carbon_g_per_bit", "carbon_g_per_j", "overflow")
    return [
        {REPLICATE: replicate, "load": float(load), "method": method, **dict.fromkeys(numbers, value)}
        for replicate in range(1, 6)
        for load in range(1, 11)
        for method in (CADDTO, DDPG, LYAPUNOV, GREEDY_LOCAL, GREEDY_OFFLOAD, measurements.HINDSIGHT)
        for value in [of(method, load, replicate)]
    ]


BASE = {CADDTO: 0.002, measurements.HINDSIGHT: 0.001}


def test_claims_over_the_loads_hold_as_published_and_fail_otherwise() -> None:
    published = loads(lambda method, load, r: BASE.get(method, 0.1) * (1 + 0.01 * r))
    reverse = loads(lambda method, load, r: (0.5 if method == CADDTO else 0.1) * (1 + 0.01 * r))
    once = loads(lambda method, load, r: (0.5 if (method, load) == (CADDTO, 4) else BASE.get(method, 0.1)) + 1e-6 * r)
    noise = np.random.default_rng(0)
    scattered = loads(lambda method, load, r: 0.01 + noise.normal(0, 0.003))
    for name in ("cost", "carbon", "overflow"):
        artefact = full(name)
        assert set(judged(artefact, published)) == {True}
        assert set(judged(artefact, reverse)) == {False}
        assert True not in judged(artefact, scattered)
    ours = [{**row, "method": ENERGY} for row in published if row["method"] == CADDTO]
    assert judged(full("cost"), [*published, *ours]) == [True, True]
    assert judged(full("cost"), [*reverse, *ours]) == [False, True]
    assert judged(full("carbon"), once) == [False, False]
    assert judged(full("overflow"), once) == [True, False]


def test_the_ancestors_published_curve_matches_itself_and_nothing_2_percent_off() -> None:
    def rows(factor: float) -> list[dict[str, Any]]:
        return [
            {REPLICATE: r, "weight": weight, "rate": rate, "method": method, "reward": factor * value}
            for (method, weight), curve in ancestor.PUBLISHED.items()
            for rate, value in zip(ancestor.RATES, curve, strict=True)
            for r in (1, 2)
        ]

    assert judged(full("ancestor"), rows(1.0))[:2] == [True, True]
    assert judged(full("ancestor"), rows(1.03))[:2] == [False, False]


def test_lyapunovs_trade_off_needs_both_directions() -> None:
    def rows(power: Callable[[float], float], buffer: Callable[[float], float]) -> list[dict[str, Any]]:
        return [
            {REPLICATE: r, "v": v, "power_w": power(v) + 1e-6 * r, "buffer_quanta": buffer(v) + 1e-6 * r}
            for v in (1.0, 10.0, 100.0)
            for r in (1, 2, 3)
        ]

    assert judged(full("lyapunov-v"), rows(lambda v: 1 + 1 / v, lambda v: v)) == [True]
    assert judged(full("lyapunov-v"), rows(lambda v: 1.0 + v, lambda v: v)) == [False]
    assert judged(full("lyapunov-v"), rows(lambda v: 1 + 1 / v, lambda v: 1 / v)) == [False]


def test_inference_is_judged_by_time_growth_and_size() -> None:
    def rows(time: Callable[[int], float], size: int) -> list[dict[str, Any]]:
        return [
            {REPLICATE: r, "users": users, "device_ms": time(users) * (1 + 1e-3 * r), "all_ms": 1.0, "bytes": size}
            for users in (1, 10, 100)
            for r in (1, 2, 3)
        ]

    assert judged(full("inference"), rows(lambda users: 0.1, 67_000)) == [True, True]
    assert judged(full("inference"), rows(lambda users: 0.1 * users, 67_000)) == [False, False]
    assert judged(full("inference"), rows(lambda users: 0.1, 80_000)) == [True, False]
