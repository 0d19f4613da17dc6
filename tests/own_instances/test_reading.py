"""Own instances from files of every kind, alone and together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from offloadopt import files, registry
from offloadopt.core import Instances
from offloadopt.datasets.demonstrations import collect
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.own_instances import read_instances, read_scenario, template

PROBLEM = registry.problem("multi_server", users=3, bandwidth_hz=2e6)


def assert_same(found: Instances, wanted: Instances) -> None:
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name])


@pytest.mark.parametrize("suffix", [".json", ".npz", ".parquet"])
def test_arrays_by_name(tmp_path: Path, suffix: str) -> None:
    instances = PROBLEM.sample(2, seed=0)
    files.save_batch(instances, tmp_path / f"i{suffix}")
    assert_same(read_instances(tmp_path / f"i{suffix}", PROBLEM), instances)
    assert read_scenario(tmp_path / f"i{suffix}", PROBLEM.name) is None


def test_a_document_with_its_scenario(tmp_path: Path) -> None:
    (tmp_path / "i.json").write_text(template(PROBLEM, PROBLEM.sample(2, seed=0)), encoding="utf-8")
    assert_same(read_instances(tmp_path / "i.json", PROBLEM), PROBLEM.sample(2, seed=0))
    assert read_scenario(tmp_path / "i.json", PROBLEM.name) == PROBLEM.scenario.model_dump(mode="json")


def test_a_shard_of_demonstrations_with_its_scenario(tmp_path: Path) -> None:
    shown = collect(PROBLEM, registry.solver("greedy", PROBLEM), count=3, seed=0, folder=tmp_path)
    (shard,) = tmp_path.glob("*.parquet")
    assert_same(read_instances(shard, PROBLEM), shown.instances)
    assert read_scenario(shard, PROBLEM.name) == PROBLEM.scenario.model_dump(mode="json")
    other = tmp_path / "other.parquet"
    files.save_batch(shown.instances, other)
    assert read_scenario(other, PROBLEM.name) is None, "it is none of the manifest's"


def test_tables_of_users_servers_and_tasks_with_mean_gains_at_their_distances(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("User,user_m.x,user_m.y\n0,1,2\n2,9,9\n1,30,40\n", encoding="utf-8")
    (tmp_path / "servers.csv").write_text("server,server_m.x,server_m.y\n0,4,6\n1,30,45\n", encoding="utf-8")
    (tmp_path / "tasks.csv").write_text(
        "instance,user,task_bits,task_cycles\n" + "".join(f"{k // 3},{k % 3},{1e6 + k},{2e9}\n" for k in range(6)),
        encoding="utf-8",
    )
    found = read_instances([tmp_path / f"{name}.csv" for name in ("users", "servers", "tasks")], PROBLEM)
    np.testing.assert_allclose(found["distance_m"][1], [[5, np.hypot(29, 43)], [np.hypot(26, 34), 5],
                                                        [np.hypot(5, 3), np.hypot(21, 36)]])  # fmt: skip
    np.testing.assert_allclose(found["gain"], 1e-3 / found["distance_m"] ** 2)
    np.testing.assert_array_equal(found["task_bits"][1], [1e6 + 3, 1e6 + 4, 1e6 + 5])


def test_what_is_wrong_names_the_file_or_the_sizes_that_would_do(tmp_path: Path) -> None:
    bad = json.loads(template(PROBLEM, PROBLEM.sample(1, seed=0)))
    bad["arrays"]["task_bits"]["unit"] = "Mbit"
    (tmp_path / "bad.json").write_text(json.dumps(bad), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"bad.json: array 'task_bits' has unit 'Mbit'; allowed: 'bit'"):
        read_instances(tmp_path / "bad.json", PROBLEM)
    larger = registry.problem("multi_server", users=5, servers=4)
    files.save_batch(larger.sample(2, 0), tmp_path / "large.npz")
    with pytest.raises(InvalidInput, match=r"gain has shape \[2, 5, 4\]; allowed: \[count, 3, 2\]; all arrays fit "
                                           r"--set users=5 --set servers=4"):  # fmt: skip
        read_instances(tmp_path / "large.npz", PROBLEM)
    with pytest.raises(InvalidInput, match=r"holds 'gain', which another file holds too"):
        read_instances([tmp_path / "large.npz"] * 2, PROBLEM)
    with pytest.raises(InvalidInput, match=r"suffix '.xlsx'; allowed: .json, .npz, .parquet, .csv"):
        read_instances(tmp_path / "x.xlsx", PROBLEM)
    (tmp_path / "text.csv").write_text("user,task_bits\n0,1\n1,many\n", encoding="utf-8")
    with pytest.raises(DamagedFile, match="row 2: task_bits is 'many'; allowed: a number"):
        read_instances(tmp_path / "text.csv", PROBLEM)


def test_what_the_files_do_not_hold_is_drawn_if_asked_for(tmp_path: Path) -> None:
    problem = registry.problem("carbon_mimo", users=2, horizon=3)
    rows = "".join(f"{slot},{user},{1000 * slot + user}\n" for slot in range(3) for user in range(2))
    (tmp_path / "arrivals.csv").write_text(f"slot,user,arrival_bits\n{rows}", encoding="utf-8")
    with pytest.raises(InvalidInput, match="'channel' of carbon_mimo is missing"):
        read_instances(tmp_path / "arrivals.csv", problem)
    found, drawn = read_instances(tmp_path / "arrivals.csv", problem, fill_seed=5), problem.sample(1, seed=5)
    np.testing.assert_array_equal(found["arrival_bits"], [[[0, 1], [1000, 1001], [2000, 2001]]])
    for name in drawn.keys() - {"arrival_bits"}:
        np.testing.assert_array_equal(found[name], drawn[name])


def test_optional_arrays_are_drawn_only_beside_what_is_drawn(tmp_path: Path) -> None:
    instances = PROBLEM.sample(2, seed=0)
    files.save_batch({"gain": instances["gain"]}, tmp_path / "links.npz")
    assert "distance_m" not in read_instances(tmp_path / "links.npz", PROBLEM, fill_seed=1)
    files.save_batch({"task_bits": instances["task_bits"]}, tmp_path / "tasks.npz")
    assert "distance_m" in read_instances(tmp_path / "tasks.npz", PROBLEM, fill_seed=1)
    larger = registry.problem("multi_server", users=5).sample(1, 0)
    files.save_batch({"task_bits": larger["task_bits"]}, tmp_path / "more.npz")
    with pytest.raises(InvalidInput, match="all arrays fit --set users=5"):
        read_instances(tmp_path / "more.npz", PROBLEM, fill_seed=1)
