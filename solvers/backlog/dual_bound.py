"""Lower bounds of emptying buffers, by prices: what a waiting bit is worth, what a joule is worth.

For any prices ``mu_t`` of the bits ``B_t`` that wait before slot t, the problem falls apart into slots, each of which
buys its buffer, serves it, and sells what is left to the next (weak duality)::

    min over s <= B <= capacity of  phi_t(s) - mu_t B + keep_t min(W, capacity) + overflow max(W - capacity, 0)

where ``W = B - s + A`` waits after arrivals A, ``keep_t = holding + mu_{t+1}``, and ``phi_t(s)`` is the least cost of
energy that serves s bits. It is piecewise
linear in B, so that the least lies where the buffer is emptied (``B = s``), just filled (``B = capacity - A + s``) or
full before service (``B = capacity``), and each of these is a service at one price of bits::

    service(mu) = min over powers of q tau (p_l + p_o) - mu bits(p),   q the price of a joule

in closed form. Bits are lost only where the buffer is full, as in the problem itself: nothing is relaxed but the
coupling of the slots. A battery adds prices ``q_t`` of its joules and ``-capacity max(q_{t+1} - q_t, 0)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.structures.backlog import Backlog

EPS = float(np.finfo(np.float64).eps)
ULPS_PER_TERM = 16
"""Rounding of one slot's terms (roots, logarithms, products), in units in the last place of their magnitude."""
TOUCHES = 1e-7
"""Share of the most bits ever held within which a buffer counts as emptied or exactly full."""


def supporting_prices(backlog: Backlog, served_bits: FloatArray, prices: FloatArray) -> FloatArray:
    """Prices of waiting bits under which a plan is cheapest, as nearly as may be.

    Backwards from the end: a bit that waits is worth what holding it costs and what it is worth a slot later. Only
    where the buffer is emptied or full does the worth change. Where a loss lies ahead, the buffer may be bought low or
    high at the same price: the slope of the convex hull.

    Parameters
    ----------
    backlog : Backlog
    served_bits, prices : arrays [count, horizon, agents]
        A plan and its own prices.

    Returns
    -------
    array [count, horizon, agents]
    """
    arrivals, capacity, lost = backlog.arrival_bits, backlog.capacity_bits, backlog.overflow_price
    horizon, bits = arrivals.shape[1], backlog.start_bits
    remains = np.empty_like(arrivals)
    for t in range(horizon):
        remains[:, t] = np.maximum(bits - served_bits[:, t], 0.0)
        bits = np.minimum(remains[:, t] + arrivals[:, t], capacity)
    near = TOUCHES * np.max(remains + arrivals, axis=1, initial=0.0)
    supporting, following = np.empty_like(arrivals), np.full(bits.shape, backlog.final_price)
    for t in reversed(range(horizon)):
        keep = backlog.holding_price + following
        most_lost = np.maximum(arrivals[:, t] - served_bits[:, t], 0.0)
        share = most_lost / np.maximum(capacity - served_bits[:, t], np.maximum(most_lost, np.finfo(float).tiny))
        convex = (keep <= lost) & (share < 1.0)
        below = np.where(convex, keep, keep + share * (lost - keep))  # slope of the hull while the buffer is low
        above = np.where(convex, lost, below)  # and where bits are lost
        room, own = capacity - arrivals[:, t] - remains[:, t], prices[:, t]
        touching = np.where(room < -near, above, np.where(room <= near, np.clip(own, below, above), below))
        following = np.where(remains[:, t] <= near, np.minimum(own, below), touching)
        supporting[:, t] = following
    return supporting


def price_bound(
    backlog: Backlog, prices: FloatArray, edge_j_per_bit: FloatArray, joule_prices: FloatArray | None = None
) -> FloatArray:
    """Lower bounds ``[count, agents]`` of each buffer's cost, less a margin for the rounding of the sums.

    Parameters
    ----------
    backlog : Backlog
    prices : array [count, horizon, agents]
        Any finite numbers, what a waiting bit is worth. With an unlimited buffer the bound is ``-inf`` where one is
        above the next by more than the holding price.
    edge_j_per_bit : array [count, horizon, agents]
        The effort that uses up the slot's green energy.
    joule_prices : array [count, horizon, agents], optional
        With a battery, what a joule in it is worth: any finite numbers.
    """
    arrivals, capacity, lost = backlog.arrival_bits, backlog.capacity_bits, backlog.overflow_price
    end = np.full_like(prices[:, :1], backlog.final_price)
    keep = backlog.holding_price + np.concatenate([prices[:, 1:], end], axis=1)
    service = _Service(backlog, edge_j_per_bit, joule_prices)
    if np.isfinite(capacity):
        all_bits = service.limit(np.full_like(arrivals, capacity))
        new_bits = service.limit(np.minimum(arrivals, capacity))
        at_price, size = service.least_cost(prices, all_bits)
        at_keep, keep_size = service.least_cost(keep, all_bits)
        at_loss, loss_size = service.least_cost(np.full_like(prices, lost), all_bits)
        emptied = at_price + keep * np.minimum(arrivals, capacity) + lost * np.maximum(arrivals - capacity, 0.0)
        filled = service.least_cost(prices, new_bits)[0] - prices * (capacity - arrivals) + keep * capacity
        # Full before: a served bit makes room for one that were lost, beyond A only for one that is kept.
        beyond = np.where(new_bits.reached & (arrivals < capacity), at_keep + keep * arrivals, np.inf)
        saved = service.least_cost(np.full_like(prices, lost), new_bits)[0] + lost * arrivals
        full = np.where(
            keep <= lost,
            np.maximum(at_loss + lost * arrivals, at_keep + keep * arrivals),
            np.minimum(saved, beyond),
        )
        full += (keep - prices) * capacity
        slots = np.minimum(np.minimum(emptied, np.where(arrivals < capacity, filled, np.inf)), full)
        size = size + keep_size + loss_size
        size += (np.abs(keep) + np.abs(prices) + lost) * (capacity + arrivals)
    else:
        at_price, size = service.least_cost(prices)
        slots = np.where(prices <= keep, at_price + keep * arrivals, -np.inf)
        size += np.abs(keep) * arrivals
    start = prices[:, 0] * backlog.start_bits
    stored = service.stored()
    total = start + backlog.fixed_cost + np.sum(slots + stored, axis=1)
    magnitude = np.abs(start) + np.abs(backlog.fixed_cost) + np.sum(size + np.abs(stored), axis=1)
    return np.asarray(total - EPS * (prices.shape[1] + ULPS_PER_TERM) * magnitude)


