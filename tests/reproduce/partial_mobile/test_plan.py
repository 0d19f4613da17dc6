"""The tables and figures of the discretised DDPG: every number is what the problem says, and so is every verdict."""

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
from offloadopt.core import Decisions
from offloadopt.errors import InvalidInput
from offloadopt.problems.partial_mobile import PartialMobile, PartialMobileScenario
from offloadopt.reproduce import paper
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Paper, distinct_units
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.partial_mobile import measurements, plan, table
from offloadopt.reproduce.partial_mobile.kappa import FIT, KappaTable
from offloadopt.reproduce.partial_mobile.setting import (
    DISCRETE,
    EDGE_ONLY,
    EXACT,
    GREEDY,
    GRID,
    LOCAL,
    PRETRAINED,
    RANDOM,
    RANDOM_REQUESTS,
    SB3_A2C,
    Setting,
    Sizes,
    Variant,
)
from offloadopt.reproduce.partial_mobile.stability import StabilityFigure
from offloadopt.reproduce.partial_mobile.sweeps import GridFigure, UsersFigure
from offloadopt.reproduce.partial_mobile.table import PUBLISHED, WEIGHTS, WeightTable
from offloadopt.reproduce.runner import reproduce

SMALL: dict[str, Any] = {"hidden": (8,), "num_envs": 10, "warm_up": 4, "actor_delay": 1, "batch_size": 8}
TINY = Sizes(
    replicates=2,
    weights=(0.3, 0.7),
    learned_weights=(0.3,),
    episodes=2,
    users=(2, 4),
    user_slots=3,
    user_episodes=2,
    user_gap=1e-3,
    levels=(3, 5),
    level_weights=(0.3, 0.7),
    kappa_weights=(0.1, 0.9),
    kappa_slots=2,
    kappa_exponents=(-29.0, -28.0, -27.0),
    kappa_refinements=1,
    steps={DISCRETE: 120, PRETRAINED: 40},
    demonstrations=2,
    changes=SMALL,
    variants={"blind": Variant({**SMALL, "normalise": False}, 120)},
)
BASE = {"users": 3, "horizon": 4}


def tiny(**changes: Any) -> Paper:
    return plan.of_setting("tiny", Setting(replace(TINY, **changes), BASE))


