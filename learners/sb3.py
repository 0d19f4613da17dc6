"""Baselines as Stable-Baselines3 implements them (the extra ``sb3``), decided by a centre that sees everything.

1. the problem is seen through the view of `offloadopt.envs.control`. An `AssignmentProblem`: all servers' standardised
   measurements in, one score in [-1, 1] for each server and task out, read by DIRS's vote. An `AgentProblem`: all
   agents' views in, all their continuous decisions out, each scaled to its limits;
2. the library trains; no method sees demonstrations;
3. the actor's weights are taken out: the policy is a plain network, saved without anything that runs when loaded.

Networks, optimisers and constants are the library's defaults but for the fields below.

`A2C` and `DDPG` are the baselines of DIRS's paper, and their fields were chosen on ``multi_server``, preset ``paper``,
by the mean gap to the optimum, among about 20 settings of each (16 or 64 environments, learning rates 1e-4 to 3e-3,
either reward, raw or scaled by the library, normalised advantages or not, noise 0 to 1, buffers of 5,000 and 100,000),
the better ones with three seeds. An episode is one slot of a fresh instance there, nothing follows a decision, and
``gamma`` and DDPG's target networks have no say. Mean gaps with the fields as they are: A2C 15 to 21 % after 20,000
steps, 0.4 to 1.9 % after 100,000 (at the library's learning rate and 16 environments 5.9 %, then 0.35 % after 200,000),
DDPG 12 to 24 % after 20,000; all-local lies at 5.9 %. With the library's own values DDPG stood at 75 % after a minute.
What A2C finds on this preset is nearly one assignment for all instances: at most 19 different ones among 500.

On agents with a horizon, whose end is a truncation that the library bootstraps over, nothing was tuned but that `PPO`
has the better of two settings. Mean costs on ``carbon_mimo``, preset ``paper``, one training seed, 200 instances (those
by which the settings were compared): random powers 55.6, ``lyapunov`` 9.2; `PPO` 19.7 after 204,800 slots (18.9 with
view ``full``); `DDPG` 24.9 after 20,000, and 17.2 with four gradient steps a slot, noise 0.2 and learning rate 1e-3;
`A2C` 62.0 after 100,000, so that it is of no use there as it stands.
"""

from __future__ import annotations

import math
import random
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from offloadopt.core import Budget, Demonstrations, Learner, Problem, Progress, Record
from offloadopt.envs.control import ControlProblem, control_view
from offloadopt.envs.many import ProblemVectorEnv
from offloadopt.errors import OffloadError
from offloadopt.learners.actors import Actor, Layer, Singles
from offloadopt.learners.ensemble import one_thread
from offloadopt.learners.policies import Origin


class GaussianActor(Actor):
    """The mean of the Gaussian of A2C and PPO, clipped to the actions' range as the library does."""

    @staticmethod
    def activation(signal: Singles) -> Singles:
        """Hyperbolic tangent."""
        return np.tanh(signal)

    @staticmethod
    def squash(outputs: Singles) -> Singles:
        """The nearest action."""
        return outputs.clip(-1.0, 1.0)


class DeterministicActor(Actor):
    """DDPG's actor, which ends in a hyperbolic tangent."""

    @staticmethod
    def activation(signal: Singles) -> Singles:
        """ReLU."""
        return np.maximum(signal, 0.0)

    @staticmethod
    def squash(outputs: Singles) -> Singles:
        """Hyperbolic tangent."""
        return np.tanh(outputs)


