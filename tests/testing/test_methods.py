"""The conformance kits of solvers and learners pass on all that are registered, and name the clause that is broken."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Decisions, Demonstrations, Problem, Solutions, Solver
from offloadopt.datasets.demonstrations import observations_along
from offloadopt.solvers import enumeration, lyapunov
from offloadopt.solvers.expert import SizedExpert
from offloadopt.structures.assignment import AssignmentProblem
from offloadopt.testing import ConformanceError, check_learner, check_problem, check_solver

from toys.small_problems import served_by

noise = np.random.default_rng(0)
QUICK: dict[str, Any] = {"imitation_steps": 2, "hidden": (8,), "num_envs": 4, "epochs": 1}
OWN: dict[str, dict[str, Any]] = {
    "federated": {"options": {"imitation_steps": 2, "hidden": (8,), "num_envs": 4}},
    "maddpg-cgan": {"pretraining_steps": 1, "generator": {"width": 4, "latent": 4, "layers": 1}},
    "ppo-sb3": {"rollout_length": 4, "minibatch_size": 16},
}
"""Settings with which trainings that need not learn are short: of all learners that have them, and of single ones."""
GENERATIONS: dict[str, Any] = {"generations": 20}
"""The same of Lévy searches."""


def demonstrations(problem: Problem[Any], count: int) -> Demonstrations:
    """The best of all assignments, as an expert would give them; anything where there are no assignments."""
    instances = problem.sample(count, seed=7)
    expert = (
        Enumerate() if isinstance(problem, AssignmentProblem) and problem.horizon == 1 else registry.solver("random")
    )
    solutions = expert.run(problem, instances)
    return Demonstrations(instances, observations_along(problem, instances, solutions.decisions), solutions)


@pytest.fixture
def short_tuning(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let rules be tuned on few values and instances."""
    for kind in registry.implementations("solvers", "lyapunov"):
        monkeypatch.setattr(kind, "coarse_factors", np.array([0.1, 1.0, 10.0]))
        monkeypatch.setattr(kind, "tuning_decisions", 1)
        monkeypatch.setattr(kind, "fine_steps", 1)
    yield
    lyapunov._tuned.cache_clear()


