"""Backward induction for one buffer as a finite-horizon Markov decision process.

The state before a decision is the buffer ``B``, the link's gain ``g`` and the slot's green energy ``G``.

* Buffer nodes are denser near 0, where the buffer mostly is. Values are interpolated linearly; as they are convex,
  this overestimates the cost.
* Given ``g``, the next gain is a scaled noncentral chi-square variable: the sum of squares of ``2 N`` Gaussian
  variables around the correlated part of the present amplitudes. Gain nodes are equidistant in amplitude, with a cubic
  spline between them.
* ``G`` and the arrivals are discrete (whole quanta) and exact.
* An action is an *effort* (see `offloadopt.physics.device`), which parametrises all efficient combinations of bits and
  energy. Where unused green energy costs, every action spends it idle.

Let the post-decision value ``W_t(r, g)`` be the expected cost from the end of slot t's service on, with ``r`` bits left
before its arrivals::

    V_t(B, g, G) = min over actions of  energy cost + W_t(max(B - bits, 0), g)
    W_t(r, g)    = E[holding, overflow and final cost of B' = min(r + A, capacity)] + E[V_{t+1}(B', g', G')]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.physics.device import Service
from offloadopt.structures.backlog import BacklogMDP, DiscreteDistribution

TAIL_PROBABILITY = 1e-5
"""Probability of gains beyond either end of the grid."""
REFINEMENT = 16
"""Integration steps between two gain nodes for expectations over the next gain."""
LEAST_INNOVATION = 1e-8
"""Variance of a slot's innovation of the fading below which a link counts as constant."""


@dataclass(frozen=True)
class Resolution:
    """Resolution of the grids.

    Attributes
    ----------
    buffer_points, gain_points, actions : int
    unlimited_quanta : float
        End of an unlimited buffer's grid, in quanta of arrivals; values are extrapolated linearly beyond it.
    """

    buffer_points: int
    gain_points: int
    actions: int
    unlimited_quanta: float


@dataclass(frozen=True)
class CostToGo:
    """Expected cost to go on the grids.

    Attributes
    ----------
    buffer_bits : array [buffers]
    gain_per_w : array [gains]
    post_decision : array [horizon, gains, buffers]
        ``W_t(r, g)``, see above.
    initial : array [buffers]
        Expected cost of the whole horizon when only the buffer is known.
    """

    buffer_bits: FloatArray
    gain_per_w: FloatArray
    post_decision: FloatArray
    initial: FloatArray

    def post_decision_cost(self, slot: int, left_bits: FloatArray, gain_per_w: FloatArray) -> FloatArray:
        """Interpolate ``W_slot [..., actions]`` at bits left ``[..., actions]`` and gains ``[...]``."""
        table = self.post_decision[slot]
        cell, fraction = grid_position(self.buffer_bits, left_bits)
        row, weight = grid_position(self.gain_per_w, np.clip(gain_per_w, self.gain_per_w[0], self.gain_per_w[-1]))
        row, weight = row[..., None], weight[..., None]
        low = table[row, cell] * (1.0 - fraction) + table[row, cell + 1] * fraction
        high = table[row + 1, cell] * (1.0 - fraction) + table[row + 1, cell + 1] * fraction
        return np.asarray(low * (1.0 - weight) + high * weight)

    def expected_cost(self, start_bits: FloatArray) -> FloatArray:
        """Expected cost ``[...]`` of the horizon from initial buffers ``start_bits [...]``."""
        cell, fraction = grid_position(self.buffer_bits, start_bits)
        return np.asarray(self.initial[cell] * (1.0 - fraction) + self.initial[cell + 1] * fraction)


