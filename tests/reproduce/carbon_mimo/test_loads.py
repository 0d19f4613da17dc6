"""Claims over the loads follow from the numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.carbon_mimo.study import CADDTO, DDPG, ENERGY, GREEDY_LOCAL, GREEDY_OFFLOAD, LYAPUNOV
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import verdicts
from toys.tiny_papers.carbon_mimo import full


def loads(of: Callable[[str, float, int], float]) -> list[dict[str, Any]]:
    """Numbers of a load figure, all of them ``of(method, load, replicate)``."""
    numbers = ("cost", "carbon_g_per_bit", "carbon_g_per_j", "overflow")
    return [
        {REPLICATE: replicate, "load": float(load), "method": method, **dict.fromkeys(numbers, value)}
        for replicate in range(1, 6)
        for load in range(1, 11)
        for method in (CADDTO, DDPG, LYAPUNOV, GREEDY_LOCAL, GREEDY_OFFLOAD, measurements.HINDSIGHT)
        for value in [of(method, load, replicate)]
    ]


BASE = {CADDTO: 0.002, measurements.HINDSIGHT: 0.001}


def test_claims_over_the_loads_hold_as_published_and_fail_otherwise() -> None:
    published = loads(lambda method, load, r: BASE.get(method, 0.1) * (1 + 0.01 * r))
    reverse = loads(lambda method, load, r: (0.5 if method == CADDTO else 0.1) * (1 + 0.01 * r))
    once = loads(lambda method, load, r: (0.5 if (method, load) == (CADDTO, 4) else BASE.get(method, 0.1)) + 1e-6 * r)
    noise = np.random.default_rng(0)
    scattered = loads(lambda method, load, r: 0.01 + noise.normal(0, 0.003))
    for name in ("cost", "carbon", "overflow"):
        artefact = full(name)
        assert set(verdicts(artefact, published)) == {True}
        assert set(verdicts(artefact, reverse)) == {False}
        assert True not in verdicts(artefact, scattered)
    ours = [{**row, "method": ENERGY} for row in published if row["method"] == CADDTO]
    assert verdicts(full("cost"), [*published, *ours]) == [True, True]
    assert verdicts(full("cost"), [*reverse, *ours]) == [False, True]
    assert verdicts(full("carbon"), once) == [False, False]
    assert verdicts(full("overflow"), once) == [True, False]