SETTING = Setting(TINY, BASE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """Everything, in the smallest size."""
    folder = tmp_path_factory.mktemp("reproduction")
    return folder, reproduce(tiny(), [], folder, workers=1)


# ------------------------------------------------------------------------------------------------------- end to end


def test_every_artefact_has_its_tables_and_its_picture(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    assert [artefact.name for artefact in tiny().artefacts] == ["table-3", "kappa", "users", "stability", "grid"]
    for artefact in tiny().artefacts:
        assert (folder / f"{artefact.name}.png").read_bytes().startswith(b"\x89PNG")
        summary = pd.read_csv(folder / f"{artefact.name}.csv")
        assert not summary.duplicated(list(artefact.keys)).any()
        single = pd.read_csv(folder / f"{artefact.name}-replicates.csv")
        assert set(single[REPLICATE]) == {1, 2}


@pytest.mark.parametrize(("name", "key"), [("table-3", "weight"), ("users", "users")])
def test_no_method_is_above_the_optimum(made: tuple[Path, list[Claim]], name: str, key: str) -> None:
    frame = pd.read_csv(made[0] / f"{name}-replicates.csv")
    assert {EXACT, GREEDY, RANDOM, LOCAL} <= set(frame["method"])
    best = frame[frame["method"] == EXACT].set_index([key, REPLICATE])
    at = frame.set_index([key, REPLICATE]).index
    assert (frame["utility"] <= best["utility"].reindex(at).to_numpy() + 2e-3).all()
    assert (frame["cost"] >= best["bound"].reindex(at).to_numpy() - 1e-9).all()


def test_a_grid_costs_something_and_not_less_than_a_finer_one_that_contains_it(
    made: tuple[Path, list[Claim]],
) -> None:
    frame = pd.read_csv(made[0] / "grid-replicates.csv")
    excess = frame.pivot_table(index=["weight", REPLICATE], columns="decisions", values="excess")
    assert (excess["continuous"] == 0).all()
    assert (excess["K = 5"] >= -1e-9).all()
    assert (excess["K = 3"] >= excess["K = 5"] - 2e-3).all()


def test_claims_are_told_once_each_with_five_fields_and_their_rules(made: tuple[Path, list[Claim]]) -> None:
    folder, claims = made
    rows = json.loads((folder / "claims.json").read_bytes())
    assert rows == [claim.row() for claim in claims]
    assert all(set(row) == {"claim", "source", "paper", "measured", "holds"} for row in rows)
    assert len({row["claim"] for row in rows}) == len(rows)
    assert all(json.loads((folder / "run.json").read_bytes())["rules"].values())


def test_a_plan_without_learners_leaves_out_what_only_they_can_show() -> None:
    artefacts = {artefact.name: artefact for artefact in tiny(steps={}).artefacts}
    assert list(artefacts) == ["table-3", "kappa", "users", "grid"]
    assert measurements.train not in {unit.function for unit in distinct_units(artefacts.values()).values()}


def test_learners_that_nobody_registered_are_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "names", lambda group: {"a2c-sb3": registry.BUILT_IN[group]["a2c-sb3"]})
    learners = {DISCRETE: 120, SB3_A2C: 400}
    (stability,) = (artefact for artefact in tiny(steps=learners).artefacts if artefact.name == "stability")
    trained = {unit.labels["method"] for unit in stability.units if unit.function is measurements.train}
    assert trained == {SB3_A2C}


def test_the_paper_method_is_in_every_artefact_that_learners_are_in(made: tuple[Path, list[Claim]]) -> None:
    for name in ("table-3", "users", "stability"):
        assert DISCRETE in set(pd.read_csv(made[0] / f"{name}.csv")["method"])


def test_the_grid_of_table_3_is_not_solved_again_for_the_price_of_levels() -> None:
    artefacts = {artefact.name: artefact for artefact in tiny().artefacts}
    shared = set(distinct_units([artefacts["table-3"]])) & set(distinct_units([artefacts["grid"]]))
    assert len(shared) == 2 * 2 * 2  # replicates, weights, the optimum and the grid with five levels


def test_real_places_are_refused() -> None:
    with pytest.raises(InvalidInput, match="partial_mobile's tables have no real places"):
        paper("partial_mobile", "quick", users_file=Path("users.csv"), sites_file=Path("sites.csv"))


# ------------------------------------------------------------------------------------------------------ single units


def mobile(**changes: Any) -> PartialMobile:
    return PartialMobile(PartialMobileScenario(**SETTING.scenario(**changes)))


def test_averages_are_the_problems_own_on_the_same_instances() -> None:
    chosen = {"edge": {"name": "edge-only", "options": {}}}
    found = measurements.apply_solvers(SETTING.scenario(users=7), chosen, 5, 11)["edge"]
    problem = mobile(users=7)
    instances = problem.sample(5, 11)
    distance = np.linalg.norm(instances["position_m"][..., None, :] - problem.sites_m, axis=-1)
    server = distance.argmin(axis=-1) + 1
    asked = np.full(server.shape, 10e9 * 5 / 7)
    outcome = problem.evaluate(
        instances, Decisions({"server": server, "ratio": np.ones(server.shape), "cpu_hz": asked})
    )
    assert found["cost"] == pytest.approx(outcome.cost.sum() / (5 * 4 * 7))
    assert found["time_s"] == pytest.approx(outcome.metrics["time_s"].mean())
    assert found["energy_j"] == pytest.approx(outcome.metrics["energy_j"].mean())
    crowded = (server[..., None] == np.arange(1, 6)).sum(axis=2) >= 2
    assert found["overload"] == pytest.approx(crowded.mean())
    assert found["utility"] == pytest.approx(1.0 - found["cost"] + crowded.sum() / (5 * 4 * 7))


def test_random_requests_lie_on_the_papers_grid_and_extend_with_more_instances() -> None:
    problem = mobile()
    solver = measurements.make_solver("random-requests", problem, {})
    instances = problem.sample(50, 1)
    decisions = solver.run(problem, instances, seed=3).decisions
    assert set(np.unique(decisions["ratio"])) == set(np.unique(decisions["cpu_hz"] / 10e9)) == set(np.arange(5) / 4)
    assert set(np.unique(decisions["server"])) == {1, 2, 3, 4, 5}
    fewer = solver.run(problem, problem.sample(4, 1), seed=3).decisions
    np.testing.assert_array_equal(fewer["server"][:, 0], decisions["server"][:4, 0])


def test_the_fit_finds_the_coefficient_that_made_the_table() -> None:
    scenario, exact = SETTING.scenario(), {"name": "exact", "options": {}}
    rows = []
    for weight in (0.2, 0.8):
        problem = mobile(kappa_server=10**-27.4, time_weight=weight, horizon=1)
        instances = problem.sample(3, 5)
        metrics = problem.evaluate(
            instances, registry.solver("exact", problem).run(problem, instances).decisions
        ).metrics
        scale = 400 / 3
        rows.append(
            {
                "weight": weight,
                "time_s": scale * float(metrics["time_s"].mean()),
                "energy_j": scale * float(metrics["energy_j"].mean()),
            }
        )
    found = measurements.fit_kappa(scenario, exact, rows, 3, 5, [-29.0, -28.0, -27.0, -26.0], 12)
    assert np.log10(found["fit"]["kappa"]) == pytest.approx(-27.4, abs=0.01)
    assert found["fit"]["residual"] < 0.01 < min(point["residual"] for point in found["tried"][:4])


def test_the_residual_is_the_root_mean_square_of_relative_errors() -> None:
    ours = [{"time_s": 110.0, "energy_j": 50.0}, {"time_s": 200.0, "energy_j": 60.0}]
    theirs = [{"time_s": 100.0, "energy_j": 50.0}, {"time_s": 250.0, "energy_j": 60.0}]
    assert measurements.residual(ours, theirs) == pytest.approx(np.sqrt((0.1**2 + 0.2**2) / 4))


def test_golden_section_tries_each_point_once_and_closes_in() -> None:
    tried: list[float] = []

    def at(x: float) -> measurements.Json:
        tried.append(x)
        return {"x": x, "residual": (x - 0.3) ** 2}

    points = measurements.golden_section(at, -1.0, 1.0, 15)
    assert len(tried) == len(points) == 16
    assert min(points, key=lambda point: float(point["residual"]))["x"] == pytest.approx(0.3, abs=2e-3)


def test_a_course_has_means_of_equal_stretches_and_the_spread_of_its_last_episodes() -> None:
    measured = [(step, float(step > 4000) * (-1.0) ** (step // 10)) for step in range(5, 8001, 5)]
    found = measurements.summarise_curve(measured, 10)
    assert [point["step"] for point in found["curve"]] == [200.0 * number for number in range(1, 41)]
    assert [point["gain"] for point in found["curve"]][:20] == [0.0] * 20
    # Within (10k, 10k + 10] lie 10k + 5 and 10k + 10, which have opposite signs.
    assert found["spread"] == 0.0
    assert measurements.summarise_curve(measured, 5)["spread"] == pytest.approx(1.0)


def test_a_gain_is_read_from_an_episodes_cost_or_a_slots_reward() -> None:
    problem = mobile()
    assert measurements.gain_of(problem, {"cost": 6.0, "value": 3.0}) == pytest.approx(1 - 6 / 12)
    assert measurements.gain_of(problem, {"reward": -0.75}) == pytest.approx(0.75)
    assert measurements.gain_of(problem, {"loss/critic": 1.0}) is None


def test_a_policy_is_tested_on_instances_that_it_was_not_trained_on() -> None:
    setting = Setting(replace(TINY, steps={SB3_A2C: 400}), BASE)
    (unit,) = setting.learned(1, setting.scenario())
    assert unit.parameters["seed"] != unit.parameters["test_seed"]


# ------------------------------------------------------------------------------------------------------------ claims


def judged(artefact: Artefact, rows: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    return {claim.claim: claim.holds for claim in artefact.claims(pd.DataFrame(rows))}


FULL = Setting(plan.FULL)


def weights(of: Callable[[str, int, int], float]) -> list[dict[str, Any]]:
    """Table 3's rows for all judged methods, each number ``of(name, place of the weight, replicate)``."""
    return [
        {REPLICATE: r, "weight": weight, "method": method, **{name: of(name, place, r) for name in PUBLISHED}}
        for method in (EXACT, GRID, DISCRETE)
        for place, weight in enumerate(WEIGHTS)
        for r in range(1, 6)
    ]


def test_table_3_holds_as_published_and_fails_in_reverse() -> None:
    published = judged(WeightTable(FULL), weights(lambda name, at, r: PUBLISHED[name][at] * (1 + 1e-3 * r)))
    assert len(published) == 12
    assert set(published.values()) == {True}
    reverse = judged(WeightTable(FULL), weights(lambda name, at, r: PUBLISHED[name][8 - at] * (1 + 1e-3 * r)))
    assert set(reverse.values()) == {False}
    flat = judged(WeightTable(FULL), weights(lambda name, at, r: 0.5))
    assert set(flat.values()) == {False}


def test_one_wrong_step_fails_one_trend_and_noise_decides_none() -> None:
    def once(name: str, at: int, r: int) -> float:
        value = PUBLISHED[name][at] * (1 + 1e-3 * r)
        return value * 1.2 if (name, at) == ("time_s", 8) else value

    found = judged(WeightTable(FULL), weights(once))
    failed = {claim for claim, holds in found.items() if holds is False}
    assert len(failed) == 6
    assert all(claim.startswith(("The delay falls", "Delay, energy and utility")) for claim in failed)
    noise = np.random.default_rng(0)
    scattered = judged(WeightTable(FULL), weights(lambda name, at, r: 1.0 + noise.normal(0, 0.3)))
    assert True not in scattered.values()


def test_the_table_is_explained_below_10_percent_alone() -> None:
    def rows(left: float) -> list[dict[str, Any]]:
        return [
            {
                REPLICATE: r,
                "method": EXACT,
                "at": FIT,
                "weight": weight,
                "kappa": 1e-27,
                "residual": left * (1 + 1e-3 * r),
                "utility": 0.5,
            }
            for weight in WEIGHTS
            for r in (1, 2, 3)
        ]

    assert list(judged(KappaTable(FULL), rows(0.05)).values()) == [True]
    assert list(judged(KappaTable(FULL), rows(0.3)).values()) == [False]


def test_overload_must_be_lower_than_each_rivals_at_every_number_of_users() -> None:
    def rows(ours: Callable[[int], float]) -> list[dict[str, Any]]:
        by_method = {DISCRETE: ours, EDGE_ONLY: lambda users: 0.3, RANDOM_REQUESTS: lambda users: 0.2}
        return [
            {REPLICATE: r, "users": users, "method": method, "overload": of(users) + 1e-4 * r * (method == DISCRETE)}
            for method, of in by_method.items()
            for users in plan.FULL.users
            for r in (1, 2, 3)
        ]

    figure = UsersFigure(FULL)
    assert list(judged(figure, rows(lambda users: 0.1)).values()) == [True]
    assert list(judged(figure, rows(lambda users: 0.25 if users == 20 else 0.1)).values()) == [False]
    without = [row for row in rows(lambda users: 0.1) if row["method"] != DISCRETE]
    assert judged(figure, without) == {}


def test_stability_needs_both_deviations_to_be_small_and_nearness_a_high_utility() -> None:
    def rows(seeds: float, episodes: float, utility: float = 0.7) -> list[dict[str, Any]]:
        own = {"method": DISCRETE, "step": 2.0, "spread": episodes, "overload": 0.0}
        best = {"method": EXACT, "step": 0.0, "spread": None, "utility": 0.8, "overload": 0.0}
        return [
            row
            for r in (1, 2, 3, 4)
            for row in (
                {REPLICATE: r, "method": DISCRETE, "step": 1.0},
                {REPLICATE: r, **own, "utility": utility + seeds * (-1) ** r},
                {REPLICATE: r, **best},
            )
        ]

    figure = StabilityFigure(FULL)
    assert list(judged(figure, rows(0.005, 0.01)).values()) == [True, False]
    assert list(judged(figure, rows(0.005, 0.01, utility=0.79)).values()) == [True, True]
    assert list(judged(figure, rows(0.05, 0.01)).values()) == [False, None]  # too wide to tell how near
    assert list(judged(figure, rows(0.005, 0.05)).values()) == [False, False]


def test_a_dear_grid_is_told() -> None:
    def rows(at_half: float) -> list[dict[str, Any]]:
        return [
            {
                REPLICATE: r,
                "weight": weight,
                "decisions": "K = 5",
                "excess": (at_half if weight == 0.5 else 0.01) * (1 + 1e-3 * r),
            }
            for weight in WEIGHTS
            for r in (1, 2, 3)
        ]

    assert list(judged(GridFigure(FULL), rows(0.02)).values()) == [True]
    assert list(judged(GridFigure(FULL), rows(0.2)).values()) == [False]


def test_numbers_name_their_weights_unless_all_nine_are_there() -> None:
    assert table.at_weights("{:.1f}", [1.0, 2.0], (0.1, 0.9)) == "1.0, 2.0 at 0.1, 0.9"
    assert "at" not in table.at_weights("{:.0f}", PUBLISHED["time_s"], WEIGHTS)
