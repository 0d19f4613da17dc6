"""Methods that decide instances: solvers, which read them whole, and policies, which decide slot by slot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from offloadopt.arrays import Decisions, Instances, Observation
from offloadopt.clock import clock
from offloadopt.core.problem import Problem
from offloadopt.core.solutions import Solutions
from offloadopt.errors import Unsupported
from offloadopt.quantities import Factor
from offloadopt.settings import Settings

Progress = Callable[[int], None]
"""Called with the number of instances (of a learner: decisions of agents) finished since the last call."""


def rollout(problem: Problem[Any], instances: Instances, decide: Callable[[Observation], Decisions]) -> Decisions:
    """Decide slot by slot with ``decide(observation)``, and return the decisions of the whole horizon."""
    state, taken = problem.reset(instances), []
    for slot in range(problem.horizon):
        decision = decide(problem.observe(instances, state))
        taken.append(decision)
        if slot + 1 < problem.horizon:  # the last slot is evaluated in evaluate
            state, _ = problem.step(instances, state, decision)
    return taken[0] if problem.horizon == 1 else Decisions.over_slots(taken)


class Method(ABC):
    """A method that decides instances: a solver or a policy."""

    name: ClassVar[str]

    @abstractmethod
    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Decide every instance. The same seed gives the same decisions."""


class ServesStructure(Settings):
    """Settings of a method that needs a structure of the problem.

    Attributes
    ----------
    name : str
        The method's name on the command line.
    serves : type
        The structure, a subclass of ``Problem``.
    """

    name: ClassVar[str]
    serves: ClassVar[type[Any]]
    _role: ClassVar[str]

    def require(self, problem: Problem[Any]) -> None:
        """Refuse a problem that lacks the structure."""
        if not isinstance(problem, self.serves):
            raise Unsupported(
                f"{self._role} {self.name!r} does not serve problem {problem.name!r}; it needs the structure "
                f"{self.serves.__name__} (`offloadopt list` tells what serves what)"
            )


class Solver(ServesStructure, Method):
    """A method that reads whole instances and may prove bounds. Its limits and options are its fields.

    Attributes
    ----------
    proves : bool
        Whether it returns lower bounds.
    hindsight : bool
        Whether its decisions use data of later slots. Its bound then holds for every method, and no method
        that decides slot by slot can be expected to meet it.
    """

    _role = "solver"
    proves: ClassVar[bool] = False
    hindsight: ClassVar[bool] = False

    relative_gap: Factor = Field(
        default=0.0, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    time_limit_s: Factor | None = Field(
        default=None, gt=0, description="wall-clock limit for each instance, compilation not counted"
    )

    def separates(self, problem: Any) -> bool:
        """Whether an instance's solution depends on that instance and the seed alone, to the last digit.

        Then it depends neither on other instances nor on its place among them, and several processes can share these.
        """
        return False


class Policy(Method):
    """A method that decides slot by slot from observations."""

    @abstractmethod
    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Return one slot's decisions, and the memory passed to the next slot."""

    def start(self, count: int, seed: int) -> Any:
        """Return the memory before the first slot (recurrent state, generator); ``None`` for a memoryless policy."""
        return None

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the policy as safetensors and JSON."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a saved policy for ``problem``."""

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Run the policy over the horizon and score its decisions."""
        begin = clock()
        memory = self.start(instances.count, seed)

        def decide(observation: Observation) -> Decisions:
            nonlocal memory
            decision, memory = self.act(observation, memory)
            return decision

        decisions = rollout(problem, instances, decide)
        seconds = (clock() - begin) / max(instances.count, 1)
        if progress is not None:
            progress(instances.count)
        return Solutions.scored(problem, instances, decisions, seconds=seconds)
