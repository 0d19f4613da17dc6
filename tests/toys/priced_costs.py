"""Random instances of `PricedAssignment` and their optimum by enumeration."""

from __future__ import annotations

import itertools

import numpy as np

from offloadopt.structures.assignment import PricedAssignment


def enumerate_optimum(costs: PricedAssignment) -> np.ndarray:
    """[count] least cost over every assignment."""
    servers, tasks = costs.capacity.shape[1], costs.load.shape[1]
    every = np.array(list(itertools.product(range(servers + 1), repeat=tasks)))
    return np.array([costs.take(slice(row, row + 1)).cost(every[None])[0].min() for row in range(costs.count)])


def random_costs(rng: np.random.Generator, tasks: int, servers: int, *, equal: bool = False) -> PricedAssignment:
    """One random instance that has nothing to do with any problem."""
    option_cost = rng.exponential(size=(1, tasks, servers + 1))
    load = np.full((1, tasks), 0.7) if equal else rng.uniform(0.2, 1.0, (1, tasks))
    return PricedAssignment(option_cost, load, rng.uniform(0.5, 4.0, (1, servers)))
