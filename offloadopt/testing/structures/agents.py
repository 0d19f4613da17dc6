"""The clauses of `AgentProblem`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Batch, Decisions, Observation
from offloadopt.structures.actions import Allowed, Controls
from offloadopt.structures.agents import AgentProblem
from offloadopt.testing.clauses import COUNT, Rollout, check_fields, close, must, must_have_shape

SAME_DECISION = 1e-8
"""Relative difference allowed between a decision and what its encoding is decoded to."""


def check_agents(problem: AgentProblem[Any], rollout: Rollout, seed: int) -> None:
    """Check views, features, controls and masks in the first and the last slot."""
    rng, agents = np.random.default_rng(seed), problem.num_agents
    for kind, fields in (("observation", problem.observation_fields), ("decision", problem.decision_fields)):
        for name, spec in fields.items():
            must(spec.shape[:1] == (agents,), f"{kind} array {name!r} does not lead with the agents")
    must(len(problem.views) > 0, "there is no view")
    for slot in {0: rollout.slots[0], problem.horizon - 1: rollout.slots[-1]}.values():
        observation = slot.observation
        _check_views(problem, observation)
        for name, controls in problem.controls.items():
            _check_controls(problem, name, controls, observation, rng)
        first = problem.controls_named(None)
        back = first.decode(observation, first.encode(observation, slot.decision))
        must_agree(back, slot.decision, "the first controls do not give back a decision")


def _check_views(problem: AgentProblem[Any], observation: Observation) -> None:
    """Features and views have their shapes, are finite, and each agent's come from its own rows."""
    agents = problem.num_agents
    features = problem.features(observation)
    for name, values in features.items():
        numbers = values.shape[2:] if values.ndim == 3 else ()
        must_have_shape(f"feature {name!r}", values, (COUNT, agents, *numbers))
    for name in problem.views:
        unknown = set(problem.view_features(name)) - set(features)
        must(not unknown, f"view {name!r} has the unknown feature {min(unknown, default='')!r}")
        must_have_shape(f"view {name!r}", problem.view(observation, name), (COUNT, agents, problem.view_size(name)))
        together = problem.global_view(observation, name)
        must_have_shape(f"global_view {name!r}", together, (COUNT, *together.shape[1:2]))
    for agent in range(agents):
        mixed = problem.features(Observation(_others_changed(observation, agent)))
        for name, values in features.items():
            same = np.array_equal(mixed[name][:, agent], values[:, agent])
            must(same, f"feature {name!r} of an agent depends on other agents' rows")


def _check_controls(
    problem: AgentProblem[Any], name: str, controls: Controls, observation: Observation, rng: np.random.Generator
) -> None:
    """Decoding gives decisions within their limits, encoding them gives the same decisions again."""
    what = f"controls {name!r}"
    for field, spec in controls.fields.items():
        must(spec.shape[:1] == (problem.num_agents,), f"{what}: {field!r} does not lead with the agents")
    allowed = controls.allowed(observation)
    _check_masks(what, controls.fields, allowed)
    values = {field: _drawn(spec, allowed.get(field), rng) for field, spec in controls.fields.items()}
    decision = controls.decode(observation, values)
    check_fields(f"{what}: decode", decision, problem.decision_fields, COUNT)
    encoded = Batch(controls.encode(observation, decision))
    check_fields(f"{what}: encode", encoded, controls.fields, COUNT)
    must_agree(controls.decode(observation, encoded), decision, f"{what}: decode(encode(decision)) is another decision")
    for agent in range(problem.num_agents):
        mixed = controls.decode(Observation(_others_changed(observation, agent)), _others_changed(Batch(values), agent))
        for field, array in decision.items():
            same = np.array_equal(mixed[field][:, agent], array[:, agent])
            must(same, f"{what}: {field!r} of an agent depends on other agents' rows")


def _check_masks(what: str, fields: Mapping[str, ArrayField], allowed: Allowed) -> None:
    """Masks belong to whole numbers, have one entry for each option, and allow at least one."""
    for name, mask in allowed.items():
        must(name in fields and fields[name].integer, f"{what}: allowed names {name!r}, which is no whole number")
        spec = fields[name]
        shape = (COUNT, *spec.shape, int(spec.high - spec.low) + 1)
        must(mask.shape == shape, f"{what}: allowed {name!r} has shape {list(mask.shape)}; allowed: {list(shape)}")
        must(mask.dtype == np.bool_, f"{what}: allowed {name!r} is no mask of bool")
        must(bool(mask.any(axis=-1).all()), f"{what}: allowed {name!r} leaves no option")


def _drawn(spec: ArrayField, mask: NDArray[np.bool_] | None, rng: np.random.Generator) -> NDArray[Any]:
    """Random values ``[COUNT, ...]`` within limits, and among the options of a mask."""
    shape = (COUNT, *spec.shape)
    if not spec.integer:
        return rng.uniform(max(spec.low, -1e3), min(spec.high, 1e3), shape)
    if mask is None:
        return rng.integers(int(spec.low), int(spec.high), shape, endpoint=True)
    return np.asarray(int(spec.low) + np.argmax(np.where(mask, rng.random(mask.shape), -1.0), axis=-1))


def _others_changed(batch: Mapping[str, NDArray[Any]], agent: int) -> dict[str, NDArray[Any]]:
    """Arrays in which all rows but one agent's are those of the next instance."""
    mixed = {name: np.roll(array, 1, axis=0) for name, array in batch.items()}
    for name, array in mixed.items():
        array[:, agent] = batch[name][:, agent]
    return mixed


def must_agree(found: Decisions, wanted: Decisions, clause: str) -> None:
    """Two decisions are the same up to `SAME_DECISION`."""
    for name, array in wanted.items():
        must(name in found and close(found[name], array, SAME_DECISION), f"{clause}: {name}")
