"""Deterministic decentralised policies: numbers scaled to their limits, or the best entry of an action menu."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from offloadopt.core import Decisions, FloatArray, Observation, Policy, Problem
from offloadopt.errors import DamagedFile, InvalidInput, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.common.torch_utils import Arrays, one_thread
from offloadopt.learners.independent.action_menu import ActionScaling
from offloadopt.learners.independent.networks import AgentNetworks
from offloadopt.structures.agents import AgentProblem


class DeterministicPolicy(Policy):
    """Policy in which each agent decides from its own view without exploration.

    Parameters
    ----------
    problem : AgentProblem
    networks : AgentNetworks
        Without a menu, the sigmoids of their outputs are the actions; with one, outputs are the entries' values.
    menu : array [choices, size], optional
    origin : Origin
        Its setting ``view`` names the agents' view.
    """

    name = "deterministic"

    def __init__(
        self,
        problem: AgentProblem[Any],
        networks: AgentNetworks,
        menu: FloatArray | None,
        origin: policies.Origin,
    ) -> None:
        self.problem = problem
        self.networks = networks.eval()
        self.menu = menu
        self.origin = origin
        self._view = view_name(problem, origin.settings.get("view"))
        self._scaling = ActionScaling(problem)

    @property
    def parameters(self) -> int:
        """Number of weights that each device stores."""
        return sum(parameter[0].numel() for parameter in self.networks.parameters())

    @property
    def bytes(self) -> int:
        """Size of these weights."""
        return sum(parameter[0].nbytes for parameter in self.networks.parameters())

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Decide one slot from the agents' views."""
        view = torch.from_numpy(self.problem.view(observation, self._view).astype(np.float32))
        with one_thread(), torch.no_grad():
            outputs = self.networks(view)
            if self.menu is not None:
                return self._scaling.decode(self.menu[outputs.argmax(dim=-1).numpy()]), memory
            return self._scaling.decode(torch.sigmoid(outputs).numpy()), memory

    def save(self, folder: Path) -> None:
        """Write networks and menu as safetensors, and their origin as JSON."""
        menu = {} if self.menu is None else {"menu": self.menu}
        policies.save(folder, self.origin, {**self.networks.arrays(), **menu})

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a saved policy; a shared network fits any number of agents, separate ones only their own."""
        origin, arrays = policies.read(folder, problem)
        if not isinstance(problem, AgentProblem):
            raise Unsupported(f"{folder} decides for agents; problem {problem.name!r} is no AgentProblem")
        menu = arrays.pop("menu", None)
        size = ActionScaling(problem).size
        if menu is not None and (menu.ndim != 2 or menu.shape[1] != size):
            raise InvalidInput(f"{folder} decides {menu.shape[-1]} numbers an agent; {problem.name} needs {size}")
        networks = _networks(folder, arrays, bool(origin.settings.get("standardise")))
        copies, inputs = networks.center.shape
        outputs = networks.biases[-1].shape[1]
        features = problem.view_size(view_name(problem, origin.settings.get("view")))
        wanted = size if menu is None else len(menu)
        if copies not in (1, problem.num_agents) or inputs != features or outputs != wanted:
            raise InvalidInput(
                f"{folder} holds networks of {copies} agents with {inputs} features and {outputs} outputs; "
                f"this {problem.name} has {problem.num_agents}, {features} and {wanted}"
            )
        return cls(problem, networks, menu, origin)


def view_name(problem: AgentProblem[Any], requested: str | None) -> str:
    """Return the requested view's name, by default the problem's first; raise an error if there is none."""
    name = next(iter(problem.views)) if requested is None else requested
    problem.view_features(name)
    return name


def _networks(folder: Path, arrays: Arrays, compress: bool) -> AgentNetworks:
    try:
        layers = sum(name.startswith("weights.") for name in arrays)
        shapes = [arrays[f"weights.{layer}"].shape for layer in range(layers)]
        copies, inputs, _ = shapes[0]
        hidden = [shape[2] for shape in shapes[:-1]]
        batch_norm = any(name.startswith("norms.") for name in arrays)
        networks = AgentNetworks(copies, inputs, hidden, shapes[-1][2], compress=compress, batch_norm=batch_norm)
        networks.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError):
        raise DamagedFile(f"{folder} holds no networks of agents: {', '.join(sorted(arrays))}") from None
    return networks