@lru_cache(maxsize=16)
def solve_mdp(mdp: BacklogMDP, resolution: Resolution) -> CostToGo:
    """Solve the MDP by backward induction over the horizon; cached by MDP and resolution."""
    buffer = buffer_nodes(mdp, resolution)
    relative_gain, weights, initial_weights = gain_chain(mdp, resolution.gain_points)
    gain = relative_gain * mdp.gain_per_w
    probabilities = np.asarray(mdp.green.probabilities)
    green = support(mdp.green)

    service = mdp.service(*np.broadcast_arrays(gain[:, None], green))
    stacked = service.take((..., None))  # with a third axis, for actions or buffers
    bits, cost = bits_and_cost(stacked, candidate_efforts(service, resolution.actions))
    _, clear_cost = bits_and_cost(stacked, stacked.effort_for_bits(buffer))

    waste_cost = mdp.waste_price * float(probabilities @ green)  # service costs are relative to using no energy
    transition, arrival_cost, last_arrival_cost = _arrival_transitions(mdp, buffer)
    post_decision = np.empty((mdp.horizon, len(gain), len(buffer)))
    post_decision[-1] = last_arrival_cost
    value = np.empty(post_decision.shape[1:])
    for slot in reversed(range(mdp.horizon)):
        _bellman_update(buffer, probabilities, bits, cost, clear_cost, post_decision[slot], value)
        value += waste_cost
        if slot > 0:
            post_decision[slot - 1] = arrival_cost + weights @ value @ transition.T
    return CostToGo(buffer, gain, post_decision, initial_weights @ value)


def buffer_nodes(mdp: BacklogMDP, resolution: Resolution) -> FloatArray:
    """[buffers] grid of bits from 0 to the capacity, whose spacing grows linearly."""
    end = mdp.capacity_bits if np.isfinite(mdp.capacity_bits) else resolution.unlimited_quanta * mdp.arrivals.unit
    return np.asarray(end * np.linspace(0.0, 1.0, resolution.buffer_points) ** 2)


