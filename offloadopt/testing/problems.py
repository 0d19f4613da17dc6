"""The clauses of `Problem`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Batch, Decisions, Instances, Outcome, Problem
from offloadopt.errors import InvalidInput
from offloadopt.testing.clauses import (
    COUNT,
    ConformanceError,
    bytes_of,
    check_fields,
    must,
    must_match,
    must_refuse,
    named,
    record_rollout,
)
from offloadopt.testing.structures import check_structures


def check_problem(problem: Problem[Any], seed: int = 0) -> None:
    """Check a problem against `Problem` and against every structure (`offloadopt.structures`) that it claims.

    Raises
    ------
    ConformanceError
        Naming the first clause that does not hold.
    """
    _check_scenario(problem)
    _check_sampling(problem, seed)
    instances = problem.sample(COUNT, seed)
    decisions = _random_decisions(problem, COUNT, seed)
    _check_rollout(problem, instances, decisions)
    _check_rows(problem, instances, decisions)
    _check_refusals("instances", problem.check_instances, instances, problem.instance_fields)
    check_decisions = partial(problem.check_decisions, count=COUNT)
    _check_refusals("decisions", check_decisions, decisions, problem.decision_fields)
    _check_display(problem, instances.take([0]), decisions.take([0]))
    check_structures(problem, record_rollout(problem, instances, decisions), seed)


def _check_scenario(problem: Problem[Any]) -> None:
    scenario = problem.scenario
    must(isinstance(scenario, problem.scenario_type), "scenario is not of the problem's scenario_type")
    back = type(scenario)(**scenario.model_dump(mode="json"))
    must(back.digest() == scenario.digest(), "the scenario does not survive JSON")
    try:
        problem.scenario_type.preset()
    except InvalidInput as error:
        raise ConformanceError(f"the default preset is no scenario: {error}") from None


def _check_sampling(problem: Problem[Any], seed: int) -> None:
    instances, longer = problem.sample(COUNT, seed), problem.sample(COUNT + 3, seed)
    check_fields("sample", instances, problem.instance_fields, COUNT, problem.horizon)
    must(bytes_of(problem.sample(COUNT, seed)) == bytes_of(instances), "sample gives other bytes for the same seed")
    must(bytes_of(longer.take(slice(COUNT))) == bytes_of(instances), "a longer sample does not extend a shorter one")
    must(bytes_of(problem.sample(COUNT, seed + 1)) != bytes_of(instances), "sample ignores its seed")
    check_fields("sample of no instances", problem.sample(0, seed), problem.instance_fields, 0, problem.horizon)


def _check_rollout(problem: Problem[Any], instances: Instances, decisions: Decisions) -> None:
    """Check slot by slot that observations fit their space, and that steps are deterministic and keep their inputs."""
    state, outcomes = problem.reset(instances), list[Outcome]()
    for slot in range(problem.horizon):
        must(state.slot == slot, f"the state before slot {slot} says slot {state.slot}")
        observation = problem.observe(instances, state)
        check_fields("observe", observation, problem.observation_fields, COUNT)
        for row in range(COUNT):
            one = {name: observation[name][row] for name in problem.observation_fields}
            must(problem.observation_space.contains(one), f"observation_space does not contain observation {row}")
        decision = decisions if problem.horizon == 1 else decisions.at_slot(slot)
        before = bytes_of(instances), bytes_of(state.values), bytes_of(decision)
        following, outcome = problem.step(instances, state, decision)
        after = bytes_of(instances), bytes_of(state.values), bytes_of(decision)
        must(before == after and state.slot == slot, "step changed its inputs")
        again, repeated = problem.step(instances, state, decision)
        must(bytes_of(again.values) == bytes_of(following.values), "step is not deterministic: another state")
        must(bytes_of(named(repeated)) == bytes_of(named(outcome)), "step is not deterministic: another outcome")
        outcomes.append(outcome)
        state = following
    total = problem.evaluate(instances, decisions)
    for name, array in named(total).items():
        wanted = (COUNT, problem.num_agents) if name == "agent_cost" else (COUNT,)
        must(array.shape == wanted, f"{name} has shape {list(array.shape)}; allowed: {list(wanted)}")
        must(not np.isnan(array).any(), f"{name} holds NaN for a decision that lies in decision_space")
    must(all((worst >= 0).all() for worst in total.violations.values()), "a violation is negative")
    must_match(named(total), named(Outcome.total(outcomes)), "evaluate differs from the sum of its steps")


def _check_display(problem: Problem[Any], instances: Instances, decisions: Decisions) -> None:
    """Check that one instance's decisions can be told as a table and drawn, and that the main metrics exist."""
    columns = problem.table(instances, decisions).columns
    must(len({len(column) for column in columns.values()}) <= 1, "the columns of table have different lengths")
    names = [panel.name for panel in problem.panels(instances, decisions)]
    must(len(set(names)) == len(names), "two panels have the same name")
    metrics = problem.evaluate(instances, decisions).metrics
    missing = [name for name in problem.main_metrics if name not in metrics]
    must(not missing, f"main_metrics names {missing}, which outcomes do not have")


def _check_rows(problem: Problem[Any], instances: Instances, decisions: Decisions) -> None:
    """Check that an instance's cost is independent of the other instances and of its position in the batch."""
    total = named(problem.evaluate(instances, decisions))
    order = np.roll(np.arange(COUNT)[::-1], 1)
    moved = named(problem.evaluate(instances.take(order), decisions.take(order)))
    must_match(moved, total.take(order), "permuted instances do not give permuted outcomes")
    alone = [named(problem.evaluate(instances.take([row]), decisions.take([row]))) for row in range(COUNT)]
    must_match(Batch.concatenate(alone), total, "instances alone do not cost what they cost in a batch")


def _check_refusals(
    what: str, check: Callable[[Mapping[str, Any]], Batch], good: Batch, fields: Mapping[str, ArrayField]
) -> None:
    kept = check(good)
    must(all(np.array_equal(kept[name], good[name]) for name in good), f"check_{what} changes values that are right")
    must_refuse(f"{what} with an unknown array", lambda: check({**good, "no such array": np.zeros(good.count)}))

    def refuse(fault: str, name: str, values: NDArray[Any]) -> None:
        must_refuse(f"{what} with {fault} in {name}", lambda: check({**good, name: values}))

    for name, spec in fields.items():
        if name not in good:
            continue
        if not spec.optional:
            rest = {other: array for other, array in good.items() if other != name}
            must_refuse(f"{what} without {name}", partial(check, rest))
        refuse("an axis too many", name, good[name][..., None])
        if len(good) > 1:
            refuse("an instance too few", name, good[name][1:])
        wrong = {"NaN": np.nan, "an infinite value": np.inf, "a value above its limit": np.nextafter(spec.high, np.inf)}
        wrong["a value below its limit"] = np.nextafter(spec.low, -np.inf)
        if spec.integer:
            wrong["a fraction"] = spec.low + 0.5
        for fault, value in wrong.items():
            values = np.array(good[name], dtype=np.float64)
            values.flat[0] = value
            refuse(fault, name, values)


def _random_decisions(problem: Problem[Any], count: int, seed: int) -> Decisions:
    space = problem.decision_space
    space.seed(seed)
    slots = []
    for _ in range(problem.horizon):
        rows = [space.sample() for _ in range(count)]
        slots.append(Decisions({name: np.stack([row[name] for row in rows]) for name in problem.decision_fields}))
    return slots[0] if problem.horizon == 1 else Decisions.over_slots(slots)