class Baseline(Learner):
    """What they have in common: environment, budget, seeds and the way out of the library."""

    serves: ClassVar[type[Any]] = ControlProblem
    policy_type: ClassVar[type[Actor]]

    environments: int
    learning_rate: float
    steps: int
    discount: float = Field(0.99, ge=0, le=1, description="gamma; without effect in a one-shot problem")
    view: str | None = Field(None, description="what agents see, by default the problem's first view; servers have one")
    reward: Literal["negative-cost", "reciprocal-cost"] = Field(
        "negative-cost", description="what is maximised; DIRS's is reciprocal-cost"
    )

    @property
    def default_steps(self) -> int:
        """Slots decided without a budget."""
        return self.steps

    def fit(
        self,
        problem: Problem[Any],
        *,
        demonstrations: Demonstrations | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        record: Record | None = None,
        checkpoint: Path | None = None,
    ) -> Actor:
        """Train by interaction alone.

        Parameters
        ----------
        problem : AssignmentProblem or AgentProblem
            An AgentProblem's decisions must be continuous.
        demonstrations : Demonstrations, optional
            Not used: the papers' baselines have no expert.
        budget : Budget, optional
            ``steps`` are slots decided, all agents or tasks at once, rounded up to the library's whole roll-outs.
            Training ends early when ``seconds`` are over, and then depends on the clock.
        seed : int
            Of nature's draws, initial weights and exploration.
        progress : callable, optional
            Called with the number of steps done since the last call.
        record : callable, optional
            Called with the steps done and the mean ``reward`` of the last ``environments`` of them.
        checkpoint : Path, optional
            Nothing is kept there, because the library would pickle: a training that was interrupted begins again, and
            with a budget in steps ends with the same policy.

        Raises
        ------
        OffloadError
            If Stable-Baselines3 is not installed.
        """
        self.require(problem)
        model = self.train(problem, budget or Budget(), seed, progress, record)
        view = model.get_env().environment.view
        origin = Origin.of(self, problem, seed=seed, steps=model.num_timesteps)
        return self.policy_type(problem, view, self.layers(model), origin)

    def train(
        self,
        problem: Problem[Any],
        budget: Budget,
        seed: int,
        progress: Progress | None = None,
        record: Record | None = None,
    ) -> Any:
        """The library's model when the budget is spent."""
        require_library()
        from offloadopt.learners.sb3_environment import BatchedEnvironment

        ends = math.inf if budget.seconds is None else time.monotonic() + budget.seconds

        def after_each_step(library: dict[str, Any], _: dict[str, Any]) -> bool:
            if progress is not None:
                progress(self.environments)
            if record is not None:
                record(model.num_timesteps, {"reward": float(library["rewards"].mean())})
            return time.monotonic() < ends

        view = control_view(problem, self.view)
        with one_thread(), private_randomness():
            environment = ProblemVectorEnv(problem, self.environments, reward=self.reward, view=view)
            model = self.model(BatchedEnvironment(environment), int(np.random.SeedSequence(seed).generate_state(1)[0]))
            model.learn(self.steps if budget.steps is None else budget.steps, callback=after_each_step)
        return model

    @abstractmethod
    def model(self, environment: Any, seed: int) -> Any:
        """The library's untrained model."""

    @abstractmethod
    def layers(self, model: Any) -> list[Layer]:
        """The weights of its actor."""


class A2C(Baseline):
    """Advantage actor-critic: the "Actor-Critic" of DIRS's paper."""

    name = "actor-critic"
    policy_type = GaussianActor

    environments: int = Field(64, ge=1, description="instances decided at once")
    learning_rate: float = Field(3e-3, gt=0, description="RMSprop's step size (the library's default is 7e-4)")
    normalize_advantage: bool = Field(True, description="whether advantages are standardised (by default they are not)")
    steps: int = Field(102_400, ge=1, description="slots decided in training, unless a budget says otherwise")

    def model(self, environment: Any, seed: int) -> Any:
        """A2C with two networks of 64-64."""
        import stable_baselines3

        return stable_baselines3.A2C(
            "MlpPolicy",
            environment,
            learning_rate=self.learning_rate,
            gamma=self.discount,
            normalize_advantage=self.normalize_advantage,
            seed=seed,
            device="cpu",
        )

    def layers(self, model: Any) -> list[Layer]:
        """Its policy network and the mean of the Gaussian; the standard deviation only explores."""
        return _gaussian_layers(model)


