"""DQN as Stable-Baselines3 implements it (the extra ``sb3``), by one network that all agents share.

1. Each agent of each episode is an environment of its own: it observes its own view, takes an entry of the menu of all
   combinations of its options (of numbers: of even levels), and its reward is minus its own cost.
2. With demonstrations, the network first learns to give the demonstrated entries a lead (the large-margin loss of
   `demonstrations`). Then the library trains, with one replay of all agents' transitions.
3. The network is exported: a plain one, saved without code.

The library has no masks: options that a problem does not allow can be chosen, at the cost that the problem defines for
them. When it explores, all agents of all episodes act at random, otherwise none; and learning agents change the others'
rewards, which a replay cannot represent.

Recorded results: ``docs/results/learners.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from offloadopt.core import Decisions, Observation, Problem
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.demonstrations import expressed, large_margin_loss
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.independent.networks import AgentNetworks
from offloadopt.learners.independent.policy import MenuPolicy
from offloadopt.learners.sb3.base import Sb3Learner, linear_layers, require_replay_memory
from offloadopt.quantities import Factor, Rate, Rounds, Size, Width
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.levels import QuantisedControls

if TYPE_CHECKING:
    from offloadopt.learners.sb3.vec_env import PerAgentVecEnv


HIDDEN = (64, 64)
"""Widths of the library's hidden layers."""


class SharedMenuPolicy(MenuPolicy):
    """One network, the same for every agent: each takes the entry of the largest predicted value."""

    @classmethod
    def make_actor(cls, interface: AgentInterface, settings: Mapping[str, Any]) -> AgentNetworks:
        """Create a network of the library's shape."""
        return AgentNetworks(1, interface.features, HIDDEN, cls.outputs(interface))


class DQN(Sb3Learner):
    """Deep Q-network over the combinations of an agent's decisions, one network for all agents."""

    name = "dqn-sb3"
    algorithm = "DQN"
    serves: ClassVar[type[Any]] = AgentProblem
    policy_type = SharedMenuPolicy

    view: str | None = Field(None, description="what an agent sees, by default the problem's first view")
    controls: str | None = Field(None, description="form of the actions; none: the decision itself")
    levels: Width = Field(5, ge=2, description="even steps of each continuous decision; whole numbers count all")
    num_envs: Size = Field(16, ge=1, description="episodes decided at once, each with all its agents")
    gradient_steps: Rounds = Field(1, ge=1, description="gradient steps after each slot of all of them")
    batch_size: Size = Field(128, ge=1, description="decisions in a gradient step (32 by default)")
    learning_rate: Rate = Field(1e-3, gt=0, description="Adam's step size (the library's default is 1e-4)")
    margin: Factor = Field(0.8, ge=0, description="by which demonstrated entries are to lead (DQfD)")
    tau: float = Field(
        0.02, gt=0, le=1, description="share of the way that the target follows in a slot (1 by default)"
    )
    learning_starts: Size = Field(2000, ge=0, description="random decisions before training (100 by default)")
    buffer_size: Size = Field(200_000, ge=1, description="latest decisions remembered (1,000,000 by default)")
    exploration: float = Field(0.1, gt=0, le=1, description="share of the training in which exploration falls to 5 %")
    scale_rewards: bool = Field(
        True, description="whether rewards are divided by the deviation of their discounted sums (VecNormalize)"
    )
    gamma: float = Field(0.9, ge=0, le=1, description="discount factor of a slot (0.99 by default)")
    steps: Rounds = Field(
        1_200_000, ge=1, description="decisions of agents in training, unless a budget says otherwise"
    )

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also decisions without limits, and menus that are too long."""
        super().require(problem)
        self.make_interface(problem)

    def make_interface(self, problem: Any) -> AgentInterface:
        """Create the interface in which numbers have levels; refuse menus that are too long."""
        interface = self.policy_type.make_interface(problem, self.model_dump())
        problem.view_features(interface.view)
        self.policy_type.outputs(interface)
        return interface

    def encode(self, problem: Any, observation: Observation, decisions: Decisions) -> tuple[NDArray[Any], NDArray[Any]]:
        """Views and entries of all agents."""
        interface = self.make_interface(problem)
        controls = cast(QuantisedControls, interface.controls)
        entries = controls.entry(expressed(controls, observation, decisions))
        return interface.observe(observation).view.numpy().reshape(entries.size, -1), entries.reshape(-1)

    def imitators(self, model: Any) -> tuple[list[nn.Module], nn.Module | None]:
        """The network and its target."""
        return [model.q_net], model.q_net_target

    def imitation_loss(self, model: Any, inputs: Tensor, actions: Tensor) -> Tensor:
        """Mean large-margin loss."""
        values = model.q_net(inputs)
        return large_margin_loss(values, nn.functional.one_hot(actions, values.shape[-1]), self.margin).mean()

    def environment(self, problem: Problem[Any]) -> PerAgentVecEnv:
        """Each agent of each episode."""
        from offloadopt.learners.sb3.vec_env import PerAgentVecEnv

        return PerAgentVecEnv(self.make_interface(problem), self.num_envs)

    def options(self, environment: Any) -> dict[str, Any]:
        """A network of 64-64 is the library's default; its target follows slot by slot."""
        require_replay_memory(self.buffer_size, environment)
        return {
            "batch_size": self.batch_size,
            "train_freq": 1,
            "gradient_steps": self.gradient_steps,
            "tau": self.tau,
            "target_update_interval": environment.num_envs,
            "learning_starts": self.learning_starts,
            "buffer_size": self.buffer_size,
            "exploration_fraction": self.exploration,
        }

    def policy(self, problem: Problem[Any], environment: PerAgentVecEnv, model: Any, origin: Origin) -> MenuPolicy:
        """Copy the trained network."""
        networks = self.policy_type.make_actor(environment.interface, origin.settings)
        parameters = zip(networks.weights, networks.biases, linear_layers(model.q_net), strict=True)
        with torch.no_grad():
            for weight, bias, (trained_weight, trained_bias) in parameters:
                weight.copy_(torch.from_numpy(trained_weight.T))
                bias.copy_(torch.from_numpy(trained_bias))
        return self.policy_type(environment.interface, networks, origin)
