"""Buffers of users that disturb each other on the uplink: plans in turn, and a bound on what all can send together.

Plans. While the others' powers stand still, a user's SINR is proportional to its own power, whatever the linear
detector, and its buffer is planned alone (`buffer_plans`), with a price of each bit. At these prices the powers of all
users are set together, slot by slot (`joint_powers`), which leaves other powers for the next plans. The cheapest powers
by `Problem.evaluate` are kept.

Bounds. With linear detectors, every set S of users sends at most what it could with the best receiver of all, which
sees the users' true channels ``h`` in the span of the estimates, and decodes one user after the other::

    sum_{u in S} bits_u <= c ln det(I + sum_{u in S} p_u h_u h_u^H / noise),   c = tau W / ln 2

(the polymatroid of the Gaussian multiple access channel: Tse and Hanly, "Multiaccess fading channels, part I", IEEE
Trans. Inf. Theory 44(7), 1998). Two bounds follow from prices of bits, and the tighter one holds in each slot:

* each user alone: S has one user, and the bound is `price_bound` with the gains ``|h_u|^2 / noise``;
* all users of a slot together, where each one's least cost is that of service at the price of its bits. Bits of prices
  ``v_1 >= v_2 >= ...`` are worth at most ``c sum_k (v_k - v_{k+1}) ln det(I + sum_{i <= k} p_i h_i h_i^H / noise)``,
  which is concave in the powers: its tangent at any powers is an upper bound, with which the powers' minimum is found
  user by user. The tangent is taken near the minimiser, which coordinate descent finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import ROUNDING, Decisions, FloatArray, Instances, Observation, rollout
from offloadopt.kernels import njit
from offloadopt.physics.mimo import Channel, Uplink
from offloadopt.solvers.backlog.buffer_plans import BufferPlan, BufferSearches
from offloadopt.solvers.backlog.dual_bound import EPS, PricedService, price_bound, slot_costs
from offloadopt.solvers.backlog.joint_powers import joint_powers
from offloadopt.solvers.base import Found
from offloadopt.structures.backlog import Backlog, BacklogProblem

PATIENCE = 2
"""Number of rounds without an improvement after which the search ends."""
SETTLED = 1e-4
"""Relative change of the cost that counts as an improvement."""
PRICE_ROUNDS = 4
"""Number of times that prices are found anew from the rates of the common bound."""
SWEEPS = 40
BISECTIONS = 50


class InterferenceSearches:
    """The searches of one call: each instance by plans in turn, then by prices for its bound."""

    def __init__(self, problem: BacklogProblem[Any], instances: Instances, uplink: Uplink) -> None:
        self.problem, self.instances, self.uplink = problem, instances, uplink
        self.seen = (1.0 + ROUNDING) * uplink.seen_channel / np.sqrt(uplink.noise_w)  # no SINR is rounded above it
        self.alone_gain = np.sum(np.abs(self.seen) ** 2, axis=-1)
        shape = self.alone_gain.shape
        self.local_w, self.offload_w, self.bit_price = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        alone = BufferSearches(problem, instances, problem.backlog(instances, self.alone_gain))
        self.bound = price_bound(alone.backlog, self.bit_price, alone.green_effort).sum(axis=1)

    def search(self, row: int, deadline: Deadline) -> None:
        """Plan in turn, then improve the bound."""
        instance = self.instances.take(slice(row, row + 1))
        alone = self._searched(instance, self.alone_gain[[row]], deadline)
        plans = [alone.plan()]
        self.bound[row] = max(self.bound[row], float(plans[0].bound.sum()))
        power, least, worse = plans[0].offload_w, np.inf, 0
        while worse < PATIENCE and not deadline.passed:
            plan = self._searched(instance, self.uplink.take([row]).gain_per_w(power), deadline).plan()
            together = self._together(row, instance, plan.bit_price, deadline)
            plans.append(plan)
            worse += 1
            for local_w, offload_w in ((plan.local_w, plan.offload_w), together):
                cost = float(self.problem.evaluate(instance, self.problem.serve(local_w, offload_w)).cost[0])
                if cost < least * (1.0 - SETTLED):
                    worse = 0
                if cost < least:
                    least, self.local_w[row], self.offload_w[row] = cost, local_w[0], offload_w[0]
                    self.bit_price[row] = plan.bit_price[0]
            power = together[1]
        self._improve_bound(row, instance, alone, (plans[0], plans[-1]), deadline)

    def _together(
        self, row: int, instance: Instances, bit_price: FloatArray, deadline: Deadline
    ) -> tuple[FloatArray, FloatArray]:
        """Powers ``[1, horizon, agents]`` set together slot by slot, when a served bit saves its price a slot later."""
        backlog, uplink = self.problem.backlog(instance, self.alone_gain[[row]]), self.uplink.take(row)
        after = np.concatenate([bit_price[:, 1:], np.full_like(bit_price[:, :1], backlog.final_price)], axis=1)
        value = np.maximum(bit_price, backlog.holding_price + after)
        slots = count()

        def decide(observation: Observation) -> Decisions:
            t = next(slots)
            service, buffer = self.problem.service(observation), self.problem.buffer_bits(observation)
            if deadline.passed:
                return self.problem.serve(np.zeros_like(buffer), np.zeros_like(buffer))
            return self.problem.serve(*joint_powers(service, uplink.take([t]), value[:, t], buffer))

        return self.problem.powers(rollout(self.problem, instance, decide))

    def _searched(self, instance: Instances, gain_per_w: FloatArray, deadline: Deadline) -> BufferSearches:
        """Plans of one instance with the given gains ``[1, horizon, agents]``."""
        searches = BufferSearches(self.problem, instance, self.problem.backlog(instance, gain_per_w))
        searches.search(0, deadline)
        return searches

    def _improve_bound(
        self, row: int, instance: Instances, alone: BufferSearches, plans: tuple[BufferPlan, ...], deadline: Deadline
    ) -> None:
        """Take the best bound of several prices: those of plans, and of plans with the rates of the common bound."""
        if alone.backlog.battery_j > 0:  # whose joules have prices that couple the slots
            return
        common = CommonBound(alone.backlog, self.seen[[row]], alone.green_effort)
        for plan in plans:
            prices, power = plan.bit_price, plan.offload_w
            for _ in range(PRICE_ROUNDS):
                if deadline.passed:
                    return
                bound, power = common.bound(prices, power)
                self.bound[row] = max(self.bound[row], bound)
                prices = self._searched(instance, common.gain_per_w(prices, power), deadline).plan().bit_price

    def found(self) -> Found:
        """Return the cheapest plans; an instance that was not searched sends nothing."""
        decisions: Decisions = self.problem.serve(self.local_w, self.offload_w)
        return Found(decisions, self.bound, {"bit_price": self.bit_price})


@dataclass(frozen=True)
class CommonBound:
    """Lower bounds of one instance's cost from prices of bits and the sum rates of all sets of users.

    Attributes
    ----------
    backlog : Backlog
        One instance, with the gains of users that send alone.
    seen : array [1, horizon, users, dimensions]
        Channels relative to the noise; there are as many dimensions as users or antennas, whichever are fewer.
    green_effort : array [1, horizon, users]
        Effort in J/bit at which a user that sends alone uses up the slot's green energy.
    """

    backlog: Backlog
    seen: Channel
    green_effort: FloatArray

    def bound(self, prices: FloatArray, start_w: FloatArray) -> tuple[float, FloatArray]:
        """Compute the bound, and transmit powers ``[1, horizon, users]`` near the minimiser, from those to start at."""
        costs = slot_costs(self.backlog, prices, self.green_effort)
        value = costs.service_value
        power, joule_price = start_w.copy(), np.empty_like(start_w)
        _descend(self.seen[0], value[0], *self._energy(), self._constants, power[0], joule_price[0])
        raised = self._least_service(value, power, joule_price) - self._service_alone(value)
        together = np.all(costs.of_service, axis=-1)
        total = costs.fixed.sum() + costs.least.sum() - costs.margin.sum()
        return float(total + np.sum(np.maximum(raised, 0.0), where=together)), power

    def gain_per_w(self, prices: FloatArray, power_w: FloatArray) -> FloatArray:
        """Compute gains in 1/W with which users send what they do when decoded in the order of ascending prices."""
        order = np.argsort(-prices, axis=-1, kind="stable")
        channel = np.take_along_axis(self.seen, order[..., None], axis=-2)
        power = np.take_along_axis(power_w, order, axis=-1)
        rate = np.diff(_log_dets(channel, power), axis=-1, prepend=0.0)
        alone = np.sum(np.abs(channel) ** 2, axis=-1)
        gain = np.where(power > 0, np.expm1(rate) / np.maximum(power, np.finfo(float).tiny), alone)
        found = np.empty_like(gain)
        np.put_along_axis(found, order, np.minimum(gain, alone), axis=-1)
        return found

    @property
    def _constants(self) -> FloatArray:
        d = self.backlog.service.device
        root = 3.0 * d.cycles_per_bit * np.cbrt(d.kappa)  # J/bit of the CPU over W^(2/3)
        nats = d.slot_s * d.bandwidth_hz / np.log(2.0)  # bits of the link over ln(1 + SINR)
        return np.array([root, nats, d.slot_s, d.local_max_w, d.offload_max_w])

    def _energy(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Green energy in J and both prices of a joule, ``[horizon, users]``."""
        service, shape = self.backlog.service, self.green_effort.shape
        parts = (service.green_j, service.green_price, service.grid_price)
        green_j, green_price, grid_price = (np.array(np.broadcast_to(part, shape)[0]) for part in parts)
        return green_j, green_price, grid_price

    def _least_service(self, value: FloatArray, power: FloatArray, joule_price: FloatArray) -> FloatArray:
        """[1, horizon] lower bound of the cost of energy less value of bits, by the tangent of the sum rates."""
        d, service = self.backlog.service.device, self.backlog.service
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            effort = np.where(joule_price > 0, value / joule_price, np.inf)
        local_w = np.minimum((effort / self._constants[0]) ** 1.5, d.local_max_w)
        local = joule_price * d.slot_s * local_w - value * d.local_bits(local_w)
        green = (service.green_price - joule_price) * service.green_j
        rates, slope = _weighted_sum_rate(self.seen, value, power)
        nats = self._constants[1]
        slope = joule_price * d.slot_s - nats * slope
        offload = joule_price * d.slot_s * power
        tangent = np.minimum(-slope * power, slope * (d.offload_max_w - power))
        terms = local + green + offload + tangent
        size = np.abs(local) + np.abs(green) + np.abs(offload) + np.abs(slope) * d.offload_max_w
        condition = 1.0 + np.sum(power * np.sum(np.abs(self.seen) ** 2, axis=-1), axis=-1)
        margin = 64 * EPS * condition * (size.sum(axis=-1) + nats * np.abs(rates))
        return np.asarray(terms.sum(axis=-1) - nats * rates - margin)

    def _service_alone(self, value: FloatArray) -> FloatArray:
        """[1, horizon] cost of energy less value of bits that `slot_costs` has for users that send alone."""
        return np.asarray(PricedService(self.backlog, self.green_effort, None).least_cost(value)[0].sum(axis=-1))