@pytest.fixture
def few_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exhaustive search refuse windows that take seconds."""
    monkeypatch.setattr(enumeration, "MAX_DECISIONS", 200_000)


@pytest.fixture
def short_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let experts that choose a Lévy search choose a short one."""
    choose = SizedExpert.choose

    def short(self: SizedExpert, problem: Problem[Any]) -> Solver:
        chosen = choose(self, problem)
        return chosen.replace(**GENERATIONS) if "generations" in type(chosen).model_fields else chosen

    monkeypatch.setattr(SizedExpert, "choose", short)


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check methods on two instances."""
    monkeypatch.setattr("offloadopt.testing.methods.COUNT", 2)


@pytest.mark.usefixtures("short_tuning", "few_decisions", "short_searches", "pairs")
@pytest.mark.parametrize("name", registry.BUILT_IN["solvers"])
def test_a_registered_solver_conforms_on_every_problem_it_serves(name: str) -> None:
    for kind in registry.implementations("solvers", name):
        solver = kind(**(GENERATIONS if "generations" in kind.model_fields else {}))
        assert solver.name == name
        served = [problem for problem in served_by(solver) if registry.serving("solvers", name, problem) is kind]
        assert served
        for problem in served:
            check_solver(solver, problem, seed=5)


def appearance(problem: Any) -> str:
    """What a learner sees of a problem before it begins: presets that differ in costs alone look alike."""
    views = {view: problem.view_size(view) for view in getattr(problem, "views", ())}
    return repr((problem.name, problem.horizon, problem.decision_fields, problem.observation_fields, views))


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize("name", registry.BUILT_IN["learners"])
def test_a_registered_learner_conforms_on_every_problem_it_serves(name: str) -> None:
    fields = registry.get("learners", name).model_fields
    common = {field: value for field, value in QUICK.items() if field in fields}
    learner = registry.learner(name, **common, **OWN.get(name, {}))
    assert learner.name == name
    served = {appearance(problem): problem for problem in served_by(learner)}
    assert served
    for problem in served.values():
        given = demonstrations(problem, 8) if learner.uses_demonstrations else None
        check_learner(learner, problem, given, seed=5)


@pytest.mark.parametrize("preset", [None, "cheap", "dear"])
def test_a_plugin_with_a_horizon_conforms(toy: ModuleType, preset: str | None) -> None:
    problem = registry.problem("queues", preset)
    assert isinstance(problem, toy.Queues)
    check_problem(problem)
    check_solver(registry.solver("foresight"), problem)
    check_learner(registry.learner("threshold-search"), problem)


def test_a_policy_with_a_horizon_lies_above_the_foresight_bound(toy: ModuleType) -> None:
    problem = registry.problem("queues")
    instances = problem.sample(200, seed=1)
    bound = registry.solver("foresight", problem).run(problem, instances).bound
    learned = registry.learner("threshold-search").fit(problem).run(problem, instances)
    assert (learned.objective >= bound - 1e-9).all()
    assert learned.objective.mean() > bound.mean()


class Enumerate(Solver):
    """A correct solver: the best of all assignments."""

    name = "enumerate"
    serves = AssignmentProblem
    proves = True

    def run(self, problem: Any, instances: Any, *, seed: int = 0, progress: Any = None) -> Solutions:
        self.require(problem)
        options = np.array(list(itertools.product(range(problem.servers + 1), repeat=problem.tasks)))
        cost = problem.costs(instances).cost(np.broadcast_to(options, (instances.count, *options.shape)))
        if progress is not None:
            progress(instances.count)
        decisions = problem.allocate(instances, options[cost.argmin(axis=-1)])
        return Solutions.scored(problem, instances, decisions, bound=cost.min(axis=-1), seconds=0.0)


class Careless(Enumerate):
    """Claims that the first assignment it thinks of is optimal."""

    def run(self, problem: Any, instances: Any, *, seed: int = 0, progress: Any = None) -> Solutions:
        self.require(problem)
        if progress is not None:
            progress(instances.count)
        decisions = problem.allocate(instances, np.zeros((instances.count, problem.tasks), dtype=np.int64))
        bound = problem.evaluate(instances, decisions).cost
        return Solutions.scored(problem, instances, decisions, bound=bound, seconds=0.0)


class Unseeded(Enumerate):
    """Decides by a generator of its own."""

    proves = False

    def run(self, problem: Any, instances: Any, *, seed: int = 0, progress: Any = None) -> Solutions:
        self.require(problem)
        if progress is not None:
            progress(instances.count)
        assignment = noise.integers(0, problem.servers + 1, (instances.count, problem.tasks))
        return Solutions.scored(problem, instances, problem.allocate(instances, assignment), seconds=0.0)


class Indiscriminate(Enumerate):
    """Takes any problem, and stumbles."""

    def require(self, problem: Any) -> None: ...


class Silent(Enumerate):
    """Shows no progress."""

    def run(self, problem: Any, instances: Any, *, seed: int = 0, progress: Any = None) -> Solutions:
        return super().run(problem, instances, seed=seed)


class Reticent(Enumerate):
    """Says that it proves nothing, and gives bounds."""

    proves = False


def reporting(**wrong: Callable[[Solutions], Any]) -> Solver:
    """A solver that reports something else than it found."""

    class Misreporting(Enumerate):
        def run(self, problem: Any, instances: Any, *, seed: int = 0, progress: Any = None) -> Solutions:
            found = super().run(problem, instances, seed=seed, progress=progress)
            return dataclasses.replace(found, **{name: change(found) for name, change in wrong.items()})

    return Misreporting()


def test_a_correct_solver_conforms() -> None:
    check_solver(Enumerate(), registry.problem("multi_server", users=5, servers=2))


@pytest.mark.parametrize(
    ("clause", "solver"),
    [
        ("a bound lies above the enumerated optimum", Careless()),
        ("run with the same seed gives other decisions", Unseeded()),
        ("does not serve raises AttributeError, not Unsupported", Indiscriminate()),
        ("progress was called with 0 finished instances, not 4", Silent()),
        ("a bound from a solver that proves none", Reticent()),
        ("objective is not what", reporting(objective=lambda found: found.objective * 0.9)),
        ("a bound lies above its objective", reporting(bound=lambda found: found.bound + 1)),
        ("a bound lies above its objective, or is NaN", reporting(bound=lambda found: found.bound * np.nan)),
        ("OPTIMAL with a gap larger", reporting(bound=lambda found: found.bound * 0.9)),
        ("status 2 does not fit", reporting(status=lambda found: found.status + 2)),
        ("status 9 does not fit", reporting(status=lambda found: found.status + 9)),
        ("seconds are negative", reporting(seconds=lambda found: found.seconds - 1)),
        ("seconds has shape", reporting(seconds=lambda found: np.zeros(()))),
        ("solutions: server has 3 rows for 4", reporting(decisions=lambda found: found.decisions.take(slice(3)))),
    ],
)
def test_a_broken_solver_is_told_which_clause_it_breaks(clause: str, solver: Solver) -> None:
    with pytest.raises(ConformanceError, match=clause):
        check_solver(solver, registry.problem("multi_server", "heterogeneous", users=5, servers=2))


def change_fit(toy: ModuleType, policy: type[Any] | None = None, **changes: Any) -> Any:
    """The toy's learner with something broken, in itself or in its policy."""

    class Broken(toy.ThresholdSearch):  # type: ignore[misc, name-defined]
        policy_type = policy or toy.Threshold

        def fit(self, problem: Any, **options: Any) -> Any:
            made = super().fit(problem, **options)
            return self.policy_type(made.threshold, made.slots)

    for name, value in changes.items():
        setattr(Broken, name, value)
    return Broken()


