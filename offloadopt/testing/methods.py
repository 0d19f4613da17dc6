"""The clauses of `Solver`, `Learner` and `Policy`."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from offloadopt.core import (
    ROUNDING,
    ArrayField,
    Batch,
    Budget,
    Decisions,
    Demonstrations,
    FloatArray,
    Instances,
    IntArray,
    Learner,
    Observation,
    Outcome,
    Policy,
    Problem,
    Progress,
    Scenario,
    Solutions,
    Solver,
    State,
    Status,
)
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.structures.assignment import AssignmentProblem
from offloadopt.testing.clauses import COUNT, SAME, bytes_of, check_fields, close, must, must_refuse, must_repeat

SMALL = 20_000
"""Assignments that are enumerated to check a solver's bounds."""
SAVED = {".safetensors", ".json"}
"""What a saved policy consists of: nothing in it runs when it is loaded."""


def check_solver(solver: Solver, problem: Problem[Any], seed: int = 0) -> None:
    """Check a solver against `Solver` on a problem that it serves.

    A solver whose answer depends on the clock (``time_limit_s``) cannot hold the same-seed clause: give none.

    Raises
    ------
    ConformanceError
        Naming the first clause that does not hold.
    """
    foreign = _Foreign(Scenario())
    if not isinstance(foreign, solver.serves):
        some = foreign.sample(1, seed)
        must_refuse("solver.run on a problem it does not serve", lambda: solver.run(foreign, some), Unsupported)
    instances = problem.sample(COUNT, seed)
    before, finished = bytes_of(instances), list[int]()
    solutions = solver.run(problem, instances, seed=seed, progress=finished.append)
    _check_solutions(problem, instances, solutions)
    must(sum(finished) == COUNT, f"progress was called with {sum(finished)} finished instances, not {COUNT}")
    must(bytes_of(instances) == before, "run changed the instances")
    _check_proof(solver, problem, instances, solutions)

    again = solver.run(problem, instances, seed=seed)
    must_repeat(solutions, again, "run with the same seed")
    required = [name for name, spec in problem.instance_fields.items() if not spec.optional]
    alone = Instances({name: instances[name][:1] for name in required})
    _check_solutions(problem, alone, solver.run(problem, alone, seed=seed))
    nothing = instances.take(slice(0))
    _check_solutions(problem, nothing, solver.run(problem, nothing, seed=seed))


def check_learner(
    learner: Learner, problem: Problem[Any], demonstrations: Demonstrations | None = None, seed: int = 0, steps: int = 8
) -> None:
    """Check a learner, and the policy it makes, against `Learner` and `Policy` on a problem that it serves.

    Parameters
    ----------
    learner : Learner
    problem : Problem
    demonstrations : Demonstrations, optional
        Handed on to ``fit``; a learner that imitates needs them.
    seed : int
    steps : int
        Budget of each training, in decisions of agents.

    Raises
    ------
    ConformanceError
        Naming the first clause that does not hold.
    """
    recorded: list[tuple[int, Mapping[str, float]]] = []

    def fit(subject: Problem[Any], progress: Progress | None = None, checkpoint: Path | None = None) -> Policy:
        return learner.fit(
            subject,
            demonstrations=demonstrations,
            budget=Budget(steps=steps),
            seed=seed,
            progress=progress,
            record=None if progress is None else lambda step, found: recorded.append((step, dict(found))),
            checkpoint=checkpoint,
        )

    foreign = _Foreign(Scenario())
    if not isinstance(foreign, learner.serves):
        must_refuse("learner.fit on a problem it does not serve", lambda: fit(foreign), Unsupported)
    length = learner.default_steps(problem)
    must(length >= 1, f"default_steps is {length}; allowed: at least 1")
    done: list[int] = []
    with tempfile.TemporaryDirectory() as parent:
        kept = Path(parent) / "checkpoint"
        policy = fit(problem, done.append, kept)
        continued = fit(problem, checkpoint=kept)
    must(isinstance(policy, learner.policy_type), f"fit gave a {type(policy).__name__}, not learner.policy_type")
    must(sum(done) >= 1, "progress was called with no step")
    _check_recorded(recorded)

    instances = problem.sample(COUNT, seed + 1)
    solutions = _check_policy(policy, problem, instances, seed)
    must_repeat(solutions, fit(problem).run(problem, instances, seed=seed), "fit with the same seed")
    must_repeat(solutions, continued.run(problem, instances, seed=seed), "fit with the checkpoint of the same training")
    _check_demonstrations(learner, problem, steps, seed)
    _check_saved(policy, learner, problem, solutions, seed)


def _check_policy(policy: Policy, problem: Problem[Any], instances: Instances, seed: int) -> Solutions:
    """Check the decisions of a policy and return them."""
    decision, _ = policy.act(problem.observe(instances, problem.reset(instances)), policy.start(COUNT, seed))
    check_fields("policy.act", decision, problem.decision_fields, COUNT)
    solutions = policy.run(problem, instances, seed=seed)
    _check_solutions(problem, instances, solutions)
    must(bool(problem.evaluate(instances, solutions.decisions).feasible.all()), "the policy's decisions are infeasible")
    # In one slot a policy may observe the whole instance, and prove bounds; over a horizon it does not know the future.
    proves = problem.horizon == 1 or bool((solutions.bound == -np.inf).all())
    must(proves, "a policy that decides slot by slot gives a bound")
    must_repeat(solutions, policy.run(problem, instances, seed=seed), "policy.run with the same seed")
    return solutions


