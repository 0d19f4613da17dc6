"""Inference: a toy conforms, and is solved to the best options with the best shares."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import offloadopt
from offloadopt.core import Scenario
from offloadopt.testing import check_problem, check_solver

from toys.inference import FAILURE, LIMIT_S, SERVER_SPEED, SNR, Questions

TOY = Questions(Scenario())


def seconds(size: float, cpu: float, band: float) -> float:
    """Of a task on shares of the server's CPU and band."""
    return size / SERVER_SPEED / cpu + 0.2 * size / (band * np.log2(1.0 + SNR / band))


def best_together(sizes: np.ndarray) -> float:
    """Both tasks on the server, on a fine grid of CPU shares with the best band each; within the limit."""

    def cost(cpu: float, band: float) -> float:
        times = seconds(sizes[0], cpu, band), seconds(sizes[1], 1.0 - cpu, 1.0 - band)
        return sum(times) + 1e3 * sum(max(time - LIMIT_S, 0.0) for time in times)

    def best(cpu: float) -> float:
        return float(minimize_scalar(lambda band: cost(cpu, band), bounds=(1e-6, 1 - 1e-6)).fun)

    return float(minimize_scalar(best, bounds=(1e-6, 1 - 1e-6)).fun)


def test_a_toy_conforms() -> None:
    check_problem(TOY)
    check_solver(offloadopt.solver("exact", TOY), TOY)


def test_the_exact_solver_finds_the_best_options_and_shares() -> None:
    instances = TOY.sample(8, seed=4)
    found = offloadopt.solver("exact", TOY).run(TOY, instances)
    for row in range(8):
        sizes, costs = instances["size"][row, :, 0], []
        for options in itertools.product(("fail", "own", "server"), repeat=2):
            alone = {"fail": lambda size: FAILURE, "own": float, "server": lambda size: seconds(size, 1.0, 1.0)}
            if options == ("server", "server"):
                costs.append(best_together(sizes))
                continue
            times = [alone[option](size) for option, size in zip(options, sizes, strict=True)]
            late = any(t > LIMIT_S for t, option in zip(times, options, strict=True) if option != "fail")
            costs.append(np.inf if late else sum(times))
        assert found.objective[row] == pytest.approx(min(costs), rel=1e-4)
    assert found.status_names == ["OPTIMAL"] * 8


def test_defaults_know_no_twin_and_no_sizes() -> None:
    instances = TOY.sample(2, seed=0)
    assert TOY.twin_instances(instances) is instances
    assert TOY.one_slot is TOY
    cycles, bits = TOY.sizes(TOY.observe(instances, TOY.reset(instances)))
    assert (cycles == 1).all()
    assert (bits == 1).all()
