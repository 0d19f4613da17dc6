"""Deep deterministic policy gradient (Lillicrap et al. 2016), the baseline of the papers on `carbon_mimo`.

Its configuration `ANCESTOR` is that of Chen and Wang, EURASIP JWCN 2020:188 (arXiv:1812.07394, the authors' code):

1. an agent's actor maps its view to a number in (0, 1) for each decision, scaled to the decision's limits; the
   options of an integer have equal parts of it;
2. Ornstein-Uhlenbeck noise is added to explore;
3. the critic is regressed on ``r + gamma Q'(s', mu'(s'))`` with the target networks Q', mu';
4. the actor ascends the gradient of ``Q(s, mu(s))``; the targets of both are updated softly at the rate ``tau``.

The ancestor takes 400,000 gradient steps. The defaults train within minutes:

- 16 environments, networks of 64-64 and batches of 128 make many cheap, well-mixed gradient steps;
- features are standardised by median and quartiles and compressed logarithmically, rewards are standardised, and a
  Huber loss bounds the effect of a flood of lost bits on a critic. Batch normalisation, which had that role, is off;
- targets are updated 20 times as fast, and actors wait for 2,000 steps of their critics: with critics that do not look
  ahead the least power is best, and the actors shut everything down until the buffers overflow;
- inverting gradients bring back actors from a limit, where the sigmoid's gradient vanishes;
- the noise decorrelates within 7 slots instead of 667, longer than an episode; its standard deviation is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import squared_or_huber
from offloadopt.learners.independent.base import IndependentAgents, IndependentLearner
from offloadopt.learners.independent.networks import AgentNetworks
from offloadopt.quantities import Factor, Rate, Rounds
from offloadopt.structures.agents import AgentProblem

ANCESTOR: Mapping[str, Any] = {
    "view": "ancestor",
    "hidden": (400, 300),
    "batch_norm": True,
    "standardise": False,
    "reward_scale": 1.0,
    "num_envs": 1,
    "warm_up": 64,
    "batch_size": 64,
    "buffer_size": 250_000,
    "gamma": 0.99,
    "actor_rate": 1e-4,
    "critic_rate": 1e-3,
    "final_rate": 1.0,
    "tau": 1e-3,
    "huber_delta": None,
    "actor_delay": 0,
    "inverting": False,
    "noise": 0.12,
    "ou_theta": 0.15,
    "ou_dt": 0.01,
}
"""``Ddpg(**ANCESTOR)``: the ancestor's settings. It trains for 2,000 episodes of 200 slots, an update in each."""


class Ddpg(IndependentLearner):
    """Independent DDPG agents with continuous actions."""

    name = "ddpg"

    batch_norm: bool = Field(False, description="batch normalisation, as in the original")
    actor_rate: Rate = Field(3e-4, gt=0, description="Adam's learning rate for actors")
    critic_rate: Rate = Field(1e-3, gt=0, description="Adam's learning rate for critics")
    actor_delay: Rounds = Field(
        2000, ge=0, description="gradient steps of the critics before the actors take their first"
    )
    inverting: bool = Field(
        True, description="inverting gradients bring actors back from limits, see `presigmoid_factor`"
    )
    noise: Factor = Field(0.12, ge=0, description="sigma of the noise, in halves of a decision's range")
    ou_theta: Factor = Field(0.15, gt=0, description="theta, the rate of the noise's return to 0")
    ou_dt: float = Field(1.0, gt=0, le=1, description="dt, the noise's time between two slots")
    imitation_weight: Factor = Field(
        10.0, ge=0, description="of the imitation loss of demonstrations beside minus the value (Nair et al. 2018)"
    )

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> ActorsAndCritics:
        """Create actors and critics with initial weights."""
        return ActorsAndCritics(self, problem, generator)


