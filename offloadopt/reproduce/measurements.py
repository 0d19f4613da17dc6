"""Measurements behind tables and figures: functions of JSON values that return JSON values.

Methods that are compared decide the same instances: these are drawn from the seed alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from offloadopt import registry
from offloadopt.core import Instances, Method, Problem, Solutions, Solver, Status
from offloadopt.reproduce import training
from offloadopt.reproduce.training import Json


class Measurements(ABC):
    """What a paper averages over episodes and keeps of trainings; `apply_solvers` and `train` are functions of units.

    Attributes
    ----------
    problem : str
        Registered name.
    bound : str
        Label of the mean of the proved lower bounds; without one they have no row.
    extra : tuple of str
        Parameters of `train` that only this paper has; they are for `beside`.
    """

    problem: ClassVar[str]
    bound: ClassVar[str] = ""
    extra: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def averages(self, problem: Any, instances: Instances, solutions: Solutions) -> Json:
        """Means over instances: the numbers of one method."""

    def share(self, problem: Any) -> int:
        """Number by which an episode's cost is divided in the tables."""
        return 1

    def bounds(self, problem: Any, instances: Instances, solutions: Solutions) -> dict[str, Json]:
        """Row of the proved bound beside that of the solver, if the paper has one and the solver proves it."""
        if not self.bound or not np.isfinite(solutions.bound).all():
            return {}
        return {self.bound: {"cost": float(solutions.bound.mean()) / self.share(problem)}}

    def learning(self, problem: Any, learner: Mapping[str, Any], curve: Sequence[Json]) -> Json:
        """What is kept of everything that a learner recorded: by default a thinned ``curve``."""
        return {"curve": training.thinned(curve)}

    def beside(self, policy: Any, given: Mapping[str, Any]) -> Json:
        """Measure something else of a policy, for the parameters with which it was trained; nothing by default."""
        return {}

    def make(self, scenario: Mapping[str, Any]) -> Any:
        """Build the problem from the JSON fields of its scenario."""
        kind: type[Problem[Any]] = registry.get("problems", self.problem)
        return kind(kind.scenario_type(**scenario))

    def draw(self, problem: Any, count: int, seed: int) -> Instances:
        """Sample held-out instances; a paper may add conditions on them."""
        return problem.sample(count, seed)

    def solver(self, problem: Any, name: str, options: Mapping[str, Any]) -> Solver:
        """Create a solver by name."""
        return registry.solver(name, problem, **options)

    def apply_solvers(
        self, scenario: Mapping[str, Any], solvers: Mapping[str, Json], count: int, seed: int, **conditions: Any
    ) -> Json:
        """Average results of solvers by label.

        Parameters
        ----------
        scenario : mapping
        solvers : mapping of mapping
            Registered ``name`` and ``options`` of each.
        count, seed : int
            Of the held-out instances.
        conditions
            Of `draw`.
        """
        problem = self.make(scenario)
        instances = self.draw(problem, count, seed, **conditions)
        found: Json = {}
        for label, chosen in solvers.items():
            solutions = self.solver(problem, **chosen).run(problem, instances, seed=seed)
            found[label] = self.averages(problem, instances, solutions)
            found |= self.bounds(problem, instances, solutions)
        return found

    def train(
        self,
        scenario: Mapping[str, Any],
        learner: Mapping[str, Any],
        steps: int | None,
        seed: int,
        tests: Sequence[Mapping[str, Any]],
        demonstrations: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        **parameters: Any,
    ) -> Json:
        """Train a policy, record its learning curve, and test it.

        Parameters
        ----------
        scenario : mapping
        learner : mapping
            ``name`` and ``settings``.
        steps : int, optional
            The budget in the unit of `training.own_length`; by default the learner's own.
        seed : int
        tests : sequence of mapping
            Each with a ``name`` and the parameters of `test_policy`.
        demonstrations : mapping, optional
            ``solver``, ``options``, ``count``, ``seed`` of demonstrations made beforehand.
        seconds : float, optional
            Limit of the training, collecting demonstrations included.
        parameters
            Those of `extra`.

        Returns
        -------
        dict
            Time ``spent``, the numbers of `test_policy` by name in ``tests``, and what `learning` and `beside` give.
        """
        unknown = set(parameters) - set(self.extra)
        if unknown:
            raise TypeError(f"a training of {self.problem} has no parameter {min(unknown)!r}")
        problem, given = self.make(scenario), {"scenario": scenario, "learner": learner, "tests": tests, **parameters}
        trained = training.train(problem, learner, demonstrations, steps, seed, seconds)
        return {
            "spent": trained.spent,
            **self.learning(problem, learner, trained.curve),
            "tests": {test["name"]: self.test_policy(trained.policy, **test) for test in tests},
            **self.beside(trained.policy, given),
        }

    def test_policy(
        self, policy: Method, name: str, scenario: Mapping[str, Any], count: int, seed: int, **conditions: Any
    ) -> Json:
        """Average results of a policy in a scenario, which may differ from that of its training."""
        problem = self.make(scenario)
        instances = self.draw(problem, count, seed, **conditions)
        return self.averages(problem, instances, policy.run(problem, instances, seed=seed))


def proved_share(solutions: Solutions) -> Json:
    """Share of instances that a solver has ``proved`` optimal, if it proves bounds."""
    if not np.isfinite(solutions.bound).all():
        return {}
    return {"proved": float(np.mean(solutions.status == Status.OPTIMAL))}