class PPO(Baseline):
    """Proximal policy optimisation with a clipped objective, one network for all agents' decisions."""

    name = "ppo-sb3"
    policy_type = GaussianActor

    environments: int = Field(64, ge=1, description="episodes decided at once")
    rollout: int = Field(32, ge=1, description="slots of each between two updates (2,048 of one by default)")
    batch: int = Field(256, ge=2, description="slots in a gradient step (64 by default)")
    epochs: int = Field(10, ge=1, description="times that an update goes through its slots")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's step size (the library's default is 3e-4)")
    steps: int = Field(204_800, ge=1, description="slots decided in training, unless a budget says otherwise")

    def model(self, environment: Any, seed: int) -> Any:
        """PPO with two networks of 64-64."""
        import stable_baselines3

        return stable_baselines3.PPO(
            "MlpPolicy",
            environment,
            learning_rate=self.learning_rate,
            gamma=self.discount,
            n_steps=self.rollout,
            batch_size=self.batch,
            n_epochs=self.epochs,
            seed=seed,
            device="cpu",
        )

    def layers(self, model: Any) -> list[Layer]:
        """Its policy network and the mean of the Gaussian; the standard deviation only explores."""
        return _gaussian_layers(model)


class DDPG(Baseline):
    """Deep deterministic policy gradient."""

    name = "ddpg-sb3"
    policy_type = DeterministicActor

    environments: int = Field(16, ge=1, description="instances decided at once")
    gradient_steps: int = Field(1, ge=1, description="gradient steps after each slot of all of them")
    learning_rate: float = Field(3e-4, gt=0, description="Adam's step size (the library's default is 1e-3)")
    noise: float = Field(0.5, ge=0, description="standard deviation of the noise on actions (by default there is none)")
    learning_starts: int = Field(2000, ge=0, description="random steps before training (100 by default)")
    buffer_size: int = Field(100_000, ge=1, description="latest steps that are remembered (1,000,000 by default)")
    steps: int = Field(20_000, ge=1, description="slots decided in training, unless a budget says otherwise")

    def model(self, environment: Any, seed: int) -> Any:
        """DDPG with networks of 400-300."""
        import stable_baselines3
        from stable_baselines3.common.noise import NormalActionNoise

        shape = environment.action_space.shape
        return stable_baselines3.DDPG(
            "MlpPolicy",
            environment,
            learning_rate=self.learning_rate,
            gamma=self.discount,
            gradient_steps=self.gradient_steps,
            action_noise=NormalActionNoise(np.zeros(shape), np.full(shape, self.noise)),
            learning_starts=self.learning_starts,
            buffer_size=self.buffer_size,
            seed=seed,
            device="cpu",
        )

    def layers(self, model: Any) -> list[Layer]:
        """Its actor."""
        return _linear(model.policy.actor)


def _gaussian_layers(model: Any) -> list[Layer]:
    return [*_linear(model.policy.mlp_extractor.policy_net), *_linear(model.policy.action_net)]


def _linear(network: nn.Module) -> list[Layer]:
    """Weights and biases of a network's linear layers, from the first to the last."""
    found = [part for part in network.modules() if isinstance(part, nn.Linear)]
    return [(part.weight.detach().numpy().copy(), part.bias.detach().numpy().copy()) for part in found]


def require_library() -> None:
    """Refuse to train without Stable-Baselines3, with a line that says how to get it."""
    try:
        import stable_baselines3  # noqa: F401
    except ImportError:
        raise OffloadError(
            "this learner needs Stable-Baselines3, which is not installed: pip install 'offloadopt[sb3]'"
        ) from None


@contextmanager
def private_randomness() -> Iterator[None]:
    """Give the global random generators, which the library seeds and draws from, back as they were."""
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(numpy_before)  # noqa: NPY002
