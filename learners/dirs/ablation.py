"""Ablation of the gap between voting agents and the optimum: one setting of the training changes at a time.

Every variant trains one network per server as DIRS pre-trains them, on the demonstration loss (15) alone, and decides
by the same vote. Its gain over ``as trained`` is the part of the gap that the changed setting causes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from offloadopt import registry
from offloadopt.core import Demonstrations, FloatArray, Instances, Progress, relative_gap
from offloadopt.learners.common.torch_utils import one_thread
from offloadopt.learners.common.training import TrainingProgress
from offloadopt.learners.dirs.demonstrations import Examples, first_observation
from offloadopt.learners.dirs.ensemble import ServerNetworks, linked_vote, probabilities, view_tensor
from offloadopt.learners.dirs.imitation import SupervisedTraining
from offloadopt.structures.assignment import AssignmentProblem

BATCH_SIZE, LEARNING_RATE, L2 = 256, 5e-3, 5e-4


@dataclass(frozen=True)
class AblationSettings:
    """Settings of one training of the ablation.

    Attributes
    ----------
    global_view : bool
        Whether an agent observes all servers' views instead of its own.
    hidden : tuple of int
    expert : str
        The solver whose solutions are imitated.
    demonstrations, gradient_steps : int
        Examples, and gradient steps.
    """

    global_view: bool = False
    hidden: tuple[int, ...] = (80, 60)
    expert: str = "exact"
    demonstrations: int = 32_768
    gradient_steps: int = 6000


AS_TRAINED = AblationSettings()
FEW = replace(AS_TRAINED, demonstrations=1024)
VARIANTS: Mapping[str, AblationSettings] = {
    "as trained": AS_TRAINED,
    "information: agents see all links": replace(AS_TRAINED, global_view=True),
    "capacity: four times as wide": replace(AS_TRAINED, hidden=(320, 240)),
    "training time: three times as long": replace(AS_TRAINED, gradient_steps=18_000),
    "number of labels: 1,024": FEW,
    "quality of labels: 1,024 by Lévy search": replace(FEW, expert="levy"),
}


def ablation_gaps(
    problem: AssignmentProblem[Any],
    held_out: Instances,
    *,
    variants: Mapping[str, AblationSettings] = VARIANTS,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, FloatArray]:
    """Relative gaps ``[count]`` to the certified optimum of held-out instances, by variant.

    Parameters
    ----------
    held_out : Instances
    variants : mapping of str to AblationSettings
    seed : int
        Of demonstrations, initial weights and batches; the same for all variants.
    progress : callable, optional
        Called with the number of decisions since the last call.
    """
    bound = registry.solver("exact", problem).run(problem, held_out).bound
    observation = first_observation(problem, held_out)
    labelled: dict[str, Examples] = {}
    gaps = {}
    for name, variant in variants.items():
        if variant.expert not in labelled:
            most = max(other.demonstrations for other in variants.values() if other.expert == variant.expert)
            labelled[variant.expert] = _demonstrate(problem, variant.expert, most, seed)
        networks = _train(problem, variant, labelled[variant.expert].first(variant.demonstrations), seed, progress)
        view = agent_view(view_tensor(problem, observation), variant)
        assignment = linked_vote(problem, observation, probabilities(networks, view))
        cost = problem.evaluate(held_out, problem.allocate(observation, assignment)).cost
        gaps[name] = relative_gap(cost, bound)
    return gaps


def _demonstrate(problem: AssignmentProblem[Any], expert: str, count: int, seed: int) -> Examples:
    """Label sampled states: the same for every expert, and the first ones the same for every ``count``."""
    instances = problem.sample(count, seed)
    solutions = registry.solver(expert, problem).run(problem, instances, seed=seed)
    return Examples.of(problem, Demonstrations(instances, first_observation(problem, instances), solutions))


def _train(
    problem: AssignmentProblem[Any], variant: AblationSettings, examples: Examples, seed: int, progress: Progress | None
) -> ServerNetworks:
    examples = replace(examples, view=agent_view(examples.view, variant))
    tracker = TrainingProgress(
        time.monotonic(), variant.gradient_steps, progress=progress, decisions=BATCH_SIZE * problem.num_agents
    )
    with one_thread():
        training = SupervisedTraining(problem, examples, variant.hidden, L2, BATCH_SIZE, (LEARNING_RATE, 0.0), seed)
        while tracker.left:
            training.advance(tracker)
    return training.agents.networks


def agent_view(view: Tensor, variant: AblationSettings) -> Tensor:
    """Views of each agent: its own, or all servers' side by side."""
    if not variant.global_view:
        return view
    count, servers, features = view.shape
    return view.reshape(count, 1, servers * features).expand(count, servers, servers * features)