class ActorsAndCritics(IndependentAgents):
    """Actors and critics of all agents, with their target networks; these see actions as shares in [0, 1].

    Attributes
    ----------
    actor, critic : AgentNetworks
    updates : int
        Gradient steps of the critics.
    noise : Tensor [environments, agents, entries]
        It continues over all episodes and starts from its stationary distribution.
    """

    settings: Ddpg
    state_fields = ("updates", "noise")

    def __init__(self, settings: Ddpg, problem: AgentProblem[Any], generator: torch.Generator) -> None:
        super().__init__(settings, problem)
        s, size = settings, self.relaxed.size
        shape = self.copies, self.interface.features, s.hidden
        self.actor = AgentNetworks(*shape, size, compress=s.standardise, batch_norm=s.batch_norm)
        self.critic = AgentNetworks(*shape, 1, second_input=size, compress=s.standardise, batch_norm=s.batch_norm)
        self.add_networks("actor", self.actor, s.actor_rate, generator)
        self.add_networks("critic", self.critic, s.critic_rate, generator)
        self.updates = 0
        start = torch.randn((s.num_envs, problem.num_agents, size), generator=generator)
        self.noise = start * s.noise / (2.0 * s.ou_theta) ** 0.5

    def policy_actor(self) -> AgentNetworks:  # type: ignore[override]
        """Actors of the trained policy."""
        return self.actor

    @torch.no_grad()
    def explore(self, observation: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """Actions of the actors with Ornstein-Uhlenbeck noise."""
        s = self.settings
        self.noise = ornstein_uhlenbeck(self.noise, s.noise, s.ou_theta, s.ou_dt, generator)
        shares = torch.sigmoid(self.actor(observation.view))
        return (2.0 * shares - 1.0 + self.noise).clamp(-1.0, 1.0)

    def next_value(self, view: Tensor) -> Tensor:
        """Compute ``Q'(s', mu'(s'))``."""
        shares = torch.sigmoid(self.targets["actor"](view))
        value: Tensor = self.targets["critic"](view, shares)[..., 0]
        return value

    def update_targets(self, spent: float, value: Tensor) -> None:
        """Update also the targets' statistics of batch normalisation softly, before weights are exchanged."""
        for kind, target in self.targets.items() if self.settings.batch_norm else ():
            for old, new in zip(target.buffers(), self.optimizers[kind].networks.buffers(), strict=True):
                old.lerp_(new, self.settings.tau)
        super().update_targets(spent, value)

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Take a gradient step of the critics and one of the actors, update the targets, and return metrics."""
        view, shares = batch.observation.view, 0.5 * (1.0 + batch.action)
        self.actor.train()
        value = self.critic.train()(view, shares)[..., 0]
        error = value - self.target(batch)
        loss = squared_or_huber(error, self.settings.huber_delta)
        self.optimizers["critic"].descend(self.loss_per_copy(batch.weighted(loss)), spent)
        batch.update_priorities(error)
        self.updates += 1
        if self.imitating or self.updates > self.settings.actor_delay:
            self._update_actors(batch, view, shares, spent)
        self.actor.eval()
        self.critic.eval()
        self.update_targets(spent, batch.reward.mean(dim=0))
        return {"train/critic_loss": error.detach().square().mean(), "train/value": value.detach().mean()}

    def _update_actors(self, batch: Experience, view: Tensor, shares: Tensor, spent: float) -> None:
        """Take a gradient step of the actors on the critics' value of their actions, and on demonstrated actions."""
        s, signal = self.settings, self.actor(view)

        def imitation_loss() -> Tensor:
            return s.imitation_weight * (torch.sigmoid(signal) - shares).square().sum(dim=-1)

        loss: Any = batch.only_demonstrated(imitation_loss)  # a number without demonstrations
        if not self.imitating:
            own = torch.sigmoid(signal).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.critic(view, own).sum(), own)
            factor = presigmoid_factor(own.detach(), gradient, s.inverting)
            loss = loss - (signal * gradient * factor).sum(dim=-1)
        self.optimizers["actor"].descend(self.loss_per_copy(batch.weighted(loss)), spent)


def presigmoid_factor(actions: Tensor, gradient: Tensor, inverting: bool) -> Tensor:
    """Factor from the gradient by an action ``u`` in [0, 1] to that by the signal before its sigmoid.

    The sigmoid's derivative ``u (1 - u)`` vanishes at both limits, from which an actor would never return. Inverting
    gradients (Hausknecht and Stone 2016) shrink only by the distance to the limit in the gradient's direction.
    """
    if inverting:
        return torch.where(gradient > 0, 1.0 - actions, actions)
    return actions * (1.0 - actions)


def ornstein_uhlenbeck(noise: Tensor, sigma: float, theta: float, step: float, generator: torch.Generator) -> Tensor:
    """Advance an Ornstein-Uhlenbeck process by one slot: ``x - theta x dt + sigma sqrt(dt) N(0, 1)``.

    Its stationary standard deviation is about ``sigma / sqrt(2 theta)``, its correlation time ``1 / (theta dt)`` slots.
    """
    normal = torch.empty_like(noise).normal_(generator=generator)
    return noise - theta * step * noise + sigma * step**0.5 * normal
