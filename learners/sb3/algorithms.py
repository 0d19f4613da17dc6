"""Baselines as Stable-Baselines3 implements them (the extra ``sb3``), with one central policy that observes everything.

1. observations and actions are those of `offloadopt.envs.control`. An `AssignmentProblem`: all servers' standardised
   measurements in, one score in [-1, 1] for each server and task out, decoded by DIRS's vote. An `AgentProblem`: all
   agents' views in, all their decisions out: numbers scaled to their limits, and if all of them are whole numbers, a
   choice among the options of each (for `DDPG`, which has no choices, numbers rounded to options);
2. with demonstrations, the actor first imitates them: `A2C` and `PPO` by the policy's log-probability without change of
   the Gaussian's deviation, `DDPG` by squared differences. Then the library trains. Without its companion sb3-contrib
   it cannot mask options: those that a problem does not allow can be chosen, at the cost that the problem defines;
3. the actor's weights are exported: the policy is a plain network, saved without code.

Networks, optimisers and constants are the library's defaults but for the fields below.

`A2C` and `DDPG` are the baselines of DIRS's paper; how their fields were chosen, and the recorded results, stand in
``docs/results/learners.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from offloadopt.core import Decisions, Observation, Problem
from offloadopt.envs.control import ControlProblem, control_view, require_control
from offloadopt.envs.vector_env import ProblemVectorEnv
from offloadopt.envs.views import ControlView
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.sb3.base import Sb3Learner, linear_layers, require_replay_memory
from offloadopt.learners.sb3.exported_actor import Actor, Layer
from offloadopt.quantities import Factor, Rate, Rounds, Size

if TYPE_CHECKING:
    from offloadopt.learners.sb3.vec_env import CentralVecEnv


class StochasticActor(Actor):
    """Actor of A2C and PPO: the mean of a Gaussian, clipped to its range as the library does, or options."""

    activation = staticmethod(lambda signal: np.tanh(signal))
    squash = staticmethod(lambda outputs: outputs.clip(-1.0, 1.0))


class DeterministicActor(Actor):
    """DDPG's actor, which ends in a hyperbolic tangent and has no choices."""

    continuous: ClassVar[bool] = True
    activation = staticmethod(lambda signal: np.maximum(signal, 0.0))
    squash = staticmethod(lambda outputs: np.tanh(outputs))


class CentralSb3Learner(Sb3Learner):
    """Central learner of Stable-Baselines3; each method exports its own actor."""

    serves: ClassVar[type[Any]] = ControlProblem
    policy_type: ClassVar[type[Actor]]
    length = "slots"

    view: str | None = Field(None, description="what agents see, by default the problem's first view; servers have one")
    reward: Literal["negative-cost", "reciprocal-cost"] = Field(
        "negative-cost", description="what is maximised; DIRS's is reciprocal-cost"
    )
    slots: int

    def decisions(self, problem: Problem[Any]) -> int:
        """Decisions of all agents, taken at once."""
        return problem.num_agents

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also decisions without limits."""
        super().require(problem)
        require_control(problem, self.view)

    def environment(self, problem: Problem[Any]) -> CentralVecEnv:
        """Vectorised environment of many instances, decided as one batch."""
        from offloadopt.learners.sb3.vec_env import CentralVecEnv

        view = control_view(problem, self.view, continuous=self.policy_type.continuous)
        return CentralVecEnv(ProblemVectorEnv(problem, self.num_envs, reward=self.reward, view=view))

    def policy(self, problem: Problem[Any], environment: CentralVecEnv, model: Any, origin: Origin) -> Actor:
        """The actor and the view that it was trained with."""
        view = cast(ControlView, environment.environment.view)
        return self.policy_type(problem, view, self.layers(model), origin)

    def encode(self, problem: Any, observation: Observation, decisions: Decisions) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs and actions of the view."""
        view = control_view(problem, self.view, continuous=self.policy_type.continuous)
        return view.observe(observation), view.encode(observation, decisions)

    def layers(self, model: Any) -> list[Layer]:
        """Weights of its actor, up to the mean of a Gaussian, whose deviation only explores, or to the options."""
        return linear_layers(*self.imitators(model)[0])


