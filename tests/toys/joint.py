"""A `JointProblem`: a base station that gives each of two users a noisy channel and a power."""

from __future__ import annotations

import numpy as np

from offloadopt.core import ArrayField, Batch, Decisions, FloatArray, Instances, Observation, Outcome, Scenario, State
from offloadopt.structures.joint import JointProblem

USERS, CHANNELS, POWER_W = 2, 3, 4.0


class BaseStation(JointProblem[Scenario]):
    """A user's rate is that of its power over the channel's noise and the other's power there; power costs."""

    name = "base_station"
    scenario_type = Scenario
    num_agents = USERS
    choices = (None, CHANNELS)
    user_factors, common_factors = np.array([1.0]), np.full(CHANNELS, 0.5)
    instance_fields = observation_fields = {
        "gain": ArrayField((USERS,), low=0.1),
        "noise_w": ArrayField((CHANNELS,), low=0.1),
    }
    decision_fields = {
        "power_w": ArrayField((USERS,), low=0.0, high=POWER_W),
        "channel": ArrayField((USERS,), low=0, high=CHANNELS - 1, integer=True),
    }

    def sample(self, count: int, seed: int) -> Instances:
        gain, noise = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
        draws = {"gain": gain.uniform(0.5, 1.5, (count, USERS))}
        return Instances({**draws, "noise_w": noise.uniform(0.5, 2.0, (count, CHANNELS))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation(instances)

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        power_w, channel = decision["power_w"], decision["channel"]
        together = channel[:, :, None] == channel[:, None]
        received_w = (together * (power_w * instances["gain"])[:, None]).sum(axis=-1)
        own_w = power_w * instances["gain"]
        noise_w = np.take_along_axis(instances["noise_w"], channel, axis=-1) + received_w - own_w
        cost = 0.2 * power_w - np.log1p(own_w / noise_w)
        return State(1, state.values), Outcome(cost.sum(axis=-1), cost)

    def user_state(self, observation: Observation) -> FloatArray:
        return observation["gain"][..., None]

    def common_state(self, observation: Observation) -> FloatArray:
        return observation["noise_w"]

    def decode(self, coordinates: FloatArray) -> Decisions:
        channel = np.rint(coordinates[..., 1] * (CHANNELS - 1)).astype(np.int64)
        return Decisions({"power_w": POWER_W * coordinates[..., 0], "channel": channel})

    def encode(self, decisions: Decisions) -> FloatArray:
        return np.stack([decisions["power_w"] / POWER_W, decisions["channel"] / (CHANNELS - 1)], axis=-1)
