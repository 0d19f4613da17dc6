"""Problems: what an instance, an observation and a decision are, and what decisions cost.

An *instance* holds all exogenous data (random draws included), a *decision* all controlled quantities; together they
determine the cost.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offloadopt.arrays import ArrayField, Batch, Decisions, FloatArray, Instances, Observation
from offloadopt.core.sizes import shape_fault
from offloadopt.core.tables import Table, task_table
from offloadopt.errors import InvalidInput, UnknownName, nearest, require_whole, shown
from offloadopt.memory import require_memory
from offloadopt.pictures import Panel
from offloadopt.pictures.arrays import draw_array
from offloadopt.settings import Scenario

if TYPE_CHECKING:
    from gymnasium import spaces

MOST_INSTANCES = 10**18
"""What larger numbers of instances are estimated as."""
WORKING_COPIES = 3
"""Memory that instances, decisions and observations take while they are made and decided, relative to their own."""
FEASIBILITY_TOLERANCE = 1e-9
"""Largest relative constraint violation that still counts as feasible (rounding of sums of shares)."""

ScenarioT = TypeVar("ScenarioT", bound=Scenario)


@dataclass(frozen=True)
class State:
    """State of a rollout: the next slot to be decided, and the problem's own arrays ``[count, ...]``."""

    slot: int
    values: Batch


