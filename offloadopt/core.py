"""The contracts of problems, decisions, solutions and methods.

An *instance* holds all exogenous data (random draws included), a *decision* all controlled quantities; together they
determine the cost.

Every array leads with the instance axis ``[count, ...]``; where a problem has a horizon the slot axis comes second,
``[count, horizon, ...]``. One-shot problems have ``horizon == 1`` and carry no slot axis. The arrays themselves and the
parameters stand in `offloadopt.arrays` and `offloadopt.settings`; both can be imported from here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from offloadopt.arrays import ArrayField, Batch, Decisions, FloatArray, Instances, IntArray, Observation
from offloadopt.clock import clock
from offloadopt.errors import BrokenProof, InvalidInput, UnknownName, Unsupported, nearest
from offloadopt.settings import Scenario, Settings

if TYPE_CHECKING:
    from gymnasium import spaces

__all__ = [
    "FEASIBILITY_TOLERANCE",
    "ROUNDING",
    "ArrayField",
    "Batch",
    "Budget",
    "Decisions",
    "Demonstrations",
    "FloatArray",
    "Instances",
    "IntArray",
    "Interrupted",
    "Learner",
    "Method",
    "Observation",
    "Outcome",
    "Policy",
    "Problem",
    "Progress",
    "Record",
    "Scenario",
    "ScenarioT",
    "Settings",
    "Solutions",
    "Solver",
    "State",
    "Status",
    "relative_gap",
    "rollout",
]

Progress = Callable[[int], None]
"""Called with the number of instances (of a learner: decisions of agents) finished since the last call."""
Record = Callable[[int, Mapping[str, float]], None]
"""Called with a training step and named numbers measured there, for curves and TensorBoard."""

FEASIBILITY_TOLERANCE = 1e-9
"""Largest relative constraint violation that still counts as feasible (rounding of sums of shares)."""
ROUNDING = 1e-9
"""Relative difference that two correct float64 computations of one cost may show."""

ScenarioT = TypeVar("ScenarioT", bound=Scenario)


# --------------------------------------------------------------------------------------------------------- problem


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
        """Validate a user's own arrays as instances of this scenario; wrong ones are refused with one line."""
        return Instances(self._checked("instance", arrays, self.instance_fields))

    def check_decisions(self, arrays: Mapping[str, ArrayLike], count: int) -> Decisions:
        """Validate arrays as decisions for ``count`` instances: names, shapes, finite entries within limits."""
        decisions = Decisions(self._checked("decision", arrays, self.decision_fields))
        if decisions.count != count:
            raise InvalidInput(f"{decisions.count} decisions for {count} instances; allowed: one each")
        return decisions

    def _checked(
        self, what: str, arrays: Mapping[str, ArrayLike], fields: Mapping[str, ArrayField]
    ) -> dict[str, NDArray[Any]]:
        for name in arrays:
            if name not in fields:
                raise UnknownName(f"unknown {what} array {name!r} of {self.name}; {nearest(name, fields)}")
        needed = [name for name, spec in fields.items() if not spec.optional]
        for name in needed:
            if name not in arrays:
                raise InvalidInput(f"{what} array {name!r} of {self.name} is missing; needed: {', '.join(needed)}")
        return {name: spec.check(name, arrays[name], self.horizon) for name, spec in fields.items() if name in arrays}

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


# ------------------------------------------------------------------------------------------------------- solutions


class Status(IntEnum):
    """Proof status of a solution; written by name in JSON and tables."""

    OPTIMAL = 0
    """The proved bound meets the cost within the gap asked for."""
    BOUNDED = 1
    """A valid bound, further away than asked."""
    FEASIBLE = 2
    """A feasible decision, no bound."""
    INFEASIBLE = 3
    """Proved that no feasible decision exists (bound = +inf)."""
    LIMIT_NO_SOLUTION = 4
    """No feasible decision was found."""


