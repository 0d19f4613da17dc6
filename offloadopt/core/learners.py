"""Learners: training within a budget, with or without demonstrations, to a policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from offloadopt.arrays import Instances, Observation
from offloadopt.core.methods import Policy, Progress, ServesStructure
from offloadopt.core.problem import Problem
from offloadopt.core.solutions import Solutions
from offloadopt.errors import InvalidInput, Unsupported, shown

Record = Callable[[int, Mapping[str, float]], None]
"""Called with a training step and named numbers measured there, for curves and TensorBoard."""


LONGEST_BUDGET = 10**12
"""Steps or seconds beyond which a training has no end."""


@dataclass(frozen=True)
class Demonstrations:
    """An expert's solutions with the observations along them, ``[count, ...]`` or ``[count, horizon, ...]``."""

    instances: Instances
    observations: Observation
    solutions: Solutions


@dataclass(frozen=True)
class Budget:
    """Limit of a training: a number of steps, wall-clock seconds, or the earlier of both.

    Attributes
    ----------
    steps : int, optional
        Number of decisions of single agents that training uses: taken in an episode, or imitated from a minibatch of
        demonstrations. One slot of one instance has ``problem.num_agents`` of them. What a learner imitates before it
        learns by interaction is limited by settings of its own and not counted.
    seconds : float, optional
        Wall time.
    """

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("seconds", self.seconds)):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and not (number and 0 < value <= LONGEST_BUDGET):
                raise InvalidInput(
                    f"budget {name} = {shown(value)}; allowed: greater than 0, at most {LONGEST_BUDGET:g}"
                )


class Learner(ServesStructure, ABC):
    """A training method that produces policies. Its hyper-parameters are its fields.

    Attributes
    ----------
    policy_type : type
        The class of its policies.
    uses_demonstrations, needs_demonstrations : bool
        Whether ``fit`` accepts demonstrations, and whether it cannot train without them.
    """

    _role = "learner"
    policy_type: ClassVar[type[Policy]]
    uses_demonstrations: ClassVar[bool] = False
    needs_demonstrations: ClassVar[bool] = False

    @abstractmethod
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
        """Train a policy. The same problem, demonstrations, budget in steps and seed give the same policy.

        Parameters
        ----------
        demonstrations : Demonstrations, optional
            Refused by a learner that does not use them.
        budget : Budget, optional
            Without it ``default_steps``.
        progress : callable, optional
            Called with the number of steps, decisions of single agents, since the last call; ``default_steps`` in all.
        record : callable, optional
            Called now and then with the step and numbers measured there: ``episode/cost`` (mean cost of one agent in
            one slot of the training's episodes, exploration included), ``episode/<metric>`` of the problem's metrics,
            ``train/<quantity>`` (``train/critic_loss`` and so on) and ``communication/<bytes>``.
        checkpoint : Path, optional
            A folder in which the state of training is kept. If it holds the same unfinished training, that is continued
            and ends with the same policy as training without a break.
        """

    @abstractmethod
    def default_steps(self, problem: Problem[Any]) -> int:
        """Decisions of single agents that training on ``problem`` uses without a budget, see `Budget`."""

    def check_demonstrations(self, given: bool) -> None:
        """Refuse demonstrations that the learner does not use, and their lack where it needs them."""
        if given and not self.uses_demonstrations:
            raise Unsupported(f"learner {self.name!r} does not use demonstrations; allowed: none")
        if self.needs_demonstrations and not given:
            raise InvalidInput(f"learner {self.name!r} learns from demonstrations; none were given")