def gain_chain(mdp: BacklogMDP, points: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Discretise the link's gain as a Markov chain.

    Returns
    -------
    relative_gain : array [gains]
        Gains relative to the mean gain of one antenna.
    weights : array [gains, gains]
        Weights of the next slot's gains, given this slot's.
    initial_weights : array [gains]
        Weights of the first slot's gains.
    """
    from scipy.interpolate import make_interp_spline  # imported late: half a second, like scipy.stats
    from scipy.stats import chi2

    freedom = 2 * mdp.antennas
    low, high = (
        float(np.sqrt(chi2.ppf(probability, freedom) / 2.0))
        for probability in (TAIL_PROBABILITY, 1.0 - TAIL_PROBABILITY)
    )
    amplitude = np.linspace(low, high, points)
    fine = np.linspace(low, high, REFINEMENT * (points - 1) + 1)
    spline = make_interp_spline(amplitude, np.eye(points))(fine)
    relative_gain, innovation = amplitude**2, 1.0 - mdp.correlation**2
    if innovation > LEAST_INNOVATION:
        weights = (
            hat_weights(fine**2, innovation / 2.0, freedom, 2.0 * mdp.correlation**2 * relative_gain / innovation)
            @ spline
        )
    else:
        weights = np.eye(points)
    return relative_gain, weights, hat_weights(fine**2, 0.5, freedom, np.zeros(1))[0] @ spline


def hat_weights(nodes: FloatArray, scale: float, freedom: int, noncentrality: FloatArray) -> FloatArray:
    """Weights ``[laws, nodes]`` for the mean of a piecewise linear function of scaled noncentral chi-square variables.

    The mean of a hat function (1 at one node, 0 at the others) is a second difference of
    ``E[(a - Y)^+] = a F_k(a) - k F_{k+2}(a) - l F_{k+4}(a)``, with ``F_k`` the distribution function at ``k`` degrees
    of freedom and noncentrality ``l``. Beyond the outer nodes the function is constant.
    """
    from scipy.stats import ncx2

    a, noncentral = nodes / scale, noncentrality[:, None]
    expected_excess = a * ncx2.cdf(a, freedom, noncentral) - freedom * ncx2.cdf(a, freedom + 2, noncentral)
    expected_excess -= noncentral * ncx2.cdf(a, freedom + 4, noncentral)
    slopes = np.clip(np.diff(expected_excess) / np.diff(a), 0.0, 1.0)
    # Rounding in the last digits can violate monotonicity of the slopes.
    return np.diff(np.maximum.accumulate(slopes, axis=1), prepend=0.0, append=1.0)


def support(distribution: DiscreteDistribution) -> FloatArray:
    """Amounts that a distribution gives probabilities to, in its unit's dimension."""
    return np.asarray(distribution.unit * np.arange(len(distribution.probabilities)))


def grid_position(nodes: FloatArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Cells of a grid in which values lie, and their fractions along it; the outer cells extend beyond the grid."""
    cell = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    return cell, (values - nodes[cell]) / (nodes[cell + 1] - nodes[cell])


def candidate_efforts(service: Service, actions: int) -> FloatArray:
    """[..., actions] candidate efforts, from the one that uses up the green energy (its bits cost nothing) upwards."""
    green_effort = service.effort_for_energy(service.green_j)[..., None]
    return np.asarray(
        green_effort + (service.full_effort[..., None] - green_effort) * np.linspace(0.0, 1.0, actions) ** 3
    )


def bits_and_cost(service: Service, effort: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bits and energy cost of efforts; green energy that is left over is spent idle, which never costs more."""
    device = service.device
    local_w, offload_w = service.powers(effort)
    energy_j = service.energy_j(local_w, offload_w)
    most_j = device.slot_s * (device.local_max_w + device.offload_max_w)
    idle_j = np.maximum(np.minimum(service.green_j, most_j) - energy_j, 0.0)
    return service.bits(local_w, offload_w), service.energy_cost(energy_j + idle_j)


def _arrival_transitions(mdp: BacklogMDP, buffer: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Arrivals after service: transition weights ``[left, next buffer]``, cost ``[left]``, cost in the last slot."""
    probabilities = np.asarray(mdp.arrivals.probabilities)
    waiting = buffer[:, None] + support(mdp.arrivals)
    next_bits = np.minimum(waiting, mdp.capacity_bits)
    arrival_cost = (mdp.holding_price * next_bits + mdp.overflow_price * (waiting - next_bits)) @ probabilities
    cell, fraction = grid_position(buffer, next_bits)
    transition = np.zeros((len(buffer), len(buffer)))
    rows = np.broadcast_to(np.arange(len(buffer))[:, None], cell.shape)
    np.add.at(transition, (rows, cell), (1.0 - fraction) * probabilities)
    np.add.at(transition, (rows, cell + 1), fraction * probabilities)
    return transition, arrival_cost, arrival_cost + mdp.final_price * (next_bits @ probabilities)


@njit(cache=True)
def _bellman_update(
    buffer: Any, probabilities: Any, bits: Any, cost: Any, clear_cost: Any, post_decision: Any, value: Any
) -> None:
    """Minimise over actions in every state; writes the mean over the green energy to ``value [gains, buffers]``.

    Bits grow with the action. The first action that would clear the buffer is replaced by clearing it exactly.
    """
    gains, buffers = value.shape
    actions = bits.shape[2]
    for row in range(gains):
        for b in range(buffers):
            total = 0.0
            for q in range(len(probabilities)):
                best, cell = np.inf, b - 1
                for a in range(actions):
                    left = buffer[b] - bits[row, q, a]
                    if left <= 0.0:
                        best = min(best, clear_cost[row, q, b] + post_decision[row, 0])
                        break
                    while buffer[cell] > left:
                        cell -= 1
                    fraction = (left - buffer[cell]) / (buffer[cell + 1] - buffer[cell])
                    future_cost = post_decision[row, cell] + fraction * (
                        post_decision[row, cell + 1] - post_decision[row, cell]
                    )
                    best = min(best, cost[row, q, a] + future_cost)
                total += probabilities[q] * best
            value[row, b] = total