def relative_gap(cost: FloatArray, bound: FloatArray) -> FloatArray:
    """``(cost - bound) / max(|bound|, eps)``; infinite where there is no bound or no feasible decision."""
    with np.errstate(invalid="ignore", over="ignore"):
        gap = (cost - bound) / np.maximum(np.abs(bound), np.finfo(float).tiny)
    return np.where(np.isfinite(cost) & np.isfinite(bound), gap, np.inf)


@dataclass(frozen=True)
class Solutions:
    """Decisions with their proof, one row per instance.

    Attributes
    ----------
    decisions : Decisions
    objective : array [count]
        ``problem.evaluate``'s cost, ``inf`` where the decision is infeasible.
    bound : array [count]
        Proved lower bound of every feasible decision's cost, ``-inf`` where there is none.
    status : array [count] of Status
    seconds : array [count]
        Wall time spent on each instance, without the compilation of kernels (`offloadopt.clock`).
    details : mapping of str to array [count, ...]
        Further results of the method, for example ``prices`` of the servers' CPU.
    problem : Problem, optional
        The problem that scored them, for `summary`.
    """

    decisions: Decisions
    objective: FloatArray
    bound: FloatArray
    status: NDArray[np.uint8]
    seconds: FloatArray
    details: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    problem: Problem[Any] | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        name = "" if self.problem is None else f" of {self.problem.name}"
        counts = ", ".join(
            f"{self.status_names.count(kind.name)} {kind.name}" for kind in Status if kind in self.status
        )
        return f"<Solutions{name}: {len(self.objective)} instances{', ' if counts else ''}{counts}>"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"

    def summary(self, rows: int = 20) -> str:
        """Summarise the proof of each instance and the decisions.

        Parameters
        ----------
        rows : int
            Instances with a line of their own, at most.

        Returns
        -------
        str
            One line per instance, then the decisions: of one instance in full, of several together.
        """
        count = len(self.objective)
        lines = []
        for row in range(min(rows, count)):
            cost, bound, gap = self.objective[row], self.bound[row], self.gap[row]
            index = "" if count == 1 else f"{row}: "
            text = f"{index}{Status(self.status[row]).name}"
            if np.isfinite(cost):
                text += f": cost {cost:.8g}"
                text += (
                    f", no decision costs less than {bound:.8g} (gap {gap:.2g})" if np.isfinite(bound) else ", no bound"
                )
            elif np.isfinite(bound):
                text += f": no decision costs less than {bound:.8g}"
            lines.append(text)
        if count > rows:
            lines.append(f"... and {count - rows} more")
        found = np.flatnonzero(np.isfinite(self.objective))
        if self.problem is not None and len(found):
            lines += self.problem.describe(self.decisions.take(found))
        return "\n".join(lines)

    @property
    def gap(self) -> FloatArray:
        """[count] relative gap of each decision to its own bound."""
        return relative_gap(self.objective, self.bound)

    @property
    def status_names(self) -> list[str]:
        """[count] the statuses by name."""
        return [Status(code).name for code in self.status]

    @classmethod
    def scored(
        cls,
        problem: Problem[Any],
        instances: Instances,
        decisions: Decisions,
        *,
        seconds: ArrayLike,
        bound: FloatArray | None = None,
        asked_gap: float = 0.0,
        details: Mapping[str, NDArray[Any]] | None = None,
    ) -> Solutions:
        """Score decisions by ``problem.evaluate`` and derive each status from cost and bound.

        Statuses are assigned here alone; no solver assigns its own.
        """
        outcome = problem.evaluate(instances, decisions)
        objective = np.where(outcome.feasible, outcome.cost, np.inf)
        bound = np.full(instances.count, -np.inf) if bound is None else np.asarray(bound, dtype=np.float64)
        above = np.isnan(bound) | np.isfinite(objective) & (bound > objective + ROUNDING * np.abs(objective))
        if above.any():
            row = int(np.flatnonzero(above)[0])
            raise BrokenProof(f"instance {row}: bound {bound[row]!r} above the cost {objective[row]!r} of a decision")
        found = np.isfinite(objective)
        bound = np.where(found, np.minimum(bound, objective), bound)
        proved = found & (relative_gap(objective, bound) <= asked_gap + ROUNDING)
        status = np.select(
            [proved, found & np.isfinite(bound), found, bound == np.inf],
            [Status.OPTIMAL, Status.BOUNDED, Status.FEASIBLE, Status.INFEASIBLE],
            Status.LIMIT_NO_SOLUTION,
        ).astype(np.uint8)
        spent = np.broadcast_to(np.asarray(seconds, dtype=np.float64), (instances.count,))
        return cls(decisions, objective, bound, status, spent, details or {}, problem)

    def take(self, rows: slice | IntArray | Sequence[int]) -> Solutions:
        """Return the selected rows."""
        rows = rows if isinstance(rows, slice) else np.asarray(rows)
        return Solutions(
            self.decisions.take(rows),
            self.objective[rows],
            self.bound[rows],
            self.status[rows],
            self.seconds[rows],
            {name: values[rows] for name, values in self.details.items()},
            self.problem,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Solutions]) -> Solutions:
        """Join several solutions of the same method along the instance axis."""
        return cls(
            Decisions.concatenate([part.decisions for part in parts]),
            np.concatenate([part.objective for part in parts]),
            np.concatenate([part.bound for part in parts]),
            np.concatenate([part.status for part in parts]),
            np.concatenate([part.seconds for part in parts]),
            {name: np.concatenate([part.details[name] for part in parts]) for name in parts[0].details},
            parts[0].problem,
        )


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a search early. The finished instances keep their proofs, the others the best decision found.

    Attributes
    ----------
    solutions : Solutions
        Of all instances: those not begun have the decision from which their search would have started.
    """

    def __init__(self, solutions: Solutions) -> None:
        super().__init__("interrupted")
        self.solutions = solutions


# --------------------------------------------------------------------------------------------------------- methods


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


class Solver(Settings, Method):
    """A method that reads whole instances and may prove bounds. Its limits and options are its fields.

    Attributes
    ----------
    serves : type
        The structure (a subclass of ``Problem``) that the solver needs.
    proves : bool
        Whether it returns lower bounds.
    hindsight : bool
        Whether its decisions use data of later slots. Its bound then holds for every method, and no method
        that decides slot by slot can be expected to meet it.
    """

    name: ClassVar[str]
    serves: ClassVar[type[Any]]
    proves: ClassVar[bool] = False
    hindsight: ClassVar[bool] = False

    relative_gap: float = Field(
        default=0.0, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    time_limit_s: float | None = Field(
        default=None, gt=0, description="wall-clock limit for each instance, compilation not counted"
    )

    def require(self, problem: Problem[Any]) -> None:
        """Refuse a problem that lacks the structure this solver needs."""
        if not isinstance(problem, self.serves):
            needs = self.serves.__name__
            raise Unsupported(
                f"solver {self.name!r} does not serve problem {problem.name!r}; it needs the structure {needs} "
                "(`offloadopt list` tells what serves what)"
            )


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
            if value is not None and not value > 0:
                raise InvalidInput(f"budget {name} = {value!r}; allowed: greater than 0")


class Learner(Settings, ABC):
    """A training method that produces policies. Its hyper-parameters are its fields.

    Attributes
    ----------
    serves : type
        The structure (a subclass of ``Problem``) that the learner needs.
    policy_type : type
        The class of its policies.
    uses_demonstrations, needs_demonstrations : bool
        Whether ``fit`` accepts demonstrations, and whether it cannot train without them.
    """

    name: ClassVar[str]
    serves: ClassVar[type[Any]]
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

    def require(self, problem: Problem[Any]) -> None:
        """Refuse a problem that lacks the structure this learner needs."""
        if not isinstance(problem, self.serves):
            needs = self.serves.__name__
            raise Unsupported(
                f"learner {self.name!r} does not serve problem {problem.name!r}; it needs the structure {needs} "
                "(`offloadopt list` tells what serves what)"
            )