def _log_dets(channel: Channel, power: FloatArray) -> FloatArray:
    """``ln det(I + sum_{i <= k} p_i h_i h_i^H)`` for all k, ``[..., users]``."""
    return np.asarray(np.linalg.slogdet(_gram(channel, power))[1])


def _gram(channel: Channel, power: FloatArray) -> Channel:
    """``I + sum_{i <= k} p_i h_i h_i^H`` for all k, ``[..., users, dimensions, dimensions]``."""
    parts = power[..., None, None] * channel[..., :, None] * channel.conj()[..., None, :]
    return np.asarray(np.eye(channel.shape[-1]) + np.cumsum(parts, axis=-3))


def _weighted_sum_rate(seen: Channel, value: FloatArray, power: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Largest ``sum_u v_u r_u`` over the rates r in nat that the powers allow, ``[...]``, and its slope in 1/W."""
    order = np.argsort(-value, axis=-1, kind="stable")
    channel = np.take_along_axis(seen, order[..., None], axis=-2)
    sorted_value = np.take_along_axis(value, order, axis=-1)
    drop = sorted_value - np.concatenate([sorted_value[..., 1:], np.zeros_like(sorted_value[..., :1])], axis=-1)
    gram = _gram(channel, np.take_along_axis(power, order, axis=-1))
    total = np.sum(drop * np.linalg.slogdet(gram)[1], axis=-1)
    users, dimensions = channel.shape[-2:]
    columns = np.swapaxes(channel, -1, -2)[..., None, :, :]
    solved = np.linalg.solve(gram, np.broadcast_to(columns, (*gram.shape[:-2], dimensions, users)))
    heard = np.real(np.einsum("...un,...knu->...ku", channel.conj(), solved))
    within = np.tri(users).astype(bool)  # [k, u]: user u is one of the first k
    slope = np.einsum("...k,...ku->...u", drop, np.where(within, heard, 0.0))
    found = np.empty_like(slope)
    np.put_along_axis(found, order, slope, axis=-1)
    return np.asarray(total), found


@njit(cache=True)
def _descend(
    seen: Any, value: Any, green_j: Any, green_price: Any, grid_price: Any, constants: Any, power: Any, joule_price: Any
) -> None:
    """Minimise cost of energy less value of bits over powers, user by user, for each slot; in place.

    Arrays are ``[horizon, users]``, ``seen [horizon, users, dimensions]``.
    """
    (horizon, users), dimensions = power.shape, seen.shape[2]
    for t in range(horizon):
        order = np.argsort(-value[t])
        for _ in range(SWEEPS):
            moved = 0.0
            for u in range(users):
                before = power[t, u]
                heard = np.zeros(users)  # h^H A_k^-1 h without this user, for the sets that hold it
                drop = np.zeros(users)
                gram = np.eye(dimensions).astype(np.complex128)
                inside = False
                for k in range(users):
                    i = order[k]
                    if i == u:
                        inside = True
                    else:
                        for a in range(dimensions):
                            for b in range(dimensions):
                                gram[a, b] += power[t, i] * seen[t, i, a] * seen[t, i, b].conjugate()
                    if inside:
                        after = value[t, order[k + 1]] if k + 1 < users else 0.0
                        drop[k] = value[t, i] - after
                        if drop[k] > 0.0:
                            solved = np.linalg.solve(gram, seen[t, u].copy())
                            heard[k] = np.sum(seen[t, u].conjugate() * solved).real
                joule_price[t, u], power[t, u] = _own_optimum(
                    value[t, u], drop, heard, green_j[t, u], green_price[t, u], grid_price[t, u], constants
                )
                moved = max(moved, abs(power[t, u] - before))
            if moved <= 1e-13 * constants[4]:
                break


@njit(cache=True)
def _own_optimum(
    value: float, drop: Any, heard: Any, green_j: float, green_price: float, grid_price: float, constants: Any
) -> tuple[float, float]:
    """Price of a joule and transmit power of one user; the price lies between those of green and grid energy."""
    slot_s = constants[2]
    local_w, offload_w = _powers_at(grid_price, value, drop, heard, constants)
    if slot_s * (local_w + offload_w) >= green_j:
        return grid_price, offload_w
    low, high = green_price, grid_price
    local_w, offload_w = _powers_at(low, value, drop, heard, constants)
    if slot_s * (local_w + offload_w) <= green_j:
        return low, offload_w
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        local_w, offload_w = _powers_at(middle, value, drop, heard, constants)
        if slot_s * (local_w + offload_w) >= green_j:
            low = middle
        else:
            high = middle
    return high, offload_w


@njit(cache=True)
def _powers_at(joule_price: float, value: float, drop: Any, heard: Any, constants: Any) -> tuple[float, float]:
    """Powers of CPU and transmitter at which a joule is worth its price."""
    root, nats, slot_s, local_max_w, offload_max_w = constants
    if joule_price <= 0.0:
        return local_max_w, offload_max_w
    local_w = min((value / joule_price / root) ** 1.5, local_max_w)
    wanted = joule_price * slot_s / nats
    if np.sum(drop * heard) <= wanted:
        return local_w, 0.0
    if np.sum(drop * heard / (1.0 + heard * offload_max_w)) >= wanted:
        return local_w, offload_max_w
    low, high = 0.0, offload_max_w
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if np.sum(drop * heard / (1.0 + heard * middle)) >= wanted:
            low = middle
        else:
            high = middle
    return local_w, 0.5 * (low + high)
