"""One buffer as a finite Markov decision process, solved by backward induction.

The state before a decision is the buffer ``B``, the link's gain ``g`` and the slot's green energy ``G``.

* Buffer nodes lie denser near 0, where the buffer mostly is. Between them values are linear; as they are convex, this
  overrates the cost.
* Given ``g``, the next gain is a scaled noncentral chi-square number: the sum of ``2 N`` squares of Gaussian numbers
  around what is left of the present ones. Gain nodes are even in amplitude, with a cubic spline between them.
* ``G`` and the arrivals are whole quanta: exact.
* An action is an *effort* (see `offloadopt.physics.device`): all mixes of bits and energy that are worth choosing.
  Where unused green energy costs, running idle on it belongs to every action.

Let ``W_t(r, g)`` be the expected cost from the end of slot t's service on, with ``r`` bits left before its arrivals::

    V_t(B, g, G) = min over actions of  energy cost + W_t(max(B - bits, 0), g)
    W_t(r, g)    = E[holding, overflow and final cost of B' = min(r + A, capacity)] + E[V_{t+1}(B', g', G')]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit

from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.device import Service
from offloadopt.structures.backlog import BacklogMDP, DiscreteDistribution

TAIL = 1e-5
"""Probability beyond either end of the gain's grid."""
FINER = 16
"""Steps between two gain nodes when means over the next gain are taken."""
STILL = 1e-8
"""Share of new fading in a slot below which a link counts as constant."""


@dataclass(frozen=True)
class Resolution:
    """How fine the grids are.

    Attributes
    ----------
    buffer_points, gain_points, actions : int
    unlimited_quanta : float
        Where the grid of an unlimited buffer ends, in quanta of arrivals; values go on beyond it in a straight line.
    """

    buffer_points: int
    gain_points: int
    actions: int
    unlimited_quanta: float


@dataclass(frozen=True)
class Plan:
    """Expected costs on the grids.

    Attributes
    ----------
    buffer_bits : array [buffers]
    gain_per_w : array [gains]
    after : array [horizon, gains, buffers]
        ``W_t(r, g)``, see above.
    start : array [buffers]
        Expected cost of the whole horizon before anything but the buffer is known.
    """

    buffer_bits: FloatArray
    gain_per_w: FloatArray
    after: FloatArray
    start: FloatArray

    def cost_after(self, slot: int, left_bits: FloatArray, gain_per_w: FloatArray) -> FloatArray:
        """``W_slot [..., actions]`` of bits left ``[..., actions]`` and gains ``[...]``, linear between nodes."""
        table = self.after[slot]
        cell, share = between(self.buffer_bits, left_bits)
        row, weight = between(self.gain_per_w, np.clip(gain_per_w, self.gain_per_w[0], self.gain_per_w[-1]))
        row, weight = row[..., None], weight[..., None]
        low = table[row, cell] * (1.0 - share) + table[row, cell + 1] * share
        high = table[row + 1, cell] * (1.0 - share) + table[row + 1, cell + 1] * share
        return np.asarray(low * (1.0 - weight) + high * weight)

    def expected_cost(self, start_bits: FloatArray) -> FloatArray:
        """Expected cost ``[...]`` of the horizon for buffers that hold ``start_bits [...]``."""
        cell, share = between(self.buffer_bits, start_bits)
        return np.asarray(self.start[cell] * (1.0 - share) + self.start[cell + 1] * share)


@lru_cache(maxsize=16)
def solve(law: BacklogMDP, resolution: Resolution) -> Plan:
    """Backward induction over the horizon; the same law and resolution are solved once."""
    buffer = buffer_nodes(law, resolution)
    share, weights, at_start = gain_chain(law, resolution.gain_points)
    gain = share * law.gain_per_w
    chances = np.asarray(law.green.probabilities)
    green = amounts(law.green)

    service = law.service(*np.broadcast_arrays(gain[:, None], green))
    each = service.take((..., None))  # with a third axis, for actions or buffers
    bits, cost = outcomes(each, efforts(service, resolution.actions))
    _, clear_cost = outcomes(each, each.effort_for_bits(buffer))

    waste = law.waste_price * float(chances @ green)  # the service's costs are relative to using no energy
    moves, charge, last_charge = _arrivals(law, buffer)
    after = np.empty((law.horizon, len(gain), len(buffer)))
    after[-1] = last_charge
    value = np.empty(after.shape[1:])
    for slot in reversed(range(law.horizon)):
        _choose(buffer, chances, bits, cost, clear_cost, after[slot], value)
        value += waste
        if slot > 0:
            after[slot - 1] = charge + weights @ value @ moves.T
    return Plan(buffer, gain, after, at_start @ value)


def buffer_nodes(law: BacklogMDP, resolution: Resolution) -> FloatArray:
    """[buffers] bits from 0 to the capacity; their spacing grows linearly."""
    end = law.capacity_bits if np.isfinite(law.capacity_bits) else resolution.unlimited_quanta * law.arrivals.unit
    return np.asarray(end * np.linspace(0.0, 1.0, resolution.buffer_points) ** 2)


