"""Central policy: one actor network gives all agents' coordinates in [0, 1], quantised to levels."""

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
from offloadopt.learners.ddpg_discrete.networks import (
    CentralNetwork,
    JointNetwork,
    LogitHead,
    SharedNetwork,
    SigmoidHead,
)
from offloadopt.learners.ddpg_discrete.quantiser import Quantiser
from offloadopt.structures.joint import JointProblem


class CentralPolicy(Policy):
    """Decisions of a central actor without exploration.

    Parameters
    ----------
    problem : JointProblem
    actor : CentralNetwork
        Its outputs, through a sigmoid, are the agents' coordinates.
    origin : Origin
        Its settings ``normalise``, ``encoding`` and ``levels`` define states and actions.
    """

    name = "central"

    def __init__(self, problem: JointProblem[Any], actor: CentralNetwork, origin: policies.Origin) -> None:
        self.problem = problem
        self.actor = actor.eval()
        self.origin = origin
        settings = origin.settings
        self._normalise = bool(settings["normalise"])
        self._quantiser = Quantiser(settings["encoding"], settings["levels"], problem.choices)
        self._head = head_of(problem, settings)

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Decode the actor's quantised outputs."""
        with one_thread(), torch.inference_mode():
            signal = self.actor(state_tensor(state_of(self.problem, observation, self._normalise)))
            shares = self._head.shares(signal)
        return self.problem.decode(self._quantiser.quantise(shares)), memory

    def save(self, folder: Path) -> None:
        """Write the actor as safetensors + JSON."""
        policies.save(folder, self.origin, self.actor.arrays())

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read an actor; one that agents share serves any number of them."""
        origin, arrays = policies.read(folder, problem)
        if not isinstance(problem, JointProblem):
            raise Unsupported(f"{folder} holds a central policy; problem {problem.name!r} is no JointProblem")
        try:
            actor = actor_of(problem, origin.settings)
            # Refuse what is no actor of this kind before what merely has another size.
            if actor.arrays().keys() != arrays.keys():
                raise KeyError
        except (KeyError, TypeError, ValueError):
            raise DamagedFile(f"{folder} holds no central actor: {', '.join(sorted(arrays))}") from None
        for name, array in actor.arrays().items():
            if array.shape != arrays[name].shape:
                raise InvalidInput(
                    f"{folder} holds an actor with {name} {list(arrays[name].shape)}; "
                    f"this {problem.name} needs {list(array.shape)}"
                )
        actor.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        return cls(problem, actor, origin)


Head = SigmoidHead | LogitHead


def head_of(problem: JointProblem[Any], settings: Mapping[str, Any]) -> Head:
    """Head that decodes an actor's outputs under a learner's settings."""
    if settings["networks"] == "shared":
        return LogitHead(settings["levels"], problem.choices)
    return SigmoidHead(len(problem.choices))


def actor_of(problem: JointProblem[Any], settings: Mapping[str, Any]) -> CentralNetwork:
    """An untrained actor."""
    own, common, outputs = len(problem.user_factors), len(problem.common_factors), head_of(problem, settings).outputs
    if settings["networks"] == "shared":
        return SharedNetwork(own + common, 0, (), settings["hidden"], outputs)
    return JointNetwork(problem.num_agents, own, common, 0, settings["hidden"], outputs)


def critic_of(problem: JointProblem[Any], settings: Mapping[str, Any]) -> CentralNetwork:
    """An untrained critic: of each agent's reward where agents share it, of their sum otherwise."""
    own, common, head = len(problem.user_factors), len(problem.common_factors), head_of(problem, settings)
    if isinstance(head, LogitHead):
        return SharedNetwork(own + common, head.critic_features, head.choice_slices, settings["hidden"], 1)
    return JointNetwork(problem.num_agents, own, common, head.critic_features, settings["hidden"], 0)


def state_of(problem: JointProblem[Any], observation: Observation, normalise: bool) -> FloatArray:
    """State ``[count, agents, own + common]``; by Algorithm 1 each entry times its scale factor."""
    own, common = problem.user_state(observation), problem.common_state(observation)
    if normalise:
        own, common = own * problem.user_factors, common * problem.common_factors
    shape = (*own.shape[:2], common.shape[-1])
    return np.concatenate([own, np.broadcast_to(common[:, None], shape)], axis=-1)


def state_tensor(state: FloatArray) -> Tensor:
    """A state in single precision."""
    return torch.from_numpy(state.astype(np.float32))
