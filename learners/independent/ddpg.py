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

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from offloadopt.core import Decisions, FloatArray, Observation
from offloadopt.learners.common.demonstrations import expressed
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.replay import TransitionBatch
from offloadopt.learners.common.torch_utils import squared_or_huber
from offloadopt.learners.common.weight_aggregation import Pair
from offloadopt.learners.independent.base import IndependentAgents, IndependentLearner
from offloadopt.learners.independent.networks import AgentNetworks, polyak_update_with_buffers
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
    actor_rate: float = Field(3e-4, gt=0, description="Adam's learning rate for actors")
    critic_rate: float = Field(1e-3, gt=0, description="Adam's learning rate for critics")
    final_rate: float = Field(0.1, ge=0, le=1, description="share of both left at the end; they fall along a cosine")
    actor_delay: int = Field(2000, ge=0, description="gradient steps of the critics before the actors take their first")
    inverting: bool = Field(
        True, description="inverting gradients bring actors back from limits, see `presigmoid_factor`"
    )
    noise: float = Field(0.12, ge=0, description="sigma of the noise, in halves of a decision's range")
    ou_theta: float = Field(0.15, gt=0, description="theta, the rate of the noise's return to 0")
    ou_dt: float = Field(1.0, gt=0, le=1, description="dt, the noise's time between two slots")
    imitation_weight: float = Field(
        10.0, ge=0, description="of the imitation loss of demonstrations beside minus the value (Nair et al. 2018)"
    )

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> ActorsAndCritics:
        """Create actors and critics with initial weights."""
        return ActorsAndCritics(self, problem, generator)