def joule_prices(backlog: Backlog, prices: FloatArray, edge_j_per_bit: FloatArray) -> FloatArray:
    """What a joule is worth in each slot without a battery, ``[count, horizon, agents]``.

    Below the green energy it is the green price, beyond it the grid's; where green energy is used up exactly the last
    joule's service sets the price. Any price between the two gives a bound, as the cost of energy is convex.
    """
    service, device = backlog.service, backlog.service.device
    with np.errstate(over="ignore"):
        worth = np.maximum(prices, 0.0) / np.maximum(edge_j_per_bit, np.finfo(float).tiny)
    always_green = device.slot_s * (device.local_max_w + device.offload_max_w) <= service.green_j
    between = np.clip(worth, service.green_price, service.grid_price)
    return np.asarray(np.where(always_green, service.green_price, between))


@dataclass(frozen=True)
class _Limit:
    """Bits that can be served at most, what the last of them takes, and whether full power serves more."""

    bits: FloatArray
    worth: FloatArray
    reached: NDArray[np.bool_]


class _Service:
    """The slots' least costs of serving bits that are worth something."""

    def __init__(self, backlog: Backlog, edge_j_per_bit: FloatArray, joule_prices: FloatArray | None) -> None:
        self.backlog, self.service, self.edge = backlog, backlog.service, edge_j_per_bit
        shape = edge_j_per_bit.shape
        self.grid_price = np.broadcast_to(self.service.grid_price, shape)
        self.joule_prices = joule_prices
        if joule_prices is not None:  # a joule is wasted or bought rather than worth less or more than that
            self.joule_prices = np.clip(joule_prices, -backlog.waste_price, self.grid_price)

    def stored(self) -> FloatArray:
        """[count, horizon, agents] least cost of what the battery keeps after each slot; at the end it is for free."""
        q = self.joule_prices
        if q is None:
            return np.zeros(self.edge.shape)
        following = np.concatenate([q[:, 1:], np.zeros_like(q[:, :1])], axis=1)
        return -self.backlog.battery_j * np.maximum(following - q, 0.0)

    def limit(self, most_bits: FloatArray) -> _Limit:
        """No more than these can be served."""
        effort = self.service.effort_for_bits(most_bits)
        reached = most_bits < self.service.bits(*self.service.powers(self.service.full_effort))
        joule_price = np.where(effort < self.edge, np.maximum(self.service.green_price, 0.0), self.grid_price)
        joule_price = joule_price if self.joule_prices is None else np.maximum(self.joule_prices, 0.0)
        return _Limit(most_bits, np.where(reached, effort * joule_price, np.inf), reached)

    def least_cost(self, worth: FloatArray, limit: _Limit | None = None) -> tuple[FloatArray, FloatArray]:
        """[count, horizon, agents] of the cost of energy less the worth of the bits; and the size of these terms."""
        worth = np.maximum(worth, 0.0)
        if limit is not None:  # whatever a bit is worth beyond what the last one takes, it earns as often as it can
            most = np.minimum(worth, limit.worth)
            cost, size = self.least_cost(most)
            beyond = (worth - most) * limit.bits
            return cost - beyond, size + beyond
        if self.joule_prices is None:
            q = joule_prices(self.backlog, worth, self.edge)
            green = (self.service.green_price - q) * self.service.green_j
        else:
            q = self.joule_prices
            green = -q * self.service.green_j
        local_w, offload_w = self._powers(worth, q)
        spent, earned = q * self.service.energy_j(local_w, offload_w), worth * self.service.bits(local_w, offload_w)
        return spent - earned + green, np.abs(spent) + earned + np.abs(green)

    def _powers(self, worth: FloatArray, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The powers at which one more bit takes ``worth / q`` J, over however weak a link."""
        d = self.service.device
        gain = np.broadcast_to(self.service.gain_per_w, q.shape)
        linked = gain > 1.0 / np.finfo(float).max
        with np.errstate(over="ignore"):
            effort = worth / np.maximum(q, np.finfo(float).tiny)
            local_w = np.minimum((effort / (3.0 * d.cycles_per_bit * np.cbrt(d.kappa))) ** 1.5, d.local_max_w)
            wished_w = np.where(linked, np.minimum(effort * (d.bandwidth_hz / np.log(2.0)), np.finfo(float).max), 0.0)
        offload_w = np.clip(wished_w - 1.0 / np.where(linked, gain, 1.0), 0.0, d.offload_max_w)
        return np.where(q > 0, local_w, d.local_max_w), np.where(q > 0, offload_w, d.offload_max_w)
