"""Deep Q-networks (Mnih et al. 2015) over discrete levels of each decision, the ancestor's second baseline.

Its configuration `ANCESTOR` is that of Chen and Wang, EURASIP JWCN 2020:188 (arXiv:1812.07394, the authors' code):

1. every combination of the levels of an agent's decisions is an entry of a menu, 25 for two powers of 5 levels;
2. an agent takes the entry of greatest value, or a random one with a probability that decays slot by slot;
3. its network is regressed on ``r + gamma max_a Q'(s', a)`` with the target network Q', which is updated softly at the
   rate ``tau``.

The defaults differ from the ancestor's as those of `ddpg` do, and explore for a tenth of the slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from offloadopt.core import Decisions, FloatArray, Observation
from offloadopt.learners.common.demonstrations import expressed, large_margin_loss
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.replay import TransitionBatch
from offloadopt.learners.common.torch_utils import squared_or_huber
from offloadopt.learners.common.weight_aggregation import Pair
from offloadopt.learners.independent.base import IndependentAgents, IndependentLearner
from offloadopt.learners.independent.networks import polyak_update_with_buffers
from offloadopt.learners.independent.policy import MenuPolicy
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.levels import QuantisedControls

ANCESTOR: Mapping[str, Any] = {
    "view": "ancestor",
    "hidden": (400, 300),
    "standardise": False,
    "reward_scale": 1.0,
    "num_envs": 1,
    "warm_up": 5000,
    "batch_size": 64,
    "buffer_size": 250_000,
    "gamma": 0.99,
    "levels": 5,
    "huber_delta": None,
    "rate": 1e-3,
    "final_rate": 1.0,
    "tau": 1e-3,
    "epsilon_decay": 0.999976,
    "epsilon_end": 0.0907,
}
"""``Dqn(**ANCESTOR)``: the ancestor's settings; widths, learning rate and ``tau`` are those of its DDPG."""


class Dqn(IndependentLearner):
    """Independent DQN agents, whose networks give the value of each combination of an agent's decisions."""

    name = "dqn"
    policy_type = MenuPolicy

    levels: int = Field(5, ge=2, description="even steps of each continuous decision; whole numbers count all")
    rate: float = Field(1e-3, gt=0, description="Adam's learning rate")
    final_rate: float = Field(0.1, ge=0, le=1, description="share of it left at the end; it falls along a cosine")
    epsilon_decay: float = Field(0.9995, gt=0, le=1, description="factor of the chance of exploring, slot by slot")
    epsilon_end: float = Field(0.05, ge=0, le=1, description="least chance of exploring")
    margin: float = Field(
        0.8, ge=0, description="by which demonstrated entries are to lead, in deviations of the reward (DQfD)"
    )

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> QNetworks:
        """Create networks with initial weights."""
        return QNetworks(self, problem, generator)


class QNetworks(IndependentAgents):
    """Networks of all agents, with their target networks."""

    state_fields = ("_learner",)

    action_size = 1  # the entry's index in the menu

    def __init__(self, settings: Dqn, problem: AgentProblem[Any], generator: torch.Generator) -> None:
        super().__init__(settings, problem)
        self.settings = settings
        self.entries = MenuPolicy.outputs(self.interface)
        self.networks = {
            role: MenuPolicy.make_actor(self.interface, settings.model_dump()) for role in ("value", "target")
        }
        self.networks["value"].initialise(generator)
        polyak_update_with_buffers(self.networks["target"], self.networks["value"], 1.0)
        self.pairs = [Pair(self.networks["value"], self.networks["target"], settings.tau)]
        self._learner = AdamOptimizer(self.networks["value"], settings.rate, settings.final_rate * settings.rate)

    def random_actions(self, count: int, rng: np.random.Generator) -> NDArray[Any]:
        """Sample entries of the menu uniformly."""
        return rng.integers(self.entries, size=(count, self.interface.problem.num_agents, 1))

    def explore(self, view: FloatArray, slot: int, rng: np.random.Generator) -> NDArray[Any]:
        """Entries of greatest value, or random ones with a probability that decays with the slot."""
        s = self.settings
        with torch.no_grad():
            best = self.networks["value"](torch.from_numpy(view.astype(np.float32))).argmax(dim=-1, keepdim=True)
        epsilon = s.epsilon_end if self.demonstrated else max(s.epsilon_decay ** (slot - s.warm_up), s.epsilon_end)
        explores = rng.random(best.shape) < epsilon
        return np.where(explores, self.random_actions(len(view), rng), best.numpy())

    def encode(self, observation: Observation, decisions: Decisions) -> NDArray[Any]:
        """Convert decisions to the nearest entries of the menu."""
        controls = cast(QuantisedControls, self.interface.controls)
        return controls.entry(expressed(controls, observation, decisions))[..., None]

    def decode(self, observation: Observation, actions: NDArray[Any]) -> Decisions:
        """Convert entries of the menu to decisions."""
        return cast(QuantisedControls, self.interface.controls).choose(observation, actions[..., 0])

    def target(self, batch: TransitionBatch) -> Tensor:
        """Compute the regression targets ``r + gamma max_a Q'(s', a)``, ``[rows, agents]``."""
        with torch.no_grad():
            next_value = self.networks["target"](batch.next_view).amax(dim=-1)
        return self.scaled_rewards(batch) + self.gamma * next_value

    def learn(self, batch: TransitionBatch, spent: float) -> dict[str, Tensor]:
        """Take a gradient step of the networks, update the targets, and return metrics."""
        s, entry, values = self.settings, batch.action.long(), self.networks["value"](batch.view)
        value = values.gather(-1, entry)[..., 0]
        error = value - self.target(batch)

        def margin_loss() -> Tensor:
            demonstrated = nn.functional.one_hot(entry[..., 0], self.entries)
            return s.imitation_weight * large_margin_loss(values, demonstrated, s.margin)

        loss = squared_or_huber(error, s.huber_delta) + batch.only_demonstrated(margin_loss)
        self._learner.descend(batch.weighted(loss).mean(dim=0), spent)
        batch.update_priorities(error)
        polyak_update_with_buffers(self.networks["target"], self.networks["value"], self.settings.tau)
        return {"train/critic_loss": error.detach().square().mean(), "train/value": value.detach().mean()}
