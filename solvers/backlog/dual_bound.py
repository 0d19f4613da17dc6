"""Lagrangian lower bounds for emptying buffers, from prices of waiting bits and of joules.

For any prices ``mu_t`` of the bits ``B_t`` that wait before slot t, the problem separates into slots; each of them buys
its buffer at ``mu_t``, serves it, and sells what is left to the next slot at ``mu_{t+1}`` (weak duality)::

    min over s <= B <= capacity of  phi_t(s) - mu_t B + keep_t min(W, capacity) + overflow max(W - capacity, 0)

where ``W = B - s + A`` bits wait after arrivals A, ``keep_t = holding + mu_{t+1}``, and ``phi_t(s)`` is the least cost
of the energy that serves s bits. The expression is piecewise linear in B, so that its minimum lies where the buffer is
emptied (``B = s``), exactly filled (``B = capacity - A + s``) or full before service (``B = capacity``). Each of these
cases is a service problem at one price of bits::

    service(mu) = min over powers of q tau (p_l + p_o) - mu bits(p),   q the price of a joule

in closed form. Bits are lost only where the buffer is full, as in the problem itself: only the coupling of the slots is
relaxed. A battery adds prices ``q_t`` of its joules and the term ``-capacity max(q_{t+1} - q_t, 0)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.structures.backlog import Backlog

EPS = float(np.finfo(np.float64).eps)
ULPS_PER_TERM = 16
"""Rounding error of one slot's terms (roots, logarithms, products), in units in the last place of their magnitude."""
CONTACT_TOLERANCE = 1e-7
"""Fraction of the largest backlog within which a buffer counts as emptied or exactly full."""


def supporting_prices(backlog: Backlog, served_bits: FloatArray, prices: FloatArray) -> FloatArray:
    """Compute prices of waiting bits under which a plan has (nearly) the least Lagrangian.

    Backwards from the end: the price of a waiting bit is the holding cost plus its price a slot later. It differs from
    this only where the buffer is emptied or full. Where bits will be lost, a slot's cost is not convex in the buffer;
    the price is then the slope of its convex hull.

    Parameters
    ----------
    backlog : Backlog
    served_bits, prices : arrays [count, horizon, agents]
        Bits that a plan serves, and the prices found with the plan.

    Returns
    -------
    array [count, horizon, agents]
        Prices of waiting bits for `price_bound`.
    """
    arrivals, capacity, overflow_price = backlog.arrival_bits, backlog.capacity_bits, backlog.overflow_price
    horizon, bits = arrivals.shape[1], backlog.start_bits
    remaining = np.empty_like(arrivals)
    for t in range(horizon):
        remaining[:, t] = np.maximum(bits - served_bits[:, t], 0.0)
        bits = np.minimum(remaining[:, t] + arrivals[:, t], capacity)
    tolerance = CONTACT_TOLERANCE * np.max(remaining + arrivals, axis=1, initial=0.0)
    supporting, following = np.empty_like(arrivals), np.full(bits.shape, backlog.final_price)
    for t in reversed(range(horizon)):
        keep_price = backlog.holding_price + following
        most_lost = np.maximum(arrivals[:, t] - served_bits[:, t], 0.0)
        fraction = most_lost / np.maximum(capacity - served_bits[:, t], np.maximum(most_lost, np.finfo(float).tiny))
        convex = (keep_price <= overflow_price) & (fraction < 1.0)
        # Slopes of the hull below capacity, and where bits are lost.
        low_price = np.where(convex, keep_price, keep_price + fraction * (overflow_price - keep_price))
        overflow_slope = np.where(convex, overflow_price, low_price)
        spare, own_price = capacity - arrivals[:, t] - remaining[:, t], prices[:, t]
        at_capacity = np.where(
            spare < -tolerance,
            overflow_slope,
            np.where(spare <= tolerance, np.clip(own_price, low_price, overflow_slope), low_price),
        )
        following = np.where(remaining[:, t] <= tolerance, np.minimum(own_price, low_price), at_capacity)
        supporting[:, t] = following
    return supporting


@dataclass(frozen=True)
class SlotCosts:
    """Least priced costs of all slots.

    Attributes
    ----------
    least : array [count, horizon, agents]
    fixed : array [count, agents]
        What is added for the whole horizon.
    margin : array [count, agents]
        Margin for the rounding of the sums.
    service_value : array [count, horizon, agents]
        Price of a served bit, at most the marginal cost of the last bit that fits into the buffer.
    of_service : bool array [count, horizon, agents]
        Whether ``least`` is the least cost of service at this price and a constant: the buffer's price falls from slot
        to slot by no more than the holding price, so that no state of the buffer costs less.
    """

    least: FloatArray
    fixed: FloatArray
    margin: FloatArray
    service_value: FloatArray
    of_service: NDArray[np.bool_]


