"""One small network per server: each votes for tasks from its own links, and the strongest vote decides.

Equation numbers are those of Jiang et al. 2022 (DIRS, arXiv:2005.12364). The agent on server ``j`` observes its own
measurements ``s_j`` alone and outputs ``pi_ij``, the probability that task ``i`` should run on it (14).

All agents' networks are one set of arrays with a leading server axis, multiplied slice by slice: one update trains all
of them, and agents exchange nothing before the vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from offloadopt.core import Decisions, FloatArray, IntArray, Observation
from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.saved_policy import Origin, TrainedPolicy
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
    center, scale : arrays [servers, features]
        By which views are standardised.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, servers: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.network = StackedMLP(servers, sizes, "relu", recurrent=False)
        self.register_buffer("center", torch.zeros(servers, sizes[0]))
        self.register_buffer("scale", torch.ones(servers, sizes[0]))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights that keep the variance of ReLU layers (He et al. 2015); biases are zero."""
        with torch.no_grad():
            for layer in self.network.layers:
                limit = (6.0 / layer.weight.shape[1]) ** 0.5
                layer.weight.uniform_(-limit, limit, generator=generator)

    def standardise(self, view: Tensor) -> None:
        """Take mean and standard deviation of every measurement from views ``[count, servers, features]``."""
        view = view.double()  # in single precision, rounding would give a constant some deviation
        deviation = view.std(dim=0, correction=0)
        self.center.copy_(view.mean(dim=0))
        self.scale.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, view: Tensor) -> Tensor:
        """Logits ``[count, servers, tasks]`` for views ``[count, servers, features]``."""
        signal = ((view - self.center) / self.scale).clamp(-VIEW_LIMIT, VIEW_LIMIT)
        return self.network(signal.transpose(0, 1)[:, None])[0][:, 0].transpose(0, 1)

    def squared_norm(self) -> Tensor:
        """``||theta_j||_2^2`` of every agent, ``[servers]``."""
        layers = self.network.layers
        parameters = [*(layer.weight for layer in layers), *(layer.bias for layer in layers)]
        return torch.stack([parameter.square().flatten(1).sum(dim=1) for parameter in parameters]).sum(dim=0)


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


class EnsemblePolicy(TrainedPolicy):
    """Decentralised voting of trained networks, with powers and CPU shares from the convex problem (13)."""

    name = "ensemble"
    serves = AssignmentProblem

    def probabilities(self, observation: Observation) -> FloatArray:
        """``pi_ij [count, servers, tasks]``: row ``j`` depends on nothing but the view of server ``j``."""
        return probabilities(self.actor, view_tensor(self.problem, observation))

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Vote, then allocate."""
        assignment = linked_vote(self.problem, observation, self.probabilities(observation))
        return self.problem.allocate(observation, assignment), memory

    @classmethod
    def untrained(cls, problem: AssignmentProblem[Any], origin: Origin) -> Self:
        """Create a policy, whose networks fit the problem's tasks and servers."""
        sizes = (features_of(problem), *origin.settings["hidden"], problem.tasks)
        return cls(problem, ServerNetworks(problem.servers, sizes), origin)


def view_tensor(problem: AssignmentProblem[Any], observation: Observation) -> Tensor:
    """What each server can measure, ``[count, servers, features]``, in single precision."""
    return torch.from_numpy(problem.server_view(observation).astype(np.float32))


def features_of(problem: AssignmentProblem[Any]) -> int:
    """Number of measurements in a server's view."""
    return problem.server_view(problem.sample(1, 0)).shape[2]
