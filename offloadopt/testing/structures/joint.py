"""The clauses of `JointProblem`."""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import ROUNDING
from offloadopt.structures.joint import JointProblem
from offloadopt.testing.clauses import COUNT, Rollout, check_fields, close, must, must_have_shape


def check_joint(problem: JointProblem[Any], rollout: Rollout, seed: int) -> None:
    """Check states and factors, and that ``encode`` is the inverse of ``decode``."""
    rng, agents, instances = np.random.default_rng(seed), problem.num_agents, rollout.instances
    must_have_shape("user_factors", problem.user_factors, problem.user_factors.shape[:1])
    must_have_shape("common_factors", problem.common_factors, problem.common_factors.shape[:1])
    for slot in rollout.slots:
        must_have_shape("user_state", problem.user_state(slot.observation), (COUNT, agents, len(problem.user_factors)))
        must_have_shape("common_state", problem.common_state(slot.observation), (COUNT, len(problem.common_factors)))

    coordinates = rng.random((COUNT, agents, len(problem.choices)))
    for column, options in enumerate(problem.choices):
        must(options is None or options >= 1, f"coordinate {column} has {options} options; allowed: at least 1")
        if options is not None:
            coordinates[..., column] = rng.integers(0, options, (COUNT, agents)) / max(options - 1, 1)
    decision = problem.decode(coordinates)
    check_fields("decode", decision, problem.decision_fields, COUNT)
    encoded = problem.encode(decision)
    must(encoded.shape == coordinates.shape, f"encode has shape {list(encoded.shape)}; not {list(coordinates.shape)}")
    any_number = np.isnan(encoded)
    inverse = close(np.where(any_number, coordinates, encoded), coordinates, ROUNDING)
    must(inverse, "encode(decode(coordinates)) are other coordinates")
    for filler in (0.0, 1.0):
        again = problem.decode(np.where(any_number, filler, encoded))
        for name, array in decision.items():
            must(close(again[name], array, ROUNDING), f"decode(encode(decision)) is another decision: {name}")

    for slot in rollout.slots:
        encoded = problem.encode(slot.decision)
        must(bool(((encoded >= 0) & (encoded <= 1) | np.isnan(encoded)).all()), "encode leaves [0, 1]")
        outcome = problem.step(instances, slot.state, problem.decode(np.where(np.isnan(encoded), 0.5, encoded)))[1]
        same = close(outcome.agent_cost, slot.outcome.agent_cost, ROUNDING)
        must(same, "decode(encode(decision)) costs something else than the decision")