def price_bound(
    backlog: Backlog, prices: FloatArray, green_effort: FloatArray, joule_prices: FloatArray | None = None
) -> FloatArray:
    """Compute lower bounds ``[count, agents]`` of each buffer's cost, from the arguments of `slot_costs`."""
    costs = slot_costs(backlog, prices, green_effort, joule_prices)
    return np.asarray(costs.fixed + np.sum(costs.least, axis=1) - costs.margin)


def slot_costs(
    backlog: Backlog, prices: FloatArray, green_effort: FloatArray, joule_prices: FloatArray | None = None
) -> SlotCosts:
    """Compute the least priced cost of each slot.

    Parameters
    ----------
    backlog : Backlog
    prices : array [count, horizon, agents]
        Prices of waiting bits: any finite numbers. With an unlimited buffer the bound is ``-inf`` where a price
        exceeds the next one by more than the holding price.
    green_effort : array [count, horizon, agents]
        Effort in J/bit at which the slot's green energy is used up.
    joule_prices : array [count, horizon, agents], optional
        With a battery, prices of the joules in it: any finite numbers.
    """
    arrivals, capacity, overflow_price = backlog.arrival_bits, backlog.capacity_bits, backlog.overflow_price
    end = np.full_like(prices[:, :1], backlog.final_price)
    keep_price = backlog.holding_price + np.concatenate([prices[:, 1:], end], axis=1)
    service = PricedService(backlog, green_effort, joule_prices)
    if np.isfinite(capacity):
        capacity_limit = service.service_limit(np.full_like(arrivals, capacity))
        arrival_limit = service.service_limit(np.minimum(arrivals, capacity))
        at_price, magnitude = service.least_cost(prices, capacity_limit)
        at_keep, keep_magnitude = service.least_cost(keep_price, capacity_limit)
        at_loss, loss_magnitude = service.least_cost(np.full_like(prices, overflow_price), capacity_limit)
        cost_emptied = (
            at_price
            + keep_price * np.minimum(arrivals, capacity)
            + overflow_price * np.maximum(arrivals - capacity, 0.0)
        )
        cost_filled = (
            service.least_cost(prices, arrival_limit)[0] - prices * (capacity - arrivals) + keep_price * capacity
        )
        # Full before service: each of the first A served bits saves one from overflow, further ones free space only.
        beyond = np.where(arrival_limit.reached & (arrivals < capacity), at_keep + keep_price * arrivals, np.inf)
        saved = service.least_cost(np.full_like(prices, overflow_price), arrival_limit)[0] + overflow_price * arrivals
        cost_full = np.where(
            keep_price <= overflow_price,
            np.maximum(at_loss + overflow_price * arrivals, at_keep + keep_price * arrivals),
            np.minimum(saved, beyond),
        )
        cost_full += (keep_price - prices) * capacity
        least = np.minimum(np.minimum(cost_emptied, np.where(arrivals < capacity, cost_filled, np.inf)), cost_full)
        value = np.minimum(np.maximum(prices, 0.0), capacity_limit.marginal_cost)
        magnitude = magnitude + keep_magnitude + loss_magnitude
        magnitude += (np.abs(keep_price) + np.abs(prices) + overflow_price) * (capacity + arrivals)
    else:
        at_price, magnitude = service.least_cost(prices)
        least = np.where(prices <= keep_price, at_price + keep_price * arrivals, -np.inf)
        value = np.maximum(prices, 0.0)
        magnitude += np.abs(keep_price) * arrivals
    start = prices[:, 0] * backlog.start_bits
    battery_terms = service.battery_terms()
    total_magnitude = np.abs(start) + np.abs(backlog.fixed_cost) + np.sum(magnitude + np.abs(battery_terms), axis=1)
    return SlotCosts(
        least=least,
        fixed=start + backlog.fixed_cost + np.sum(battery_terms, axis=1),
        margin=EPS * (prices.shape[1] + ULPS_PER_TERM) * total_magnitude,
        service_value=value,
        of_service=(prices <= keep_price)
        & (arrivals <= capacity)
        & (keep_price <= overflow_price if np.isfinite(capacity) else True),
    )