class ActorsAndCritics(IndependentAgents):
    """Actors and critics of all agents, with their target networks."""

    state_fields = ("_noise", "_steps", "_actors", "_critics")

    def __init__(self, settings: Ddpg, problem: AgentProblem[Any], generator: torch.Generator) -> None:
        super().__init__(settings, problem)
        self.settings = settings
        self.action_size = self.interface.entries
        self.networks = {}
        for kind, outputs, second_input in (("actor", self.action_size, 0), ("critic", 1, self.action_size)):
            for role in (kind, f"target_{kind}"):
                self.networks[role] = AgentNetworks(
                    len(self.reward_center),
                    self.interface.features,
                    settings.hidden,
                    outputs,
                    second_input=second_input,
                    compress=settings.standardise,
                    batch_norm=settings.batch_norm,
                ).eval()
            self.networks[kind].initialise(generator)
            polyak_update_with_buffers(self.networks[f"target_{kind}"], self.networks[kind], 1.0)
        self.pairs = [
            Pair(self.networks[kind], self.networks[f"target_{kind}"], settings.tau) for kind in ("actor", "critic")
        ]
        self._actors = AdamOptimizer(
            self.networks["actor"], settings.actor_rate, settings.final_rate * settings.actor_rate
        )
        self._critics = AdamOptimizer(
            self.networks["critic"], settings.critic_rate, settings.final_rate * settings.critic_rate
        )
        start = torch.randn((settings.num_envs, problem.num_agents, self.action_size), generator=generator)
        self._steps = 0
        # The noise continues over all episodes and starts from its stationary distribution.
        self._noise = start.double().numpy() * settings.noise / np.sqrt(2.0 * settings.ou_theta)

    def random_actions(self, count: int, rng: np.random.Generator) -> NDArray[Any]:
        """Sample actions uniformly in [0, 1]."""
        return rng.random((count, *self._noise.shape[1:]))

    def explore(self, view: FloatArray, slot: int, rng: np.random.Generator) -> NDArray[Any]:
        """Actions of the actors with Ornstein-Uhlenbeck noise."""
        s = self.settings
        self._noise = ornstein_uhlenbeck(self._noise, s.noise, s.ou_theta, s.ou_dt, rng)
        with torch.no_grad():
            actions = torch.sigmoid(self.networks["actor"](torch.from_numpy(view.astype(np.float32)))).numpy()
        return np.clip(actions + 0.5 * self._noise, 0.0, 1.0)

    def encode(self, observation: Observation, decisions: Decisions) -> NDArray[Any]:
        """Convert decisions to shares between the limits."""
        return self.interface.controls.flat(expressed(self.interface.controls, observation, decisions))

    def decode(self, observation: Observation, actions: NDArray[Any]) -> Decisions:
        """Convert shares between the limits to decisions."""
        controls = self.interface.controls
        return controls.decode(observation, controls.by_field(actions))

    def target(self, batch: TransitionBatch) -> Tensor:
        """Compute the critics' regression targets ``r + gamma Q'(s', mu'(s'))``, ``[rows, agents]``."""
        with torch.no_grad():
            actions = torch.sigmoid(self.networks["target_actor"](batch.next_view))
            next_value = self.networks["target_critic"](batch.next_view, actions)[..., 0]
        return self.scaled_rewards(batch) + self.gamma * next_value

    def learn(self, batch: TransitionBatch, spent: float) -> dict[str, Tensor]:
        """Take a gradient step of the critics and one of the actors, update the targets, and return metrics."""
        critic = self.networks["critic"].train()
        self.networks["actor"].train()
        value = critic(batch.view, batch.action)[..., 0]
        error = value - self.target(batch)
        loss = squared_or_huber(error, self.settings.huber_delta)
        self._critics.descend(batch.weighted(loss).mean(dim=0), spent)
        batch.update_priorities(error)

        self._steps += 1
        if self.imitating or self._steps > self.settings.actor_delay:
            self._update_actors(batch, spent)
        for kind in ("actor", "critic"):
            self.networks[kind].eval()
            polyak_update_with_buffers(self.networks[f"target_{kind}"], self.networks[kind], self.settings.tau)
        return {"train/critic_loss": error.detach().square().mean(), "train/value": value.detach().mean()}

    def _update_actors(self, batch: TransitionBatch, spent: float) -> None:
        """Take a gradient step of the actors on the critics' value of their actions, and on demonstrated actions."""
        s, signal = self.settings, self.networks["actor"](batch.view)

        def imitation_loss() -> Tensor:
            return s.imitation_weight * (torch.sigmoid(signal) - batch.action).square().sum(dim=-1)

        loss: Any = batch.only_demonstrated(imitation_loss)  # a number without demonstrations
        if not self.imitating:
            actions = torch.sigmoid(signal).detach().requires_grad_()
            value = self.networks["critic"](batch.view, actions)
            (gradient,) = torch.autograd.grad(value.sum(), actions)
            factor = presigmoid_factor(actions.detach(), gradient, s.inverting)
            loss = loss - (signal * gradient * factor).sum(dim=-1)
        self._actors.descend(batch.weighted(loss).mean(dim=0), spent)


def presigmoid_factor(actions: Tensor, gradient: Tensor, inverting: bool) -> Tensor:
    """Factor from the gradient by an action ``u`` in [0, 1] to that by the signal before its sigmoid.

    The sigmoid's derivative ``u (1 - u)`` vanishes at both limits, from which an actor would never return. Inverting
    gradients (Hausknecht and Stone 2016) shrink only by the distance to the limit in the gradient's direction.
    """
    if inverting:
        return torch.where(gradient > 0, 1.0 - actions, actions)
    return actions * (1.0 - actions)


def ornstein_uhlenbeck(
    noise: FloatArray, sigma: float, theta: float, step: float, rng: np.random.Generator
) -> FloatArray:
    """Advance an Ornstein-Uhlenbeck process by one slot: ``x - theta x dt + sigma sqrt(dt) N(0, 1)``.

    Its stationary standard deviation is about ``sigma / sqrt(2 theta)``, its correlation time ``1 / (theta dt)`` slots.
    """
    normal = rng.standard_normal(noise.shape)
    return np.asarray(noise - theta * step * noise + sigma * np.sqrt(step) * normal)
