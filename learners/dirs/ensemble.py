"""One small network per server: each votes for tasks from its own links, and the strongest vote decides.

Equation numbers are those of Jiang et al. 2022 (DIRS, arXiv:2005.12364). The agent on server ``j`` observes its own
measurements ``s_j`` alone and outputs ``pi_ij``, the probability that task ``i`` should run on it (14).

All agents' networks are one set of arrays with a leading server axis, multiplied slice by slice: one update trains all
of them, and agents exchange nothing before the vote.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offloadopt.core import Decisions, FloatArray, IntArray, Observation, Policy, Problem
from offloadopt.errors import DamagedFile, InvalidInput, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.common.torch_utils import one_thread
from offloadopt.structures.assignment import AssignmentProblem

VOTE_THRESHOLD = 0.5
"""A task for which no server votes this strongly stays local."""
VIEW_LIMIT = 5.0
"""Standardised measurements are clipped to this: a dead link, at thousands of dB, becomes a very weak one."""


class ServerNetworks(nn.Module):
    """A fully connected network with ReLU for each server, from its view to one logit per task.

    Parameters
    ----------
    servers : int
    sizes : sequence of int
        Features of a view, widths of the hidden layers, tasks; the paper's are 30, 80, 60, 30.

    Attributes
    ----------
    weights, biases : arrays [servers, in, out] and [servers, out] of each layer
    center, scale : arrays [servers, features]
        By which views are standardised.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, servers: int, sizes: Sequence[int]) -> None:
        super().__init__()
        layers = list(itertools.pairwise(sizes))
        self.weights = nn.ParameterList(torch.zeros(servers, inputs, outputs) for inputs, outputs in layers)
        self.biases = nn.ParameterList(torch.zeros(servers, outputs) for _, outputs in layers)
        self.register_buffer("center", torch.zeros(servers, sizes[0]))
        self.register_buffer("scale", torch.ones(servers, sizes[0]))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights that keep the variance of ReLU layers (He et al. 2015); biases are zero."""
        with torch.no_grad():
            for weight in self.weights:
                limit = (6.0 / weight.shape[1]) ** 0.5
                weight.uniform_(-limit, limit, generator=generator)

    def standardise(self, view: Tensor) -> None:
        """Take mean and standard deviation of every measurement from views ``[count, servers, features]``."""
        view = view.double()  # in single precision, rounding would give a constant some deviation
        deviation = view.std(dim=0, correction=0)
        self.center.copy_(view.mean(dim=0))
        self.scale.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, view: Tensor) -> Tensor:
        """Logits ``[count, servers, tasks]`` for views ``[count, servers, features]``."""
        signal = ((view - self.center) / self.scale).clamp(-VIEW_LIMIT, VIEW_LIMIT).transpose(0, 1)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            signal = torch.baddbmm(bias[:, None], signal, weight)
            if layer < last:
                signal = torch.relu(signal)
        return signal.transpose(0, 1)

    def squared_norm(self) -> Tensor:
        """``||theta_j||_2^2`` of every agent, ``[servers]``."""
        return torch.stack([parameter.square().flatten(1).sum(dim=1) for parameter in self.parameters()]).sum(dim=0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All parameters and statistics by name."""
        return {name: value.numpy().copy() for name, value in self.state_dict().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Networks with the sizes and values of what `arrays` gave."""
        try:
            shapes = [arrays[f"weights.{layer}"].shape for layer in range(len(arrays) // 2 - 1)]
            networks = cls(shapes[0][0], (shapes[0][1], *(shape[2] for shape in shapes)))
            networks.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
        except (KeyError, IndexError, TypeError, RuntimeError):
            raise DamagedFile(f"arrays {', '.join(sorted(arrays))} are no networks of servers") from None
        return networks


def server_labels(assignment: IntArray, servers: int) -> Tensor:
    """``a_ij = 1`` where task ``i`` runs on server ``j``: ``[count, servers, tasks]`` of options ``[count, tasks]``."""
    return torch.from_numpy(assignment[:, None] == np.arange(1, servers + 1)[:, None]).float()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """``-sum_i [a_ij log pi_ij + (1 - a_ij) log(1 - pi_ij)]`` of (15) and (18), ``[count, servers]``."""
    return nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(dim=-1)


def demonstration_loss(networks: ServerNetworks, view: Tensor, labels: Tensor, l2: float) -> Tensor:
    """``J_D`` of every agent, equation (15), ``[servers]``: mean cross-entropy plus ``l2 ||theta_j||_2^2``."""
    return cross_entropy(networks(view), labels).mean(dim=0) + l2 * networks.squared_norm()


def vote(probability: FloatArray) -> IntArray:
    """Maximum vote: task ``i`` goes to ``argmax_j pi_ij`` if that is at least 0.5, and else stays local.

    Parameters
    ----------
    probability : array [count, servers, tasks]

    Returns
    -------
    array [count, tasks]
        Options, 0 for local.
    """
    winner = probability.argmax(axis=1) + 1
    return np.where(probability.max(axis=1) >= VOTE_THRESHOLD, winner, 0).astype(np.int64)


def linked_vote(problem: AssignmentProblem[Any], observation: Observation, probability: FloatArray) -> IntArray:
    """The vote `[count, tasks]` in which one for a link that is not there does not count."""
    linked = problem.affinity(observation).transpose(0, 2, 1) > 0
    return vote(np.where(linked, probability, 0.0))


def probabilities(networks: ServerNetworks, view: Tensor) -> FloatArray:
    """``pi_ij [count, servers, tasks]`` for views ``[count, servers, features]``."""
    with one_thread(), torch.inference_mode():
        return torch.sigmoid(networks(view)).double().numpy()


class EnsemblePolicy(Policy):
    """Decentralised voting of trained networks, with powers and CPU shares from the convex problem (13)."""

    name = "ensemble"

    def __init__(self, problem: AssignmentProblem[Any], networks: ServerNetworks, origin: policies.Origin) -> None:
        self.problem = problem
        self.networks = networks
        self.origin = origin

    def probabilities(self, observation: Observation) -> FloatArray:
        """``pi_ij [count, servers, tasks]``: row ``j`` depends on nothing but the view of server ``j``."""
        return probabilities(self.networks, view_tensor(self.problem, observation))

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Vote, then allocate."""
        assignment = linked_vote(self.problem, observation, self.probabilities(observation))
        return self.problem.allocate(observation, assignment), memory

    def save(self, folder: Path) -> None:
        """Write the networks as safetensors + JSON."""
        policies.save(folder, self.origin, self.networks.arrays())

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read networks that fit the problem's tasks and servers; another scenario of that shape is allowed."""
        origin, weights = policies.read(folder, problem)
        if not isinstance(problem, AssignmentProblem):
            raise Unsupported(f"{folder} votes for servers; problem {problem.name!r} is no AssignmentProblem")
        networks = ServerNetworks.from_arrays(weights)
        made_for = (*networks.center.shape, networks.biases[-1].shape[1])
        asked = (problem.servers, features_of(problem), problem.tasks)
        if made_for != asked:
            raise InvalidInput(
                f"{folder} holds a policy for {_shape(*made_for)}; this {problem.name} has {_shape(*asked)}"
            )
        return cls(problem, networks, origin)


def _shape(servers: int, features: int, tasks: int) -> str:
    return f"{tasks} tasks, {servers} servers and {features} measurements at each"


def view_tensor(problem: AssignmentProblem[Any], observation: Observation) -> Tensor:
    """What each server can measure, ``[count, servers, features]``, in single precision."""
    return torch.from_numpy(problem.server_view(observation).astype(np.float32))


def features_of(problem: AssignmentProblem[Any]) -> int:
    """Number of measurements in a server's view."""
    return problem.server_view(problem.sample(1, 0)).shape[2]
