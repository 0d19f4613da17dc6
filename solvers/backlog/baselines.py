"""Baseline rules for buffers that are emptied by local computing and offloading.

The two greedy rules are the baselines of Chen and Wang (arXiv:1812.07394; `GD-Local` and `GD-Offload` in their code):
they serve the whole buffer in the slot, first by one of the two means up to its power limit, then by the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import Decisions, Observation
from offloadopt.physics.device import MIN_GAIN_PER_W
from offloadopt.solvers.base import Rule
from offloadopt.structures.backlog import BacklogProblem


class GreedyLocal(Rule):
    """Serve the whole buffer by local computing up to the CPU's limit, and offload the rest."""

    name = "greedy-local"
    serves = BacklogProblem

    def decide(self, problem: BacklogProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """CPU power ``kappa (b L / tau)^3`` and transmit power ``(2^(b / (tau W)) - 1) / g``, at most their limits."""
        service, buffer = problem.service(observation), problem.buffer_bits(observation)
        device, gain = service.device, service.gain_per_w
        local_w = np.minimum(device.local_power(buffer), device.local_max_w)
        rest = np.maximum(buffer - device.local_bits(local_w), 0.0)
        offload_w = np.minimum(device.offload_power(rest, gain), device.offload_max_w)
        return problem.serve(local_w, np.where(gain < MIN_GAIN_PER_W, 0.0, offload_w))


class GreedyOffload(Rule):
    """Offload the whole buffer up to the transmitter's limit, and compute the rest locally."""

    name = "greedy-offload"
    serves = BacklogProblem

    def decide(self, problem: BacklogProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """The same powers in the other order; nothing is sent over a missing link."""
        service, buffer = problem.service(observation), problem.buffer_bits(observation)
        device, gain = service.device, service.gain_per_w
        wanted_w = np.minimum(device.offload_power(buffer, gain), device.offload_max_w)
        offload_w = np.where(gain < MIN_GAIN_PER_W, 0.0, wanted_w)
        rest = np.maximum(buffer - device.offload_bits(gain * offload_w), 0.0)
        return problem.serve(np.minimum(device.local_power(rest), device.local_max_w), offload_w)


class FullPower(Rule):
    """Set both powers to their limits in every slot, also when the buffer is empty."""

    name = "full-power"
    serves = BacklogProblem

    def decide(self, problem: BacklogProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """Largest CPU and transmit power."""
        device, buffer = problem.service(observation).device, problem.buffer_bits(observation)
        return problem.serve(np.full(buffer.shape, device.local_max_w), np.full(buffer.shape, device.offload_max_w))
