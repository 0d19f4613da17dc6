"""Shared training of Stable-Baselines3's learners (the extra ``sb3``): budget, seeds, export of networks."""

from __future__ import annotations

import itertools
import math
import random
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from offloadopt.core import Decisions, Demonstrations, Observation, Policy, Problem
from offloadopt.errors import OffloadError
from offloadopt.learners.common.demonstrations import minimise, single_slots
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.common.training import IterativeLearner, Training, TrainingProgress, minibatches
from offloadopt.learners.sb3.exported_actor import Layer
from offloadopt.memory import require_memory
from offloadopt.quantities import Rate, Rounds

if TYPE_CHECKING:
    from offloadopt.learners.sb3.vec_env import BatchVecEnv


IMITATION_ROWS = 256
"""Rows in a gradient step of imitation."""


class Sb3Learner(IterativeLearner):
    """Learner that trains by Stable-Baselines3 and exports the network.

    An interrupted training begins again at the same call: the library stores replay buffers and running statistics by
    pickle only, and the state of its environments and generators not at all.
    """

    algorithm: ClassVar[str]
    """The library's name."""
    num_envs: int
    learning_rate: float
    gamma: float = Field(0.99, ge=0, le=1, description="discount factor of a slot; no effect where there is one slot")
    scale_rewards: bool = Field(
        False, description="whether rewards are divided by the deviation of their discounted sums (VecNormalize)"
    )
    imitation_steps: Rounds = Field(1000, ge=0, description="gradient steps on demonstrations before, if there are any")
    imitation_rate: Rate = Field(1e-3, gt=0, description="Adam's step size in imitation")

    resumable = False
    uses_demonstrations = True

    def make_training(self, problem: Any, seed: int, examples: Any, tracker: TrainingProgress) -> Sb3Training:
        """Refuse to train without the library."""
        require_library()
        return Sb3Training(self, problem, seed, examples)

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> ImitationRows:
        """Inputs and actions of the network in all slots."""
        inputs, actions = self.encode(problem, *single_slots(problem, demonstrations))
        return ImitationRows(torch.from_numpy(inputs), torch.from_numpy(actions), demonstrations.instances.count)

    @abstractmethod
    def encode(self, problem: Any, observation: Observation, decisions: Decisions) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs of the network, and the nearest actions, row by row of the library's environment."""

    @abstractmethod
    def imitation_loss(self, model: Any, inputs: Tensor, actions: Tensor) -> Tensor:
        """Mean loss of the model's network against actions."""

    @abstractmethod
    def imitators(self, model: Any) -> tuple[list[nn.Module], nn.Module | None]:
        """Networks that imitate; and the target of the first one, if there is one."""

    @abstractmethod
    def environment(self, problem: Problem[Any]) -> BatchVecEnv:
        """Vectorised environment of the problem."""

    def model(self, environment: Any, seed: int) -> Any:
        """The library's untrained model."""
        import stable_baselines3

        shared = {"learning_rate": self.learning_rate, "gamma": self.gamma, "seed": seed, "device": "cpu"}
        kind = getattr(stable_baselines3, self.algorithm)
        return kind("MlpPolicy", environment, **shared, **self.options(environment))

    @abstractmethod
    def options(self, environment: Any) -> dict[str, Any]:
        """Arguments of the algorithm beside those of all."""

    @abstractmethod
    def policy(self, problem: Problem[Any], environment: Any, model: Any, origin: Origin) -> Policy:
        """Policy of the model without exploration."""


@dataclass(frozen=True)
class ImitationRows:
    """Demonstrations as inputs ``[rows, ...]`` and actions ``[rows, ...]`` of a network of the library."""

    inputs: Tensor
    actions: Tensor
    count: int

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Inputs and actions by name."""
        return {"inputs": self.inputs.numpy(), "actions": self.actions.numpy()}


class Sb3Training(Training):
    """The library's model and its environment; one iteration trains it until the budget is spent.

    The budget is rounded up to the library's whole roll-outs. After every slot ``episode/cost`` and ``train/reward``
    can be recorded, of all agents together. With demonstrations the model begins from a network that imitates them; its
    replay and its critic begin without them.
    """

    environment: BatchVecEnv

    def __init__(self, settings: Sb3Learner, problem: Problem[Any], seed: int, examples: ImitationRows | None) -> None:
        super().__init__(examples)
        self.settings, self.problem, self.seed = settings, problem, seed
        self.model: Any = None

    def advance(self, tracker: TrainingProgress) -> None:
        """Train the model."""
        problem = self.problem

        def measure() -> dict[str, float]:
            cost = self.environment.slot_cost / problem.num_agents
            return {"episode/cost": cost, "train/reward": self.environment.slot_reward}

        def after_each_step(_: dict[str, Any], __: dict[str, Any]) -> bool:
            tracker.advance(self.environment.num_envs, measure)
            return tracker.in_time

        with private_randomness():
            self._make_model()
            if self.examples is not None:
                self._imitate(self.examples, tracker)
            self.model.learn(tracker.total, callback=after_each_step)

    def _make_model(self) -> None:
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.vec_env import VecNormalize

        s = self.settings
        self.environment = s.environment(self.problem)
        scaled: Any = self.environment
        if s.scale_rewards:
            scaled = VecNormalize(self.environment, norm_obs=False, gamma=s.gamma)
        self.model = s.model(scaled, int(np.random.SeedSequence(self.seed).generate_state(1)[0]))
        # Its own logger would make a folder among the system's temporary ones.
        self.model.set_logger(Logger(folder=None, output_formats=[]))

    def _imitate(self, examples: ImitationRows, tracker: TrainingProgress) -> None:
        s = self.settings
        networks, target = s.imitators(self.model)
        error = minimise(
            [parameter for network in networks for parameter in network.parameters()],
            lambda rows: s.imitation_loss(self.model, examples.inputs[rows], examples.actions[rows]),
            itertools.islice(
                minibatches(len(examples.inputs), IMITATION_ROWS, seeded_generator(self.seed)), s.imitation_steps
            ),
            s.imitation_rate,
            tracker,
        )
        if target is not None:
            target.load_state_dict(networks[0].state_dict())
        tracker.record({"train/imitation_error": error})

    def policy(self, origin: Origin) -> Policy:
        """Create the policy of the model without exploration."""
        if self.model is None:  # the time was up before training began
            with private_randomness():
                self._make_model()
        return self.settings.policy(self.problem, self.environment, self.model, origin)


def require_replay_memory(entries: int, environment: Any) -> None:
    """Refuse a replay buffer that does not fit: it holds observations twice, and actions, as float32 at most.

    Parameters
    ----------
    entries : int
        Steps of single environments that are remembered.
    environment : VecEnv
    """
    numbers = 2 * math.prod(environment.observation_space.shape) + math.prod(environment.action_space.shape)
    require_memory(4.0 * entries * numbers, f"buffer_size = {entries:,} steps of {numbers:,} numbers")


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
