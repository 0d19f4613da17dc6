"""Sampled instances of `twin_inference`: tasks of the tables or of recorded requests, and the twin's errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Instances
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.problems.twin_inference.scenario import MEDMNIST
from offloadopt.testing import check_problem
from offloadopt.traces.requests import read_requests

TRACE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:00:00.0000000,1000,10
2023-11-16 18:00:00.5000000,2000,20
2023-11-16 18:00:01.5000000,3000,30
2023-11-16 18:00:02.0000001,4000,40
2023-11-16 18:00:03.0000000,5000,50
2023-11-16 18:00:04.0000000,6000,60
"""


def make(**changes: Any) -> TwinInference:
    problem = offloadopt.problem("twin_inference", changes.pop("preset", "paper"), **changes)
    assert isinstance(problem, TwinInference)
    return problem


def trace_file(folder: Path, text: str = TRACE) -> Path:
    path = folder / "requests.csv"
    path.write_text(text)
    return path


def test_tasks_are_those_of_the_tables() -> None:
    problem = make(horizon=3)
    instances = problem.sample(50, seed=1)
    number = instances["present"].sum(axis=-1)
    assert set(np.unique(number)) == {1, 2, 3, 4}
    assert (np.diff(instances["present"], axis=-1) <= 0).all()
    flops = {flops * n for flops, _ in MEDMNIST.values() for n in range(1, 5)}
    assert set(np.unique(instances["cycles"])) <= flops
    assert set(np.unique(instances["bits"])) == {6272.0 * c * n for c in (1, 3) for n in range(1, 5)}
    for name in ("user_hz", "server_hz", "bandwidth_hz", "distance_m", "power_w", "gain"):
        low, high = getattr(problem.scenario, name)
        assert low <= instances[name].min() <= instances[name].max() <= high
    assert np.ptp(instances["user_hz"], axis=0).max() == 0
    fresh = make(layout_seed=None).sample(5, seed=1)
    assert np.ptp(fresh["user_hz"], axis=0).min() > 0


def test_errors_of_the_twin_have_the_stated_bias_and_deviation() -> None:
    problem = make(gain_deviation=0.2, cpu_deviation=0.05, twin_bias=0.1, layout_seed=None, horizon=2)
    instances = problem.sample(300, seed=1)
    twin = problem.twin_instances(instances)
    for name, deviation in (("gain", 0.2), ("user_hz", 0.05), ("server_hz", 0.05), ("distance_m", 0.1)):
        error = twin[name] / instances[name] - 1
        assert error.mean() == pytest.approx(0.1, abs=0.02)
        assert error.std() == pytest.approx(deviation, rel=0.1)
    for name in ("present", "bits", "cycles", "start_j", "power_w"):
        np.testing.assert_array_equal(twin[name], instances[name])
    bare = Instances({name: values for name, values in instances.items() if not name.startswith("twin_")})
    same = problem.twin_instances(bare)
    assert all(same[name].tobytes() == bare[name].tobytes() for name in bare)


def test_requests_come_as_recorded(tmp_path: Path) -> None:
    problem = make(preset="llm-trace", requests_file=trace_file(tmp_path), users=2, horizon=2, slot_s=2.0)
    # The file lasts as long as two slots: its window begins at the first request, and the last one is outside.
    instances = problem.sample(1, seed=0)
    present, cycles, bits = (instances[name][0] for name in ("present", "cycles", "bits"))
    np.testing.assert_array_equal(present[:, :, :2], [[[1, 1], [1, 0]], [[1, 0], [1, 0]]])
    half, full = 0.5e9, 1.1e9  # requests are asked of both models in turn, as are the users
    np.testing.assert_allclose(cycles[0, 0, :2] * 4096, [2 * half * 1010, 2 * half * 3030])
    np.testing.assert_allclose(cycles[:, 1, 0] * 4096, [2 * full * 2020, 2 * full * 4040])
    np.testing.assert_allclose(bits[0, 0, :2], [32 * 1000, 32 * 3000])


def test_a_user_sends_no_more_requests_than_it_has_places(tmp_path: Path) -> None:
    path = trace_file(tmp_path)
    problem = make(preset="llm-trace", requests_file=path, users=1, horizon=1, slot_s=3.5, tasks_max=2)
    instances = problem.sample(20, seed=0)
    assert (instances["present"].sum(axis=(1, 2)) == 2).all()


def test_the_real_trace_makes_instances() -> None:
    path = Path(__file__).parents[4] / "shared" / "data" / "azure-llm-inference-code-2023.csv"
    if not path.is_file():
        pytest.skip("the trace is not here")
    problem = make(preset="llm-trace", requests_file=path, users=3, servers=2, horizon=3)
    check_problem(problem)
    assert len(read_requests(path).second) == 8819
    present = make(preset="llm-trace", requests_file=path).sample(50, seed=1)["present"].sum(axis=(-1, -2))
    # 8,819 requests in 57 minutes are 13 in a slot; they come in bursts, of which a third is too many at once.
    assert 7 < present.mean() < 13


def test_a_missing_or_short_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="requests_file"):
        make(preset="llm-trace")
    with pytest.raises(DamagedFile, match="cannot read"):
        make(preset="llm-trace", requests_file=tmp_path / "none.csv").sample(1, 0)
    with pytest.raises(InvalidInput, match="at least horizon x slot_s = 100"):
        make(preset="llm-trace", requests_file=trace_file(tmp_path)).sample(1, 0)


def test_the_average_task_is_the_mean_of_many_tasks_of_the_tables() -> None:
    problem = make(horizon=40)
    instances = problem.sample(100, seed=2)
    there = instances["present"] == 1
    assert instances["bits"][there].mean() == pytest.approx(problem.mean_bits, rel=0.01)
    assert instances["cycles"][there].mean() == pytest.approx(problem.mean_cycles, rel=0.01)


def test_the_average_task_is_the_mean_of_all_recorded_requests(tmp_path: Path) -> None:
    problem = make(preset="llm-trace", requests_file=trace_file(tmp_path), slot_s=2.0, horizon=1)
    context = np.arange(1000.0, 7000.0, 1000.0)
    assert problem.mean_bits == pytest.approx(32.0 * context.mean())
    assert problem.mean_cycles == pytest.approx(2.0 * 0.8e9 * 1.01 * context.mean() / 4096.0)