def test_a_broken_learner_is_told_which_clause_it_breaks(toy: ModuleType) -> None:
    problem = registry.problem("queues")

    class Pickling(toy.Threshold):  # type: ignore[misc, name-defined]
        def save(self, folder: Any) -> None:
            folder.mkdir()
            (folder / "policy.pkl").write_bytes(pickle.dumps((self.threshold, self.slots)))

    class Forgetful(toy.Threshold):  # type: ignore[misc, name-defined]
        @classmethod
        def load(cls, folder: Any, problem: Any) -> Any:
            return cls(0.0, problem.horizon)

    class Anywhere(toy.Threshold):  # type: ignore[misc, name-defined]
        @classmethod
        def load(cls, folder: Any, problem: Any) -> Any:
            return super().load(folder, registry.problem("queues"))

    class Fickle(toy.Threshold):  # type: ignore[misc, name-defined]
        def act(self, observation: Any, memory: Any = None) -> Any:
            decisions, memory = super().act(observation, memory)
            return Decisions({"send": noise.integers(0, 2, decisions["send"].shape)}), memory

    thresholds = itertools.cycle((0.0, 1.5, 3.0))

    def unseeded(self: Any, problem: Any, progress: Any = None, **_: Any) -> Any:
        progress = progress or (lambda steps: None)
        progress(1)
        return toy.Threshold(next(thresholds), problem.horizon)

    def recording(value: Any) -> Any:
        def fit(self: Any, problem: Any, **options: Any) -> Any:
            record = options.pop("record", None)
            if record is not None:
                record(1, {"episode/cost": value})
            return toy.ThresholdSearch().fit(problem, **options)

        return fit

    check_learner(change_fit(toy), problem)
    for clause, learner in {
        r"save wrote policy\.pkl": change_fit(toy, Pickling),
        "save, then load gives other decisions": change_fit(toy, Forgetful),
        "loading a policy for another problem is not refused": change_fit(toy, Anywhere),
        r"policy\.run with the same seed gives other": change_fit(toy, Fickle),
        "on a problem it does not serve is not refused": change_fit(toy, fit=unseeded),
        "fit with the same seed gives other": change_fit(
            toy, fit=lambda self, problem, **options: self.require(problem) or unseeded(self, problem, **options)
        ),
        "default_steps is 0": change_fit(toy, default_steps=lambda *_: 0),
        "demonstrations that it does not use is not refused": change_fit(toy, check_demonstrations=lambda *_: None),
        r"episode/cost = nan at step": change_fit(toy, fit=recording(math.nan)),
        r"episode/cost = 1 at step": change_fit(toy, fit=recording(1)),
    }.items():
        with pytest.raises(ConformanceError, match=clause):
            check_learner(learner, problem)