class StochasticSb3Learner(CentralSb3Learner):
    """Learner whose actor is a distribution."""

    policy_type = StochasticActor

    def imitators(self, model: Any) -> tuple[list[nn.Module], nn.Module | None]:
        """Networks up to the mean of the Gaussian, or to the options."""
        return [model.policy.mlp_extractor.policy_net, model.policy.action_net], None

    def imitation_loss(self, model: Any, inputs: Tensor, actions: Tensor) -> Tensor:
        """Minus the log-probability."""
        return -model.policy.get_distribution(inputs).log_prob(actions.flatten(1)).mean()


class A2C(StochasticSb3Learner):
    """Advantage actor-critic: the "Actor-Critic" of DIRS's paper."""

    name = "a2c-sb3"
    algorithm = "A2C"

    num_envs: Size = Field(64, ge=1, description="instances decided at once")
    learning_rate: Rate = Field(3e-3, gt=0, description="RMSprop's step size (the library's default is 7e-4)")
    normalize_advantage: bool = Field(True, description="whether advantages are standardised (by default they are not)")
    slots: Rounds = Field(102_400, ge=1, description="slots decided in training, unless a budget says otherwise")

    def options(self, environment: Any) -> dict[str, Any]:
        """Two networks of 64-64 are the library's default."""
        return {"normalize_advantage": self.normalize_advantage}


class PPO(StochasticSb3Learner):
    """Proximal policy optimisation with a clipped objective, one network for all agents' decisions."""

    name = "ppo-sb3"
    algorithm = "PPO"

    num_envs: Size = Field(64, ge=1, description="episodes decided at once")
    rollout_length: Size = Field(32, ge=1, description="slots of each between two updates (2,048 of one by default)")
    minibatch_size: Size = Field(256, ge=2, description="slots in a gradient step (64 by default)")
    epochs: Rounds = Field(10, ge=1, description="times that an update goes through its slots")
    learning_rate: Rate = Field(1e-3, gt=0, description="Adam's step size (the library's default is 3e-4)")
    slots: Rounds = Field(204_800, ge=1, description="slots decided in training, unless a budget says otherwise")

    def options(self, environment: Any) -> dict[str, Any]:
        """Two networks of 64-64 are the library's default."""
        return {"n_steps": self.rollout_length, "batch_size": self.minibatch_size, "n_epochs": self.epochs}


class DDPG(CentralSb3Learner):
    """Deep deterministic policy gradient; whole numbers are rounded from its actor's outputs.

    The papers' DDPG is continuous too, and rounds.
    """

    name = "ddpg-sb3"
    algorithm = "DDPG"
    policy_type = DeterministicActor

    num_envs: Size = Field(16, ge=1, description="instances decided at once")
    gradient_steps: Rounds = Field(1, ge=1, description="gradient steps after each slot of all of them")
    learning_rate: Rate = Field(3e-4, gt=0, description="Adam's step size (the library's default is 1e-3)")
    noise: Factor = Field(
        0.5, ge=0, description="standard deviation of the noise on actions (by default there is none)"
    )
    learning_starts: Size = Field(2000, ge=0, description="random steps before training (100 by default)")
    buffer_size: Size = Field(100_000, ge=1, description="latest steps that are remembered (1,000,000 by default)")
    slots: Rounds = Field(20_000, ge=1, description="slots decided in training, unless a budget says otherwise")

    def options(self, environment: Any) -> dict[str, Any]:
        """Networks of 400-300 are the library's default."""
        from stable_baselines3.common.noise import NormalActionNoise

        shape = environment.action_space.shape
        require_replay_memory(self.buffer_size, environment)
        return {
            "gradient_steps": self.gradient_steps,
            "action_noise": NormalActionNoise(np.zeros(shape), np.full(shape, self.noise)),
            "learning_starts": self.learning_starts,
            "buffer_size": self.buffer_size,
        }

    def imitators(self, model: Any) -> tuple[list[nn.Module], nn.Module | None]:
        """The actor and its target."""
        return [model.actor], model.actor_target

    def imitation_loss(self, model: Any, inputs: Tensor, actions: Tensor) -> Tensor:
        """Mean squared difference."""
        return nn.functional.mse_loss(model.actor(inputs), actions.flatten(1))
