"""Shared training of Stable-Baselines3's learners (the extra ``sb3``): budget, seeds, export of networks."""

from __future__ import annotations

import math
import random
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from offloadopt.core import Budget, Demonstrations, Learner, Policy, Problem, Progress, Record
from offloadopt.errors import OffloadError
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import one_thread
from offloadopt.learners.sb3.exported_actor import Layer

if TYPE_CHECKING:
    from offloadopt.learners.sb3.vec_env import BatchVecEnv


class Sb3Learner(Learner):
    """Learner that trains by Stable-Baselines3 and exports the network."""

    num_envs: int
    learning_rate: float
    discount: float = Field(0.99, ge=0, le=1, description="gamma; without effect in a one-shot problem")
    scale_rewards: bool = Field(
        False, description="whether rewards are divided by the deviation of their discounted sums (VecNormalize)"
    )

    @abstractmethod
    def decisions(self, problem: Problem[Any]) -> int:
        """Decisions of single agents in a step of the library, which decides a row of its environment."""

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
    ) -> Policy:
        """Train by interaction alone.

        Parameters
        ----------
        problem : Problem
            A problem of the structure that the class serves.
        demonstrations : Demonstrations, optional
            Refused: the papers' baselines have no expert.
        budget : Budget, optional
            Without it `default_steps`; rounded up to the library's whole roll-outs. Training ends early when
            ``seconds`` are over, and then depends on the clock.
        seed : int
            Of nature's draws, initial weights and exploration.
        progress : callable, optional
            Called with the number of decisions since the last call.
        record : callable, optional
            Called after every slot with its ``episode/cost`` and ``train/reward``, all agents together.
        checkpoint : Path, optional
            Not used, because the library would pickle: an interrupted training begins again, and with a budget in steps
            ends with the same policy.

        Raises
        ------
        OffloadError
            If Stable-Baselines3 is not installed.
        """
        self.require(problem)
        self.check_demonstrations(demonstrations is not None)
        model, environment = self.train(problem, budget or Budget(), seed, progress, record)
        steps = model.num_timesteps * self.decisions(problem)
        return self.policy(problem, environment, model, Origin.of(self, problem, seed=seed, steps=steps))

    def train(
        self,
        problem: Problem[Any],
        budget: Budget,
        seed: int,
        progress: Progress | None = None,
        record: Record | None = None,
    ) -> tuple[Any, BatchVecEnv]:
        """Train the library's model until the budget is spent; returns it and its environment."""
        require_library()
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.vec_env import VecNormalize

        decisions = self.decisions(problem)
        steps = self.default_steps(problem) if budget.steps is None else budget.steps
        ends = math.inf if budget.seconds is None else time.monotonic() + budget.seconds

        def after_each_step(_: dict[str, Any], __: dict[str, Any]) -> bool:
            if progress is not None:
                progress(environment.num_envs * decisions)
            if record is not None:
                cost = environment.slot_cost / problem.num_agents
                record(model.num_timesteps * decisions, {"episode/cost": cost, "train/reward": environment.slot_reward})
            return time.monotonic() < ends

        with one_thread(), private_randomness():
            environment = self.environment(problem)
            scaled: Any = environment
            if self.scale_rewards:
                scaled = VecNormalize(environment, norm_obs=False, gamma=self.discount)
            model = self.model(scaled, int(np.random.SeedSequence(seed).generate_state(1)[0]))
            # Its own logger would make a folder among the system's temporary ones.
            model.set_logger(Logger(folder=None, output_formats=[]))
            model.learn(-(-steps // decisions), callback=after_each_step)
        return model, environment

    @abstractmethod
    def environment(self, problem: Problem[Any]) -> BatchVecEnv:
        """Vectorised environment of the problem."""

    @abstractmethod
    def model(self, environment: Any, seed: int) -> Any:
        """The library's untrained model."""

    @abstractmethod
    def policy(self, problem: Problem[Any], environment: Any, model: Any, origin: Origin) -> Policy:
        """Policy of the model without exploration."""


def linear_layers(*networks: nn.Module) -> list[Layer]:
    """Weights and biases of networks' linear layers, from the first to the last."""
    found = [part for network in networks for part in network.modules() if isinstance(part, nn.Linear)]
    return [(part.weight.detach().numpy().copy(), part.bias.detach().numpy().copy()) for part in found]


def require_library() -> None:
    """Refuse to train without Stable-Baselines3, with a line on how to install it."""
    try:
        import stable_baselines3  # noqa: F401
    except ImportError:
        raise OffloadError(
            "this learner needs Stable-Baselines3, which is not installed: pip install 'offloadopt[sb3]'"
        ) from None


@contextmanager
def private_randomness() -> Iterator[None]:
    """Restore the global random generators, which the library seeds and draws from."""
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(numpy_before)  # noqa: NPY002
