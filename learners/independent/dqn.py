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

import torch
from pydantic import Field
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.demonstrations import large_margin_loss
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import squared_or_huber
from offloadopt.learners.independent.base import IndependentAgents, IndependentLearner
from offloadopt.learners.independent.networks import AgentNetworks
from offloadopt.learners.independent.policy import MenuPolicy
from offloadopt.quantities import Factor, Rate, Width
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

    levels: Width = Field(5, ge=2, description="even steps of each continuous decision; whole numbers count all")
    rate: Rate = Field(1e-3, gt=0, description="Adam's learning rate")
    epsilon_decay: float = Field(0.9995, gt=0, le=1, description="factor of the chance of exploring, slot by slot")
    epsilon_end: float = Field(0.05, ge=0, le=1, description="least chance of exploring")
    margin: Factor = Field(
        0.8, ge=0, description="by which demonstrated entries are to lead, in deviations of the reward (DQfD)"
    )

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> QNetworks:
        """Create networks with initial weights."""
        return QNetworks(self, problem, generator)


class QNetworks(IndependentAgents):
    """Networks of all agents, with their target networks.

    Attributes
    ----------
    value : AgentNetworks
    menu : Tensor [entries, size]
        The menu's entries as relaxed actions.
    explored : int
        Slots that were explored since the warm-up.
    """

    settings: Dqn
    state_fields = ("explored",)

    def __init__(self, settings: Dqn, problem: AgentProblem[Any], generator: torch.Generator) -> None:
        super().__init__(settings, problem)
        self.value = MenuPolicy.make_actor(self.interface, settings.model_dump())
        self.add_networks("value", self.value, settings.rate, generator)
        controls = cast(QuantisedControls, self.interface.controls)
        entries = controls.menu[:, None].repeat(problem.num_agents, axis=1)
        self.menu = self.relaxed.encode(controls.by_field(entries))[:, 0]
        self.explored = 0

    def policy_actor(self) -> AgentNetworks:  # type: ignore[override]
        """Networks of the trained policy."""
        return self.value

    def random_actions(self, observation: AgentObservation, generator: torch.Generator) -> Tensor:
        """Sample entries of the menu uniformly."""
        return self.menu[torch.randint(len(self.menu), observation.view.shape[:-1], generator=generator)]

    @torch.no_grad()
    def explore(self, observation: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """Entries of greatest value, or random ones with a probability that decays with the slot."""
        s = self.settings
        epsilon = s.epsilon_end if self.demonstrated else max(s.epsilon_decay**self.explored, s.epsilon_end)
        self.explored += 1
        best = self.menu[self.value(observation.view).argmax(dim=-1)]
        explores = torch.rand(*best.shape[:-1], 1, generator=generator) < epsilon
        return torch.where(explores, self.random_actions(observation, generator), best)

    def next_value(self, view: Tensor) -> Tensor:
        """Compute ``max_a Q'(s', a)``."""
        value: Tensor = self.targets["value"](view).amax(dim=-1)
        return value

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Take a gradient step of the networks, update the targets, and return metrics."""
        s, values = self.settings, self.value(batch.observation.view)
        chosen = (batch.action @ self.menu.T == len(self.relaxed.options)).float()  # the entry of the same options
        value = (values * chosen).sum(dim=-1)
        error = value - self.target(batch)

        def margin_loss() -> Tensor:
            return s.imitation_weight * large_margin_loss(values, chosen, s.margin)

        loss = squared_or_huber(error, s.huber_delta) + batch.only_demonstrated(margin_loss)
        self.optimizers["value"].descend(self.loss_per_copy(batch.weighted(loss)), spent)
        batch.update_priorities(error)
        self.update_targets(spent, batch.reward.mean(dim=0))
        return {"train/critic_loss": error.detach().square().mean(), "train/value": value.detach().mean()}
