"""Lower bounds where servers are shared by number: prices for serving each task, and for each server's CPU.

Let task i be paid ``u_i`` for being served at all, and server j with n users charge ``y_jn`` for CPU. Then every
assignment costs at least

    sum_i (u_i + min(0, local_i - u_i)) + sum_j min(0, min_n (sum of the n least of phi_ijn(y_jn) - u_i) - y_jn F_j)

where ``phi`` is a task's least cost plus what its CPU is charged: for each n a server picks the n tasks that it gains
most from. This holds for all ``u`` and all ``y >= 0``; of several ``y`` the best counts. The bound is as strong as the
relaxation of the choice of sets, and is climbed by subgradients in ``u``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray

EPS = float(np.finfo(float).eps)
PATIENCE = 8
"""Subgradient steps without progress after which the step is halved."""


@dataclass(frozen=True)
class ServerCosts:
    """One slot's costs of tasks by server and number of users.

    Attributes
    ----------
    local : array [tasks]
    charged : array [prices, tasks, sites, numbers]
        ``phi`` at each candidate price.
    paid : array [prices, sites, numbers]
        ``y F``, what the whole CPU costs at that price.
    """

    local: FloatArray
    charged: FloatArray
    paid: FloatArray


@dataclass(frozen=True)
class Bound:
    """A valid bound, the pay that proves it, and what each (server, number) contributes to it."""

    value: float
    pay: FloatArray
    terms: FloatArray
    """[sites, numbers] the least cost of a server with so many users, each paid."""


def bound_at(costs: ServerCosts, pay: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """The bound, the terms ``[sites, numbers]``, and how often each task is served ``[tasks]``."""
    reduced = costs.charged - pay[:, None, None]
    order = np.argsort(reduced, axis=1, kind="stable")
    ordered = np.take_along_axis(reduced, order, axis=1)
    sums = np.cumsum(ordered, axis=1)
    numbers = np.arange(sums.shape[3])
    terms = sums[:, numbers, :, numbers].transpose(1, 2, 0) - costs.paid  # the n least for n users
    price = np.argmax(terms, axis=0)
    best = np.take_along_axis(terms, price[None], axis=0)[0]
    chosen = np.argmin(best, axis=1)
    sites = np.arange(len(best))
    least = best[sites, chosen]
    served = (costs.local < pay).astype(np.float64)
    for site in sites[least < 0]:
        number = chosen[site]
        members = order[price[site, number], : number + 1, site, number]
        served[members] += 1.0
    value = float(np.sum(pay + np.minimum(0.0, costs.local - pay)) + np.sum(np.minimum(0.0, least)))
    return value, best, served


def climb(costs: ServerCosts, upper: float, pay: FloatArray, steps: int, enough: float) -> Bound:
    """Subgradient ascent from ``pay`` with Polyak's steps towards ``upper``; stops at a gap of ``enough``."""
    value, terms, served = bound_at(costs, pay)
    best = Bound(value, pay, terms)
    scale, stalled, pay = 1.0, 0, pay.copy()
    for _ in range(steps):
        direction = 1.0 - served
        length = float(direction @ direction)
        if length == 0.0 or upper - best.value <= enough or scale < 1e-4:
            break
        pay = pay + scale * max(upper - value, enough) / length * direction
        value, terms, served = bound_at(costs, pay)
        if value > best.value + 1e-12 * abs(upper):
            best, stalled = Bound(value, pay, terms), 0
        else:
            stalled += 1
            if stalled >= PATIENCE:
                scale, stalled = 0.5 * scale, 0
                pay, value, (_, _, served) = best.pay.copy(), best.value, bound_at(costs, best.pay)
    return best


def rounding(costs: ServerCosts, pay: FloatArray) -> float:
    """More than the sums of `bound_at` can be wrong by."""
    magnitude = float(np.abs(pay).sum() + costs.local.sum()) * (1 + costs.charged.shape[2])
    return 8.0 * EPS * (len(pay) + 8) * magnitude


def possible(costs: ServerCosts, bound: Bound, upper: float) -> NDArray[np.bool_]:
    """[tasks, sites, numbers] which tasks may be among the users of a server in an assignment below ``upper``.

    With the bound's own pay: whoever is forced onto (j, n) replaces the last of its n best, and the bound rises by as
    much; likewise when another number of users is forced onto a server.
    """
    reduced = costs.charged - bound.pay[:, None, None]
    order = np.sort(reduced, axis=1)
    numbers = np.arange(order.shape[3])
    last = order[:, numbers, :, numbers].transpose(1, 2, 0)  # the n-th least
    sums = np.cumsum(order, axis=1)[:, numbers, :, numbers].transpose(1, 2, 0) - costs.paid
    forced = sums[:, None] + np.maximum(reduced - last[:, None], 0.0)
    highest = forced.max(axis=0)  # [tasks, sites, numbers]: every price's is valid
    usual = np.minimum(0.0, bound.terms.min(axis=1))
    kept: NDArray[np.bool_] = bound.value - usual[:, None] + highest <= upper
    return kept