@dataclass(frozen=True)
class Outcome:
    """Costs, constraint violations and metrics of a step or of a whole rollout.

    Attributes
    ----------
    cost : array [count]
        The problem's objective, to be minimised.
    agent_cost : array [count, agents]
        Each agent's own cost.
    violations : mapping of str to array [count]
        Relative violation of each constraint, 0 where it holds.
    metrics : mapping of str to array [count]
        Named by what and unit, for example ``energy_j``.
    terminal_cost : array [count, agents], optional
        The part of ``agent_cost`` charged for the state at the end of the horizon. Learners exclude it
        (`running_cost`): beyond a truncated episode they bootstrap the value of the last state.
    """

    cost: FloatArray
    agent_cost: FloatArray
    violations: Mapping[str, FloatArray] = field(default_factory=dict)
    metrics: Mapping[str, FloatArray] = field(default_factory=dict)
    terminal_cost: FloatArray | None = None

    @property
    def running_cost(self) -> FloatArray:
        """Return each agent's own cost ``[count, agents]`` without the terminal cost."""
        return self.agent_cost if self.terminal_cost is None else self.agent_cost - self.terminal_cost

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Tell whether every constraint holds, ``[count]``."""
        worst = np.zeros_like(self.cost)
        for violation in self.violations.values():
            worst = np.maximum(worst, violation)
        return worst <= FEASIBILITY_TOLERANCE

    @classmethod
    def total(cls, outcomes: Sequence[Outcome]) -> Outcome:
        """Sum costs and metrics over slots, and take the largest violations."""
        if len(outcomes) == 1:
            return outcomes[0]
        first = outcomes[0]
        return cls(
            cost=np.sum([o.cost for o in outcomes], axis=0),
            agent_cost=np.sum([o.agent_cost for o in outcomes], axis=0),
            violations={name: np.max([o.violations[name] for o in outcomes], axis=0) for name in first.violations},
            metrics={name: np.sum([o.metrics[name] for o in outcomes], axis=0) for name in first.metrics},
        )


class Problem(ABC, Generic[ScenarioT]):
    """A decision problem: sampling of instances, observations, transitions and costs.

    ``step`` is deterministic: all randomness lies in the instances.
    """

    name: ClassVar[str]
    scenario_type: ClassVar[type[Scenario]]
    main_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics of outcomes that tables show; all, where there are none."""
    scenario: ScenarioT

    def __init__(self, scenario: ScenarioT) -> None:
        self.scenario = scenario

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{number} {name if number != 1 else name.removesuffix('s')}" for name, number in self.dimensions.items()
        )
        return f"<{type(self).__name__}, {self.scenario.origin}: {sizes}>"

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Sizes of the problem by plural noun, for display."""
        return {"agents": self.num_agents, "slots": self.horizon}

    @property
    def horizon(self) -> int:
        """Number of slots that are decided one after the other: by default the scenario's field ``horizon``, or 1."""
        return int(getattr(self.scenario, "horizon", 1))

    @property
    def num_agents(self) -> int:
        """Number of entries of ``Outcome.agent_cost``: by default the scenario's field ``users``, or 1."""
        return int(getattr(self.scenario, "users", 1))

    @property
    @abstractmethod
    def instance_fields(self) -> Mapping[str, ArrayField]:
        """The arrays of an instance."""

    @property
    def given_fields(self) -> Mapping[str, ArrayField]:
        """Further arrays that a user may give in place of instance arrays, which `complete` computes of them."""
        return {}

    def complete(self, arrays: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
        """Compute instance arrays that a user has not given from ``given_fields``; by default there are none."""
        return arrays

    @property
    @abstractmethod
    def decision_fields(self) -> Mapping[str, ArrayField]:
        """The arrays of a decision in one slot."""

    @property
    @abstractmethod
    def observation_fields(self) -> Mapping[str, ArrayField]:
        """The arrays of an observation in one slot."""

    @abstractmethod
    def sample(self, count: int, seed: int) -> Instances:
        """Sample ``count`` instances; the same seed gives the same bytes, and a longer sample extends a shorter one."""

    def check_sample(self, count: int, seed: int) -> None:
        """Refuse a number of instances or a seed that is none, and more instances than the machine's memory holds."""
        require_whole("count", count)
        require_whole("seed", seed)
        fields = [*self.instance_fields.values(), *self.decision_fields.values(), *self.observation_fields.values()]
        count = min(int(count), MOST_INSTANCES)
        entries = sum(math.prod(spec.shape) * (self.horizon if spec.per_slot else 1) for spec in fields)
        sizes = ", ".join(f"{number:,} {name}" for name, number in self.dimensions.items())
        require_memory(WORKING_COPIES * 8 * entries * count, f"{count:,} instances of {self.name} ({sizes})")

    @abstractmethod
    def reset(self, instances: Instances) -> State:
        """Return the state before the first slot."""

    @abstractmethod
    def observe(self, instances: Instances, state: State) -> Observation:
        """Return the observation on which the decision of ``state.slot`` may depend."""

    @abstractmethod
    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        """Apply one slot's decision: return the next state and the outcome."""

    def evaluate(self, instances: Instances, decisions: Decisions) -> Outcome:
        """Compute the outcome of decisions over the whole horizon; all reported costs come from here."""
        decisions = self.check_decisions(decisions, instances.count)
        state, outcomes = self.reset(instances), []
        for slot in range(self.horizon):
            decision = decisions if self.horizon == 1 else decisions.at_slot(slot)
            state, outcome = self.step(instances, state, decision)
            outcomes.append(outcome)
        return Outcome.total(outcomes)

    def rollout_of(
        self, instances: Instances, decisions: Decisions
    ) -> Iterator[tuple[Observation, Decisions, Outcome]]:
        """Yield observation, decisions and outcome of each slot."""
        decisions = self.check_decisions(decisions, instances.count)
        state = self.reset(instances)
        for slot in range(self.horizon):
            observation = self.observe(instances, state)
            decision = decisions if self.horizon == 1 else decisions.at_slot(slot)
            state, outcome = self.step(instances, state, decision)
            yield observation, decision, outcome

    def table(self, instances: Instances, decisions: Decisions) -> Table:
        """Tell who does what in one instance.

        Parameters
        ----------
        instances : Instances
        decisions : Decisions
            Of one instance.

        Returns
        -------
        Table
            A row per slot and entry of the decision arrays' first axis, if all have the same one, with the agent's own
            cost where the entries are the agents; otherwise an empty table.
        """
        return task_table(self, instances, decisions, "entry", self.decision_fields)

    def panels(self, instances: Instances, decisions: Decisions) -> list[Panel]:
        """Return pictures of the decisions of one instance; by default one of each decision array."""
        return [
            Panel(
                name,
                f"{name}{'' if spec.unit == '1' else f' [{spec.unit}]'}",
                partial(draw_array, values=decisions[name][0], unit=spec.unit, horizon=self.horizon),
            )
            for name, spec in self.decision_fields.items()
        ]

    def describe(self, decisions: Decisions) -> list[str]:
        """Summarise decisions as lines of text.

        Parameters
        ----------
        decisions : Decisions
            Of one instance or several, which are then described together.

        Returns
        -------
        list of str
            For each array the share of each whole number, or the range and mean of real numbers.
        """
        return [f"{name}: {_spread(decisions[name], spec)}" for name, spec in self.decision_fields.items()]

    def check_instances(self, arrays: Mapping[str, ArrayLike]) -> Instances:
        """Validate a user's own arrays as instances of this scenario; wrong ones are refused with one line.

        Where another size of the scenario would do for all of them, the message names it.
        """
        if isinstance(arrays, Mapping):
            arrays = self.complete(arrays)
        self._check_names("instance", arrays, self.instance_fields)
        fields = self.instance_fields
        slots = self.horizon
        try:
            shapes = {name: np.shape(values) for name, values in arrays.items()}
        except ValueError:  # ragged lists, which the field refuses
            shapes = {}
        if any(shape[1:] != fields[name].full_shape(slots) for name, shape in shapes.items()):
            raise InvalidInput(shape_fault(self, shapes))
        return Instances(
            {name: spec.check(name, arrays[name], slots) for name, spec in fields.items() if name in arrays}
        )

    def check_decisions(self, arrays: Mapping[str, ArrayLike], count: int) -> Decisions:
        """Validate arrays as decisions for ``count`` instances: names, shapes, finite entries within limits."""
        decisions = Decisions(self._checked("decision", arrays, self.decision_fields))
        if decisions.count != count:
            raise InvalidInput(f"{decisions.count} decisions for {count} instances; allowed: one each")
        return decisions

    def _checked(
        self, what: str, arrays: Mapping[str, ArrayLike], fields: Mapping[str, ArrayField]
    ) -> dict[str, NDArray[Any]]:
        self._check_names(what, arrays, fields)
        return {name: spec.check(name, arrays[name], self.horizon) for name, spec in fields.items() if name in arrays}

    def _check_names(self, what: str, arrays: Mapping[str, ArrayLike], fields: Mapping[str, ArrayField]) -> None:
        if not isinstance(arrays, Mapping):
            raise InvalidInput(f"{what} arrays = {shown(arrays)}; allowed: a mapping from names to arrays")
        for name in arrays:
            if name not in fields:
                raise UnknownName(f"unknown {what} array {name!r} of {self.name}; {nearest(name, fields)}")
        needed = [name for name, spec in fields.items() if not spec.optional]
        for name in needed:
            if name not in arrays:
                raise InvalidInput(f"{what} array {name!r} of {self.name} is missing; needed: {', '.join(needed)}")

    @property
    def decision_space(self) -> spaces.Dict:
        """Gymnasium space of one instance's decision in one slot."""
        return _space(self.decision_fields)

    @property
    def observation_space(self) -> spaces.Dict:
        """Gymnasium space of one instance's observation in one slot."""
        return _space(self.observation_fields)


def _spread(values: NDArray[Any], spec: ArrayField) -> str:
    """Format fractions of up to twelve integers, or the range and mean of real numbers."""
    if values.size == 0:
        return "nothing"
    found, counts = np.unique(values, return_counts=True)
    if spec.integer and len(found) <= 12:
        return ", ".join(f"{value} {count / values.size:.1%}" for value, count in zip(found, counts, strict=True))
    return f"{values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g}"


def _space(fields: Mapping[str, ArrayField]) -> spaces.Dict:
    from gymnasium import spaces

    return spaces.Dict({name: spec.space() for name, spec in fields.items()})
