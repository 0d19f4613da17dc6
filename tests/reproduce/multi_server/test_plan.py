"""The tables and figures of DIRS: every number is what the problem says, every verdict what the numbers say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from offloadopt import registry
from offloadopt.cli import main
from offloadopt.core import relative_gap
from offloadopt.errors import InvalidInput, UnknownName
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario
from offloadopt.reproduce import paper
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Paper, distinct_units
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.multi_server import measurements, plan
from offloadopt.reproduce.multi_server.setting import Setting, Sizes
from offloadopt.reproduce.runner import read_result, reproduce

TINY = Sizes(
    replicates=2,
    test_instances=12,
    users=(3, 5),
    servers=(1, 2),
    server_hz=(2e9, 5e9),
    demonstration_counts=(16, 64),
    accuracy_steps=15,
    imitation_demonstrations=16,
    imitation_steps=10,
    dirs={"demonstrations": 8, "pretraining": 20, "slots": 40, "generations": 5, "population": 2},
    prices={"steps": 4, "instances": 8, "batches": 2, "batch_size": 2},
    own_dirs={"demonstrations": 8, "pretraining": 10, "slots": 10, "generations": 5, "population": 2},
    budget_shares=(0.5, 1.0),
    search_instances=4,
    generations=10,
)
SETTING = Setting(TINY, {"users": 5})


def tiny() -> Paper:
    return plan.of_setting("tiny", SETTING)


def named(name: str) -> Artefact:
    return next(artefact for artefact in tiny().artefacts if artefact.name == name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """Everything, in the smallest size."""
    pytest.importorskip("stable_baselines3")
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


def test_no_method_beats_the_certified_optimum(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    for name in ("fig-9", "fig-10", "table-3", "hard-servers"):
        frame = pd.read_csv(folder / f"{name}-replicates.csv")
        assert (frame["gap"] >= 0).all()
        optimum = frame[frame["method"] == measurements.OPTIMUM]
        assert (optimum["gap"] <= 1e-6).all()
        assert (frame["method"].value_counts().loc[["local", "greedy", "random"]] > 0).all()
        keys = [REPLICATE, "scenario"] if name == "hard-servers" else [REPLICATE]
        if name in ("table-3", "hard-servers"):
            least = optimum.set_index(keys)["cost"]
            others = frame.join(least.rename("least"), on=keys)
            assert (others["cost"] >= others["least"] * (1 - 1e-9)).all()


def test_a_searched_fitness_never_rises_and_stays_above_the_optimum(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    frame = pd.read_csv(folder / "fig-7-replicates.csv").sort_values("generation")
    for _, curve in frame.groupby(["scenario", "method", REPLICATE]):
        assert (np.diff(curve["fitness"]) <= 0).all()
        assert (curve["gap_of_means"] >= -1e-9).all()


def test_claims_are_told_once_each_with_five_fields_and_their_rules(made: tuple[Path, list[Claim]]) -> None:
    folder, claims = made
    rows = json.loads((folder / "claims.json").read_bytes())
    assert rows == [claim.row() for claim in claims]
    assert all(set(row) == {"claim", "source", "paper", "measured", "holds"} for row in rows)
    assert all(row["holds"] in (True, False, None) and row["measured"] for row in rows)
    assert len({row["claim"] for row in rows}) == len(rows)
    run = json.loads((folder / "run.json").read_bytes())
    assert list(run["rules"]) == [row["claim"] for row in rows]
    assert all(run["rules"].values())


def test_trainings_that_several_figures_show_are_done_once() -> None:
    shared = [set(distinct_units([named(name)])) for name in ("fig-5", "fig-6", "fig-8", "table-3", "fig-10")]
    assert len(set.intersection(*shared)) == TINY.replicates


# ------------------------------------------------------------------------------------------------------ single units


def test_averages_are_the_problems_own_on_the_same_instances() -> None:
    scenario = SETTING.scenario(1)
    found = measurements.apply_rules(scenario, ["greedy", "local"], 20, 7)
    problem = MultiServer(MultiServerScenario(**scenario))
    instances = problem.sample(20, 7)
    best = registry.solver("exhaustive", problem).run(problem, instances)
    greedy = registry.solver("greedy", problem).run(problem, instances, seed=7)
    outcome = problem.evaluate(instances, greedy.decisions)
    assert found[measurements.OPTIMUM]["cost"] == pytest.approx(best.objective.mean())
    assert found["greedy"]["time_s"] == pytest.approx(outcome.metrics["time_s"].mean())
    assert found["greedy"]["gap"] == pytest.approx(relative_gap(greedy.objective, best.objective).mean(), abs=1e-6)
    # Equal tasks of one second and one joule, computed locally.
    assert (found["local"]["time_s"], found["local"]["energy_j"]) == pytest.approx((5.0, 5.0))
    assert found["local"]["accuracy"] == pytest.approx(np.mean(best.decisions["server"] == 0))


def test_the_watched_fitness_is_that_of_the_best_solution_so_far() -> None:
    scenario = SETTING.scenario(1)
    problem = MultiServer(MultiServerScenario(**scenario))
    instances = problem.sample(6, 3)
    options: dict[str, Any] = {"generations": 12, "population": 3}
    found = measurements.search(scenario, {name: options for name in ("levy", "levy-classic")}, 6, 3)
    for name in ("levy", "levy-classic"):
        solved = registry.solver(name, problem, **options).run(problem, instances, seed=3)
        assert found[name][-1] == pytest.approx(solved.objective.mean())
        assert len(found[name]) == 13
    assert found["levy"][0] == pytest.approx(found["levy-classic"][0])


def test_a_policy_is_tested_on_instances_that_it_was_not_trained_on() -> None:
    unit = SETTING.learned("imitation", 1, SETTING.scenario(1))
    parameters = unit.parameters
    assert parameters["demonstrations"]["seed"] not in {test["seed"] for test in parameters["tests"]}
    result = measurements.train(**parameters)
    assert result["spent"]["samples"] == TINY.imitation_demonstrations
    assert set(result["tests"]) == {test["name"] for test in parameters["tests"]}
    tested = measurements.apply_rules(
        parameters["scenario"], ["local"], TINY.test_instances, parameters["tests"][0]["seed"]
    )
    assert result["tests"]["as trained"]["cost"] >= tested[measurements.OPTIMUM]["cost"] * (1 - 1e-9)


def test_demonstrations_made_beforehand_are_taken_off_the_seconds() -> None:
    unit = SETTING.training(1, SETTING.scenario(1), SETTING.learner("imitation"), demonstrations=16, seconds=0.3)
    steps = registry.learner("imitation").default_steps
    assert measurements.train(**unit.parameters)["curve"][-1]["step"] < steps


@pytest.mark.parametrize(
    ("learner", "training", "expected"),
    [
        (("dirs", {"pretraining": 100}), {"demonstrations": 50, "steps": 400}, 350),
        (("dirs", {"pretraining": 100}), {"demonstrations": 50, "steps": 60}, 50),
        (("dirs", {"imitation": False}), {"demonstrations": 0, "steps": 400}, 400),
        (("imitation", {}), {"demonstrations": 50, "steps": 400}, 50),
        (("prices", {"instances": 70}), {"demonstrations": 0, "steps": 400}, 70),
        (("a2c-sb3", {}), {"steps": 400}, 400),
    ],
)
def test_samples_are_demonstrations_and_slots_but_no_rehearsals(
    learner: tuple[str, dict[str, Any]], training: dict[str, int], expected: int
) -> None:
    name, settings = learner
    assert measurements.samples(registry.learner(name, **settings), training) == expected


# ------------------------------------------------------------------------------------------------------------ claims


def judged(artefact: Artefact, rows: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    return {claim.claim: claim.holds for claim in artefact.claims(pd.DataFrame(rows))}


def accuracies(of: Callable[[str, int, int], float]) -> list[dict[str, Any]]:
    """A table II with the testing accuracy ``of(loss, demonstrations, replicate)``."""
    return [
        {
            REPLICATE: replicate,
            "loss": loss,
            "demonstrations": count,
            "test_accuracy": of(loss, count, replicate),
            "all_local_accuracy": 0.87,
        }
        for replicate in (1, 2, 3)
        for loss in ("with L2", "without L2")
        for count in (64, 128, 256, 512)
    ]


def full(name: str) -> Artefact:
    return next(artefact for artefact in paper("multi_server", "full").artefacts if artefact.name == name)


def test_table_2_as_published_holds_and_its_opposite_does_not() -> None:
    from offloadopt.reproduce.multi_server.accuracy import PUBLISHED

    noise = {1: -0.0005, 2: 0.0, 3: 0.0005}
    as_published = judged(full("table-2"), accuracies(lambda loss, n, r: PUBLISHED[loss][n][1] + noise[r]))
    assert list(as_published.values()) == [True, True, True]
    still_rising = accuracies(lambda loss, n, r: 0.7 + 0.03 * np.log2(n / 64) - 0.02 * (loss == "with L2") + noise[r])
    assert list(judged(full("table-2"), still_rising).values()) == [False, False, False]
    scattered = accuracies(lambda loss, n, r: 0.93 + 0.04 * np.sin(n * r + len(loss)))
    assert judged(full("table-2"), scattered)["The L2 regulariser lifts testing accuracy"] is None


def points(field: str, at: Sequence[int], of: Callable[[str, int, int], float]) -> list[dict[str, Any]]:
    """A figure 9 or 10 whose time, energy and cost are ``of(method, point, replicate)``."""
    return [
        {REPLICATE: replicate, field: point, "method": method, **dict.fromkeys(("time_s", "energy_j", "cost"), value)}
        for replicate in (1, 2, 3)
        for point in at
        for method in ("dirs", "greedy", "random", "local", measurements.OPTIMUM)
        for value in [of(method, point, replicate)]
    ]


def test_figure_9_needs_dirs_below_every_rule_at_every_point() -> None:
    at = full("fig-9").points  # type: ignore[attr-defined]
    base = {"dirs": 0.8, "greedy": 0.9, "random": 0.95, "local": 1.0, measurements.OPTIMUM: 0.7}
    better = points("users", at, lambda method, n, r: n * base[method] + 0.01 * r)
    assert set(judged(full("fig-9"), better).values()) == {True}
    once_worse = points(
        "users", at, lambda method, n, r: n * base[method] + 0.01 * r + (9.0 if (method, n) == ("dirs", 50) else 0.0)
    )
    found = judged(full("fig-9"), once_worse)
    assert [holds for claim, holds in found.items() if "lowest" in claim] == [False, False]
    assert found["The advantage of DIRS over Greedy, Random and Local grows with the number of users"] is True
    shrinking = points("users", at, lambda method, n, r: n + (100 - n) * base[method] + 0.01 * r)
    assert (
        judged(full("fig-9"), shrinking)[
            "The advantage of DIRS over Greedy, Random and Local grows with the number of users"
        ]
        is False
    )
    scattered = points("users", at, lambda method, n, r: n * base[method] + 40 * np.sin(n * r * len(method)))
    assert None in judged(full("fig-9"), scattered).values() or False in judged(full("fig-9"), scattered).values()


def learners(of: Callable[[str, str], tuple[float, float, float]], spread: float) -> list[dict[str, Any]]:
    """A table III; ``of(method, budget)`` gives training seconds, decision seconds and reward."""
    rows = []
    for replicate in (1, 2, 3):
        shift = spread * (replicate - 2)
        for method in ("dirs", "actor-critic", "ddpg-sb3"):
            for budget in ("equal samples", "equal seconds"):
                train_s, decision_s, reward = of(method, budget)
                numbers = {"train_cpu_s": train_s, "decision_s": decision_s, "reward": reward}
                swing = {name: value * (1 + shift * len(method)) for name, value in numbers.items()}
                rows.append({REPLICATE: replicate, "budget": budget, "method": method, **swing})
        rows.append({REPLICATE: replicate, "budget": "none", "method": measurements.OPTIMUM, "reward": 0.0353})
    return rows


def test_table_3_as_published_holds_and_its_reverse_does_not() -> None:
    told = {
        "dirs": (2970.84, 0.0165, 0.0348),
        "actor-critic": (3482.72, 0.0195, 0.0309),
        "ddpg-sb3": (3823.15, 0.0192, 0.0317),
    }
    artefact = full("table-3")
    assert set(judged(artefact, learners(lambda method, _: told[method], 1e-5)).values()) == {True}
    reverse = {
        "dirs": (9.0, 9.0, 0.030),
        "actor-critic": (2.0, 1.0, 0.034),
        "ddpg-sb3": (1.0, 2.0, 0.032),
    }
    assert set(judged(artefact, learners(lambda method, _: reverse[method], 1e-5)).values()) == {False}
    assert set(judged(artefact, learners(lambda method, _: told[method], 0.1)).values()) == {None}


def curve(of: Callable[[float], float], wobble: float) -> list[dict[str, Any]]:
    """A figure 6 of three replicates over 3000 slots."""
    return [
        {REPLICATE: replicate, "method": method, "step": step, "time_s": value, "energy_j": value, "cost": value}
        for replicate in (1, 2, 3)
        for method in ("DIRS", "without imitation")
        for step in range(10, 3001, 10)
        for value in [of(step) + wobble * np.sin(replicate * step)]
    ]


def test_figure_6_tells_a_fall_in_time_from_a_late_one_and_from_none() -> None:
    artefact = full("fig-6")

    def until(end: float) -> Callable[[float], float]:
        return lambda step: 30.0 + 5.0 * max(0.0, 1.0 - step / end)

    verdicts = {end: list(judged(artefact, curve(until(end), 0.01)).values()) for end in (900.0, 2700.0)}
    assert verdicts == {900.0: [True, True], 2700.0: [False, False]}
    assert list(judged(artefact, curve(lambda step: 30.0 + step / 3000, 0.01)).values()) == [False, False]
    noise = np.random.default_rng(0)
    assert list(judged(artefact, curve(lambda step: 30.0 + noise.normal(), 0.0)).values()) == [None, None]


def losses(end: float, settle: float) -> list[dict[str, Any]]:
    """A figure 5 whose losses fall to ``end`` within ``settle`` iterations."""
    return [
        {REPLICATE: replicate, "agent": agent, "step": step, "loss_per_task": value, "loss": 30 * value}
        for replicate in (1, 2, 3)
        for agent in ("agent 1", "agent 2")
        for step in range(10, 4001, 10)
        for value in [end + 0.01 * replicate + 0.5 * max(0.0, 1.0 - step / settle)]
    ]


@pytest.mark.parametrize(
    ("end", "settle", "expected"),
    [(0.18, 200.0, True), (0.5, 200.0, False), (0.18, 3000.0, False), (0.08, 200.0, None)],
)
def test_figure_5_asks_for_the_level_and_for_the_time(end: float, settle: float, expected: bool | None) -> None:
    assert list(judged(full("fig-5"), losses(end, settle)).values()) == [expected]


def ablation(slow: float, gain: float, spread: float) -> list[dict[str, Any]]:
    """A figure 8: without imitation the reward arrives at iteration ``slow``, refinement is worth ``gain``."""
    rows: list[dict[str, Any]] = []
    for replicate in (1, 2, 3):
        for method in ("DIRS", "without Lévy search", "without imitation"):
            arrival = slow if method == "without imitation" else 500.0
            for step in range(10, 3001, 10):
                rows.append(
                    {REPLICATE: replicate, "method": method, "step": step, "reward": 0.034 + 0.001 * (step > arrival)}
                )
            luck = spread * (replicate - 2) * len(method)
            tested = 0.034 + gain * (method != "without Lévy search") + luck
            rows[-1] |= {"tested_reward": tested, "tested_gap": 0.01}
        for method, reward in ((measurements.OPTIMUM, 0.0351), ("local", 0.0333)):
            rows += [{REPLICATE: replicate, "method": method, "step": step, "reward": reward} for step in (0, 3000)]
    return rows


@pytest.mark.parametrize(
    ("slow", "gain", "spread", "expected"),
    [(1500.0, 1e-3, 1e-6, [True, True]), (500.0, -1e-3, 1e-6, [False, False]), (1500.0, 1e-4, 1e-4, [None, True])],
)
def test_figure_8_judges_the_end_of_refinement_and_the_way_of_imitation(
    slow: float, gain: float, spread: float, expected: list[bool | None]
) -> None:
    assert list(judged(full("fig-8"), ablation(slow, gain, spread)).values()) == expected


# ------------------------------------------------------------------------------------------------------ command line


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["reproduce", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_wrong_usage_is_told_before_anything_is_done(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out")
    assert "did you mean 'table-2'" in refused(capsys, "multi_server", "tabel-2", *out)
    assert "--quick and --full" in refused(capsys, "multi_server", "--quick", "--full", *out)
    assert "no paper 'multiserver' to reproduce; did you mean 'multi_server'" in refused(capsys, "multiserver", *out)
    assert "sites_file is missing" in refused(capsys, "multi_server", "--users-file", tmp_path / "u.csv", *out)
    assert not (tmp_path / "out").exists()


def test_the_command_prints_claims_and_continues_by_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(plan.SIZES, "quick", TINY)
    command = ["reproduce", "multi_server", "fig-7", "--out", str(tmp_path / "out"), "--workers", "1"]
    # The preset's own 30 users; only the sizes are tiny.
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert "Fig. 7" in out
    assert "1 claim: " in out
    assert "shortened" in err
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "work").iterdir()}
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["source"] for row in rows] == ["Fig. 7"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "work").iterdir()} == stamps


def test_sizes_and_papers_are_known_by_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'full'"):
        paper("multi_server", "ful")
    with pytest.raises(InvalidInput, match="users_file is missing"):
        paper("multi_server", "quick", sites_file=Path("sites.csv"))
    assert paper("multi_server", "quick").shortened
    assert not paper("multi_server", "full").shortened


def test_real_places_join_the_generalisation_only_where_they_are_named(real_places: tuple[Path, Path]) -> None:
    users, sites = real_places
    labels = [
        {unit.labels["scenario"] for unit in artefact.units}
        for made in (paper("multi_server", "full"), paper("multi_server", "full", users, sites))
        for artefact in made.choose(["generalisation"])
    ]
    assert labels == [{"paper", "heterogeneous"}, {"paper", "heterogeneous", "melbourne"}]


def test_a_finished_unit_can_be_read_by_its_name(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    assert all(read_result(folder / "work", unit) for unit in distinct_units(tiny().artefacts).values())