def gain_chain(law: BacklogMDP, points: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The link's gain as a Markov chain.

    Returns
    -------
    share : array [gains]
        Gains relative to the mean gain of one antenna.
    weights : array [gains, gains]
        Of the next slot's gains, given this slot's.
    at_start : array [gains]
        Of the first slot's gains.
    """
    from scipy.interpolate import make_interp_spline  # half a second to import, like scipy.stats
    from scipy.stats import chi2

    freedom = 2 * law.antennas
    low, high = (float(np.sqrt(chi2.ppf(chance, freedom) / 2.0)) for chance in (TAIL, 1.0 - TAIL))
    amplitude = np.linspace(low, high, points)
    fine = np.linspace(low, high, FINER * (points - 1) + 1)
    spline = make_interp_spline(amplitude, np.eye(points))(fine)
    share, fresh = amplitude**2, 1.0 - law.correlation**2
    if fresh > STILL:
        weights = hat_weights(fine**2, fresh / 2.0, freedom, 2.0 * law.correlation**2 * share / fresh) @ spline
    else:
        weights = np.eye(points)
    return share, weights, hat_weights(fine**2, 0.5, freedom, np.zeros(1))[0] @ spline


def hat_weights(nodes: FloatArray, scale: float, freedom: int, noncentrality: FloatArray) -> FloatArray:
    """Weights ``[laws, nodes]`` that give the mean of any piecewise linear function of scaled noncentral chi-squares.

    The mean of a hat function is a second difference of ``E[(a - Y)^+] = a F_k(a) - k F_{k+2}(a) - l F_{k+4}(a)``, with
    ``F_k`` the distribution function at ``k`` degrees of freedom and noncentrality ``l``. Beyond its ends the function
    stays constant.
    """
    from scipy.stats import ncx2

    a, spread = nodes / scale, noncentrality[:, None]
    below = a * ncx2.cdf(a, freedom, spread) - freedom * ncx2.cdf(a, freedom + 2, spread)
    below -= spread * ncx2.cdf(a, freedom + 4, spread)
    slopes = np.clip(np.diff(below) / np.diff(a), 0.0, 1.0)
    # Rounding may bend the distribution function by its last digits.
    return np.diff(np.maximum.accumulate(slopes, axis=1), prepend=0.0, append=1.0)


def amounts(quanta: DiscreteDistribution) -> FloatArray:
    """The amounts whose chances a law states."""
    return np.asarray(quanta.unit * np.arange(len(quanta.probabilities)))


def between(nodes: FloatArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """The cell of a grid in which values lie, and how far along it; the last cells go on beyond the grid."""
    cell = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    return cell, (values - nodes[cell]) / (nodes[cell + 1] - nodes[cell])


def efforts(service: Service, actions: int) -> FloatArray:
    """[..., actions] efforts worth a trial, from the one that uses the green energy up: its bits cost nothing."""
    free = service.effort_for_energy(service.green_j)[..., None]
    return np.asarray(free + (service.full_effort[..., None] - free) * np.linspace(0.0, 1.0, actions) ** 3)


def outcomes(service: Service, effort: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bits and energy cost of efforts; what is left of the green energy is spent idle, which never costs more."""
    device = service.device
    local_w, offload_w = service.powers(effort)
    energy_j = service.energy_j(local_w, offload_w)
    most_j = device.slot_s * (device.local_max_w + device.offload_max_w)
    idle_j = np.maximum(np.minimum(service.green_j, most_j) - energy_j, 0.0)
    return service.bits(local_w, offload_w), service.energy_cost(energy_j + idle_j)


def _arrivals(law: BacklogMDP, buffer: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What arrivals do to bits left: weights ``[left, next buffer]``, cost ``[left]``, cost in the last slot."""
    chances = np.asarray(law.arrivals.probabilities)
    waiting = buffer[:, None] + amounts(law.arrivals)
    kept = np.minimum(waiting, law.capacity_bits)
    charge = (law.holding_price * kept + law.overflow_price * (waiting - kept)) @ chances
    cell, share = between(buffer, kept)
    moves = np.zeros((len(buffer), len(buffer)))
    rows = np.broadcast_to(np.arange(len(buffer))[:, None], cell.shape)
    np.add.at(moves, (rows, cell), (1.0 - share) * chances)
    np.add.at(moves, (rows, cell + 1), share * chances)
    return moves, charge, charge + law.final_price * (kept @ chances)


@njit(cache=True)
def _choose(buffer: Any, chances: Any, bits: Any, cost: Any, clear_cost: Any, after: Any, value: Any) -> None:
    """The best action in every state; ``value [gains, buffers]`` becomes its expected cost over the green energy.

    Bits grow with the action. Once they suffice to clear the buffer, clearing it exactly is the last candidate.
    """
    gains, buffers = value.shape
    actions = bits.shape[2]
    for row in range(gains):
        for b in range(buffers):
            total = 0.0
            for q in range(len(chances)):
                best, cell = np.inf, b - 1
                for a in range(actions):
                    left = buffer[b] - bits[row, q, a]
                    if left <= 0.0:
                        best = min(best, clear_cost[row, q, b] + after[row, 0])
                        break
                    while buffer[cell] > left:
                        cell -= 1
                    share = (left - buffer[cell]) / (buffer[cell + 1] - buffer[cell])
                    later = after[row, cell] + share * (after[row, cell + 1] - after[row, cell])
                    best = min(best, cost[row, q, a] + later)
                total += chances[q] * best
            value[row, b] = total
