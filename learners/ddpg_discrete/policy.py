"""A centre that decides for all agents by a network: coordinates in [0, 1], as levels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from offloadopt.core import Decisions, FloatArray, Observation, Policy, Problem
from offloadopt.errors import DamagedFile, InvalidInput, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.common.torch_utils import one_thread
from offloadopt.learners.ddpg_discrete.networks import CentralNetwork, Coordinates, Joint, Options, Shared
from offloadopt.learners.ddpg_discrete.quantiser import Grid
from offloadopt.structures.joint import JointProblem


class CentralPolicy(Policy):
    """The actor's coordinates without exploration.

    Parameters
    ----------
    problem : JointProblem
    actor : CentralNetwork
        Its outputs, through a sigmoid, are the agents' coordinates.
    origin : Origin
        Its settings ``normalise``, ``encoding`` and ``levels`` say what is seen and decided.
    """

    name = "central"

    def __init__(self, problem: JointProblem[Any], actor: CentralNetwork, origin: policies.Origin) -> None:
        self.problem = problem
        self.actor = actor.eval()
        self.origin = origin
        settings = origin.settings
        self._normalise = bool(settings["normalise"])
        self._grid = Grid(settings["encoding"], settings["levels"], problem.choices)
        self._head = head_of(problem, settings)

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """What the actor's levels stand for."""
        with one_thread(), torch.inference_mode():
            signal = self.actor(state_tensor(state_of(self.problem, observation, self._normalise)))
            shares = self._head.shares(signal)
        return self.problem.decode(self._grid.snap(shares)), memory

    def save(self, folder: Path) -> None:
        """Write the actor as safetensors + JSON."""
        policies.save(folder, self.origin, self.actor.arrays())

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read an actor; one that agents share serves any number of them."""
        origin, arrays = policies.read(folder, problem)
        if not isinstance(problem, JointProblem):
            raise Unsupported(f"{folder} decides for a centre; problem {problem.name!r} is no JointProblem")
        try:
            actor = actor_of(problem, origin.settings)
            # Refuse what is no actor of this kind before what merely has another size.
            if actor.arrays().keys() != arrays.keys():
                raise KeyError
        except (KeyError, TypeError, ValueError):
            raise DamagedFile(f"{folder} holds no actor of a centre: {', '.join(sorted(arrays))}") from None
        for name, array in actor.arrays().items():
            if array.shape != arrays[name].shape:
                raise InvalidInput(
                    f"{folder} holds an actor with {name} {list(arrays[name].shape)}; "
                    f"this {problem.name} needs {list(array.shape)}"
                )
        actor.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        return cls(problem, actor, origin)


Head = Coordinates | Options


def head_of(problem: JointProblem[Any], settings: Mapping[str, Any]) -> Head:
    """How a learner's settings read an actor's outputs."""
    if settings["networks"] == "shared":
        return Options(settings["levels"], problem.choices)
    return Coordinates(len(problem.choices))


def actor_of(problem: JointProblem[Any], settings: Mapping[str, Any]) -> CentralNetwork:
    """An untrained actor."""
    own, common, outputs = len(problem.user_factors), len(problem.common_factors), head_of(problem, settings).outputs
    if settings["networks"] == "shared":
        return Shared(own + common, 0, (), settings["hidden"], outputs)
    return Joint(problem.num_agents, own, common, 0, settings["hidden"], outputs)


def critic_of(problem: JointProblem[Any], settings: Mapping[str, Any]) -> CentralNetwork:
    """An untrained critic: of what each agent is paid where agents share it, of their sum otherwise."""
    own, common, head = len(problem.user_factors), len(problem.common_factors), head_of(problem, settings)
    if isinstance(head, Options):
        return Shared(own + common, head.seen, head.seen_choices, settings["hidden"], 1)
    return Joint(problem.num_agents, own, common, head.seen, settings["hidden"], 0)


def state_of(problem: JointProblem[Any], observation: Observation, normalise: bool) -> FloatArray:
    """``[count, agents, own + common]`` the state, by Algorithm 1 each entry times its scale factor."""
    own, common = problem.user_state(observation), problem.common_state(observation)
    if normalise:
        own, common = own * problem.user_factors, common * problem.common_factors
    shape = (*own.shape[:2], common.shape[-1])
    return np.concatenate([own, np.broadcast_to(common[:, None], shape)], axis=-1)


def state_tensor(state: FloatArray) -> Tensor:
    """A state in single precision."""
    return torch.from_numpy(state.astype(np.float32))