def joule_prices(backlog: Backlog, prices: FloatArray, green_effort: FloatArray) -> FloatArray:
    """Compute marginal prices of a joule without a battery, ``[count, horizon, agents]``.

    The price is the green price while green energy is left over and the grid price beyond it; where green energy is
    used up exactly, it is the value of the bits that the last joule serves. Any price between the two gives a bound,
    as the cost of energy is convex.
    """
    service, device = backlog.service, backlog.service.device
    with np.errstate(over="ignore"):
        marginal_price = np.maximum(prices, 0.0) / np.maximum(green_effort, np.finfo(float).tiny)
    always_green = device.slot_s * (device.local_max_w + device.offload_max_w) <= service.green_j
    between = np.clip(marginal_price, service.green_price, service.grid_price)
    return np.asarray(np.where(always_green, service.green_price, between))


@dataclass(frozen=True)
class _ServiceLimit:
    """Upper limit of served bits, the marginal cost of the last bit, and whether full power could serve more."""

    bits: FloatArray
    marginal_cost: FloatArray
    reached: NDArray[np.bool_]


class PricedService:
    """Least cost of each slot's service problem at given prices of bits and joules."""

    def __init__(self, backlog: Backlog, green_effort: FloatArray, joule_prices: FloatArray | None) -> None:
        self.backlog, self.service, self.green_effort = backlog, backlog.service, green_effort
        shape = green_effort.shape
        self.grid_price = np.broadcast_to(self.service.grid_price, shape)
        self.joule_prices = joule_prices
        if joule_prices is not None:  # waste and purchase bound the value of a joule
            self.joule_prices = np.clip(joule_prices, -backlog.waste_price, self.grid_price)

    def battery_terms(self) -> FloatArray:
        """[count, horizon, agents] least priced cost of the energy kept after each slot; its price at the end is 0."""
        q = self.joule_prices
        if q is None:
            return np.zeros(self.green_effort.shape)
        following = np.concatenate([q[:, 1:], np.zeros_like(q[:, :1])], axis=1)
        return -self.backlog.battery_j * np.maximum(following - q, 0.0)

    def service_limit(self, most_bits: FloatArray) -> _ServiceLimit:
        """Limit the service to ``most_bits [count, horizon, agents]``."""
        effort = self.service.effort_for_bits(most_bits)
        reached = most_bits < self.service.bits(*self.service.powers(self.service.full_effort))
        joule_price = np.where(effort < self.green_effort, np.maximum(self.service.green_price, 0.0), self.grid_price)
        joule_price = joule_price if self.joule_prices is None else np.maximum(self.joule_prices, 0.0)
        return _ServiceLimit(most_bits, np.where(reached, effort * joule_price, np.inf), reached)

    def least_cost(self, bit_value: FloatArray, limit: _ServiceLimit | None = None) -> tuple[FloatArray, FloatArray]:
        """Least energy cost less value of the bits, and the magnitude of these terms, ``[count, horizon, agents]``."""
        bit_value = np.maximum(bit_value, 0.0)
        if limit is not None:  # value above the marginal cost of the last bit is earned on all bits
            capped = np.minimum(bit_value, limit.marginal_cost)
            cost, magnitude = self.least_cost(capped)
            beyond = (bit_value - capped) * limit.bits
            return cost - beyond, magnitude + beyond
        if self.joule_prices is None:
            q = joule_prices(self.backlog, bit_value, self.green_effort)
            green = (self.service.green_price - q) * self.service.green_j
        else:
            q = self.joule_prices
            green = -q * self.service.green_j
        local_w, offload_w = self._powers(bit_value, q)
        spent, earned = q * self.service.energy_j(local_w, offload_w), bit_value * self.service.bits(local_w, offload_w)
        return spent - earned + green, np.abs(spent) + earned + np.abs(green)

    def _powers(self, bit_value: FloatArray, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Powers at which the marginal energy of a bit is ``bit_value / q`` J, also over very weak links."""
        d = self.service.device
        gain = np.broadcast_to(self.service.gain_per_w, q.shape)
        linked = gain > 1.0 / np.finfo(float).max
        with np.errstate(over="ignore"):
            effort = bit_value / np.maximum(q, np.finfo(float).tiny)
            local_w = np.minimum((effort / (3.0 * d.cycles_per_bit * np.cbrt(d.kappa))) ** 1.5, d.local_max_w)
            unclipped_w = np.where(
                linked, np.minimum(effort * (d.bandwidth_hz / np.log(2.0)), np.finfo(float).max), 0.0
            )
        offload_w = np.clip(unclipped_w - 1.0 / np.where(linked, gain, 1.0), 0.0, d.offload_max_w)
        return np.where(q > 0, local_w, d.local_max_w), np.where(q > 0, offload_w, d.offload_max_w)
