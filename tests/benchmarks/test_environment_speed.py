"""Environments in batches on one core: agent-slots a second, the draws of nature and zero forcing included.

Run with ``make bench``. Times are CPU seconds of one thread, so that others on the machine count for less. Every round
plays one whole episode of every environment, from its draw of nature to the observation after the last slot;
``extra_info`` holds the agent-slots a second of the fastest round.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Decisions
from offloadopt.envs import AgentsView, Episodes, ProblemVectorEnv

pytestmark = pytest.mark.benchmark(timer=time.process_time)

COUNT, USERS = 1024, 5
AGENTS = [5, 10, 20, 40]


def measure(benchmark: Any, play: Callable[[], None], slots: int) -> None:
    benchmark.pedantic(play, rounds=5, warmup_rounds=1)
    if benchmark.stats is not None:  # none where benchmarks are disabled
        benchmark.extra_info["agent_slots_per_second"] = COUNT * slots * USERS / benchmark.stats.stats.min


@pytest.mark.parametrize("view", ["paper", "full", None])
def test_the_batched_environment(benchmark: Any, view: str | None) -> None:
    """The joint view in and out, or the problem's own arrays."""
    problem = offloadopt.problem("carbon_mimo", users=USERS)
    environment = ProblemVectorEnv(problem, COUNT, view=None if view is None else AgentsView(problem, view))
    environment.reset()
    action = environment.action_space.sample()
    ended: list[bool] = []

    def play() -> None:
        for _ in range(problem.horizon):
            *_, truncated, _ = environment.step(action)
        ended.append(bool(truncated.all()))

    benchmark.group = "1,024 environments x 5 users"
    measure(benchmark, play, problem.horizon)
    assert all(ended)


def test_episodes_alone(benchmark: Any) -> None:
    """Without what a view and Gymnasium add."""
    problem = offloadopt.problem("carbon_mimo", users=USERS)
    episodes = Episodes(problem, COUNT, seed=0)
    powers = np.full((COUNT, USERS), 0.5)
    decision = Decisions({"local_w": powers, "offload_w": powers})

    def play() -> None:
        episodes.begin()
        for _ in range(problem.horizon):
            episodes.step(decision)

    benchmark.group = "1,024 environments x 5 users"
    measure(benchmark, play, problem.horizon)
    assert episodes.ended


@pytest.mark.parametrize("users", AGENTS)
@pytest.mark.parametrize("part", ["sample", "reset", "slots"])
def test_time_against_the_number_of_agents(benchmark: Any, part: str, users: int) -> None:
    """At 40 antennas all is linear in agents but ``reset``: Gram matrices are squared in them, their inverses cubed."""
    problem = offloadopt.problem("carbon_mimo", users=users, antennas=max(AGENTS), horizon=20)
    instances = problem.sample(512, seed=0)
    start = problem.reset(instances)
    powers = np.full((512, users), 0.5)
    decision = Decisions({"local_w": powers, "offload_w": powers})

    def slots() -> None:
        state = start
        for _ in range(problem.horizon):
            problem.observe(instances, state)
            state, _ = problem.step(instances, state, decision)

    calls = {"sample": lambda: problem.sample(512, seed=0), "reset": lambda: problem.reset(instances), "slots": slots}
    benchmark.group = f"{part}: 512 environments x 20 slots, 40 antennas"
    benchmark.pedantic(calls[part], rounds=5, warmup_rounds=1)
