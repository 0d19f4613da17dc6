"""The clauses of `InferenceProblem`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from offloadopt.core import FEASIBILITY_TOLERANCE, ROUNDING, FloatArray, IntArray
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.structures.inference import CostWeights, InferenceProblem
from offloadopt.testing.clauses import COUNT, Rollout, check_fields, close, must, must_have_shape


def check_inference(problem: InferenceProblem[Any], rollout: Rollout, seed: int) -> None:
    """Costs of random shares follow from ``all_tasks`` and ``cost_weights``; ``observed_tasks`` are a slot's tasks."""
    rng, instances, weights = np.random.default_rng(seed), rollout.instances, problem.cost_weights
    must(min(weights.per_second, weights.per_joule, weights.failure) >= 0, "cost_weights: a weight is negative")
    must(weights.limit_s > 0, "cost_weights: limit_s is not positive")
    shape = (COUNT, problem.horizon, problem.num_agents, problem.places)
    work, held_j = _repeated(problem, problem.all_tasks(instances)), problem.start_j(instances)
    must_have_shape("start_j", held_j, (COUNT, problem.num_agents))
    check_fields("twin_instances", problem.twin_instances(instances), problem.instance_fields, COUNT, problem.horizon)
    single = problem.one_slot
    must(single.horizon == 1, f"one_slot has {single.horizon} slots")
    sizes = (single.num_agents, single.places, single.servers)
    must(sizes == (problem.num_agents, problem.places, problem.servers), "one_slot has other sizes")

    server = rng.integers(0, problem.servers + 1, shape)
    # Few tasks meet their limits on small shares: half of the draws leave a CPU and a band to one task.
    shares = [np.where(rng.random(shape) < 0.5, 1.0, rng.random(shape)) for _ in range(2)]
    decisions = problem.choose(server, *shares)
    check_fields("share", decisions, problem.decision_fields, COUNT, problem.horizon)
    state = problem.reset(instances)
    for slot in range(problem.horizon):
        observation, tasks = problem.observe(instances, state), _at_slot(work, slot)
        _check_observed(problem, tasks, problem.observed_tasks(observation), held_j)
        for name, size in zip(("cycles", "bits"), problem.sizes(observation), strict=True):
            must_have_shape(f"sizes: {name}", size, shape[:1] + shape[2:])
        state, outcome = problem.step(instances, state, decisions if problem.horizon == 1 else decisions.at_slot(slot))
        chosen = server[:, slot], shares[0][:, slot], shares[1][:, slot]
        predicted, held_j = _slot_cost(weights, tasks, *chosen, held_j)
        must(close(predicted, outcome.agent_cost, ROUNDING), f"costs of slot {slot} do not follow from all_tasks")


def _repeated(problem: InferenceProblem[Any], work: InferenceTasks) -> InferenceTasks:
    """Check the shapes of all tasks, and repeat arrays that are constant over slots."""
    lead, tasks = (COUNT, problem.horizon), (problem.num_agents, problem.places)
    shapes = {
        **dict.fromkeys(("present", "local_s", "local_j"), tasks),
        **dict.fromkeys(("server_s", "server_j", "send_s"), (*tasks, problem.servers)),
        "snr": (problem.num_agents, problem.servers),
        "power_w": (problem.num_agents,),
    }
    arrays = {}
    for name, shape in shapes.items():
        values = getattr(work, name)
        fits = values.shape in ((*lead, *shape), (COUNT, 1, *shape), (COUNT, *shape))
        must(fits, f"all_tasks: {name} has shape {list(values.shape)}; allowed: [{COUNT}, {lead[1]} or 1, {shape}]")
        if values.shape == (COUNT, *shape) != (*lead, *shape):
            values = values[:, None]
        arrays[name] = np.broadcast_to(values, (*lead, *shape))
        must(not np.isnan(values).any(), f"all_tasks: {name} holds NaN")
    return InferenceTasks(**arrays)


def _at_slot(work: InferenceTasks, slot: int) -> InferenceTasks:
    return InferenceTasks(**{part.name: getattr(work, part.name)[:, slot] for part in fields(InferenceTasks)})


def _check_observed(
    problem: InferenceProblem[Any], tasks: InferenceTasks, seen: tuple[InferenceTasks, FloatArray], held_j: FloatArray
) -> None:
    """Check that the observation gives the slot's tasks and the batteries' energies."""
    found, battery_j = seen
    must(np.array_equal(found.present, tasks.present), "observed_tasks: other tasks are present than in all_tasks")
    for part in fields(tasks):
        wanted, values = getattr(tasks, part.name), np.asarray(getattr(found, part.name))
        if part.name not in ("snr", "power_w"):  # values in places without a task have no effect
            here = tasks.present.reshape(*tasks.present.shape, *(1,) * (wanted.ndim - 3))
            wanted, values = np.where(here, wanted, 0.0), np.where(here, values, 0.0)
        must(
            close(np.broadcast_to(values, wanted.shape), wanted, ROUNDING),
            f"observed_tasks: {part.name} is not that of all_tasks",
        )
    must(close(battery_j, held_j, ROUNDING), "observed_tasks: batteries hold something else than the tasks leave them")


def _slot_cost(
    weights: CostWeights,
    tasks: InferenceTasks,
    server: IntArray,
    cpu_share: FloatArray,
    band_share: FloatArray,
    held_j: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Costs ``[count, users]`` of a slot by its tasks and the weights alone, and the batteries' energies after it."""
    there, servers = tasks.present, tasks.snr.shape[-1]
    cpu, band = np.where(there, cpu_share, 0.0), np.where(there & (server > 0), band_share, 0.0)
    for share in (cpu, band):
        for option in range(servers + 1):
            here = server == option
            axes = (2,) if option == 0 else (1, 2)  # every user has a CPU of its own
            asked = np.sum(np.where(here, share, 0.0), axis=axes, keepdims=True)
            np.divide(share, np.maximum(asked, 1.0), out=share, where=here)
    compute_s, send_s, compute_j, send_j = tasks.time_energy(server, cpu, band)
    time_s = compute_s + send_s
    in_time = there & (time_s <= weights.limit_s * (1.0 + FEASIBILITY_TOLERANCE))
    energy_j = np.where(in_time, compute_j + np.where(in_time, send_j, 0.0), 0.0)
    drain_j = energy_j if weights.server_drains else np.where(server == 0, energy_j, np.where(in_time, send_j, 0.0))
    cost, left_j = np.zeros(held_j.shape), held_j
    for place in range(there.shape[-1]):
        begun = in_time[..., place] & (drain_j[..., place] <= left_j + FEASIBILITY_TOLERANCE * held_j)
        left_j = np.maximum(left_j - np.where(begun, drain_j[..., place], 0.0), 0.0)
        spent = weights.per_second * time_s[..., place] + weights.per_joule * energy_j[..., place]
        cost += np.where(begun, spent, weights.failure * there[..., place])
    return cost, left_j