def _check_saved(policy: Policy, learner: Learner, problem: Problem[Any], solutions: Solutions, seed: int) -> None:
    """Check that a saved policy decides as before, and that a problem which it does not serve is refused."""
    instances, load = problem.sample(COUNT, seed + 1), learner.policy_type.load
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "policy"
        policy.save(folder)
        for path in folder.rglob("*"):
            must(path.is_dir() or path.suffix in SAVED, f"save wrote {path.name}; allowed: {', '.join(sorted(SAVED))}")
        loaded = load(folder, problem)
        must_repeat(solutions, loaded.run(problem, instances, seed=seed), "save, then load")
        foreign = _Foreign(Scenario())
        if not isinstance(foreign, learner.serves):
            must_refuse("loading a policy for another problem", lambda: load(folder, foreign))


def _check_demonstrations(learner: Learner, problem: Problem[Any], steps: int, seed: int) -> None:
    """Check that demonstrations are refused where they are not used, and required where they are needed."""
    budget = Budget(steps=steps)
    if learner.needs_demonstrations:
        without = "learner.fit without the demonstrations that it needs"
        must_refuse(without, lambda: learner.fit(problem, budget=budget, seed=seed), InvalidInput)
    if not learner.uses_demonstrations:
        instances = problem.sample(1, seed)
        observation = problem.observe(instances, problem.reset(instances))
        nothing = np.zeros(1)
        decided = Decisions({name: nothing for name in problem.decision_fields})
        solutions = Solutions(decided, nothing, nothing, nothing.astype(np.uint8), nothing)
        given = Demonstrations(instances, observation, solutions)
        must_refuse(
            "learner.fit with demonstrations that it does not use",
            lambda: learner.fit(problem, demonstrations=given, budget=budget, seed=seed),
            Unsupported,
        )


def _check_recorded(recorded: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    steps = [step for step, _ in recorded]
    must(steps == sorted(steps) and all(step >= 0 for step in steps), "steps of what is recorded do not ascend")
    for step, found in recorded:
        for name, value in found.items():
            must(type(name) is str, f"record was given the name {name!r}; allowed: a string")
            finite = type(value) is float and np.isfinite(value)
            must(bool(finite), f"{name} = {value!r} at step {step}; allowed: a finite float")


def _check_solutions(problem: Problem[Any], instances: Instances, solutions: Solutions) -> None:
    count = instances.count
    for name in ("objective", "bound", "status", "seconds"):
        shape = getattr(solutions, name).shape
        must(shape == (count,), f"{name} has shape {list(shape)}; allowed: [{count}]")
    check_fields("solutions", solutions.decisions, problem.decision_fields, count, problem.horizon)
    must(bool(((solutions.seconds >= 0) & np.isfinite(solutions.seconds)).all()), "seconds are negative or not finite")
    outcome = problem.evaluate(instances, solutions.decisions)
    charged = np.where(outcome.feasible, outcome.cost, np.inf)
    must(close(solutions.objective, charged, SAME), "objective is not what problem.evaluate charges")

    objective, bound = solutions.objective, solutions.bound
    found = np.isfinite(objective)
    must(bool((bound <= objective).all()), "a bound lies above its objective, or is NaN")
    allowed = {
        Status.OPTIMAL: found & np.isfinite(bound),
        Status.BOUNDED: found & np.isfinite(bound),
        Status.FEASIBLE: found & (bound == -np.inf),
        Status.INFEASIBLE: ~found & (bound == np.inf),
        Status.LIMIT_NO_SOLUTION: ~found & (bound < np.inf),
    }
    for row, code in enumerate(solutions.status):
        fits = code in allowed and allowed[Status(code)][row]
        must(bool(fits), f"status {code} does not fit objective {objective[row]:g} and bound {bound[row]:g}")


def _check_proof(solver: Solver, problem: Problem[Any], instances: Instances, solutions: Solutions) -> None:
    """Check claimed proofs, against the enumerated optimum where enumeration is possible."""
    optimal = solutions.status == Status.OPTIMAL
    must(bool((solutions.gap[optimal] <= solver.relative_gap + ROUNDING).all()), "OPTIMAL with a gap larger than asked")
    bounded = solutions.status == Status.BOUNDED
    must(bool((solutions.gap[bounded] > solver.relative_gap).all()), "BOUNDED with a gap as small as asked")
    must(solver.proves or bool((solutions.bound == -np.inf).all()), "a bound from a solver that proves none")
    if not isinstance(problem, AssignmentProblem) or problem.horizon > 1:
        return
    if (problem.servers + 1) ** problem.tasks > SMALL:
        return
    best = _enumerated_optimum(problem, instances)
    slack = ROUNDING * np.abs(best)
    must(bool((solutions.objective >= best - slack).all()), "a cost lies below the enumerated optimum")
    must(bool((solutions.bound <= best + slack).all()), "a bound lies above the enumerated optimum")


def _enumerated_optimum(problem: AssignmentProblem[Any], instances: Instances) -> FloatArray:
    """[count] the least cost of all assignments."""
    options = itertools.product(range(problem.servers + 1), repeat=problem.tasks)
    every: IntArray = np.array(list(options), dtype=np.int64)
    costs = problem.costs(problem.observe(instances, problem.reset(instances)))
    cost = costs.cost(np.broadcast_to(every, (instances.count, *every.shape)))
    return np.asarray(cost.min(axis=-1))


class _Foreign(Problem[Scenario]):
    """A problem without any structure: only a method for every problem serves it."""

    name = "foreign"
    scenario_type = Scenario
    num_agents = 1
    instance_fields = decision_fields = observation_fields = {"number": ArrayField(())}  # noqa: RUF012

    def sample(self, count: int, seed: int) -> Instances:
        return Instances({"number": np.random.default_rng(seed).random(count)})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation(instances)

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        cost = np.abs(decision["number"] - instances["number"])
        return State(1, state.values), Outcome(cost, cost[:, None])
