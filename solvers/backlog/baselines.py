"""Rules of thumb for buffers that are emptied by CPU and over the air.

The greedy two are those that Chen and Wang compare with (arXiv:1812.07394; `GD-Local` and `GD-Offload` of their code):
clear the whole buffer at once, one way as far as it goes and the other way for the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import Decisions, Observation
from offloadopt.physics.device import WEAKEST
from offloadopt.solvers.base import Rule
from offloadopt.structures.backlog import BacklogProblem


class GreedyLocal(Rule):
    """Clears the buffer, by CPU as far as it goes; the rest over the air."""

    name = "greedy-local"
    serves = BacklogProblem

    def decide(self, problem: BacklogProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """CPU power ``kappa (b L / tau)^3``, transmit power ``(2^(b / (tau W)) - 1) / g``, cut at their limits."""
        service, buffer = problem.service(observation), problem.buffer_bits(observation)
        device, gain = service.device, service.gain_per_w
        local_w = np.minimum(device.local_power(buffer), device.local_max_w)
        rest = np.maximum(buffer - device.local_bits(local_w), 0.0)
        offload_w = np.minimum(device.offload_power(rest, gain), device.offload_max_w)
        return problem.serve(local_w, np.where(gain < WEAKEST, 0.0, offload_w))


class GreedyOffload(Rule):
    """Clears the buffer, over the air as far as it goes; the rest by CPU."""

    name = "greedy-offload"
    serves = BacklogProblem

    def decide(self, problem: BacklogProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """The same powers in the other order; a missing link stays silent."""
        service, buffer = problem.service(observation), problem.buffer_bits(observation)
        device, gain = service.device, service.gain_per_w
        wanted_w = np.minimum(device.offload_power(buffer, gain), device.offload_max_w)
        offload_w = np.where(gain < WEAKEST, 0.0, wanted_w)
        rest = np.maximum(buffer - device.offload_bits(gain * offload_w), 0.0)
        return problem.serve(np.minimum(device.local_power(rest), device.local_max_w), offload_w)


class FullPower(Rule):
    """Both powers at their limits in every slot, bits or no bits."""

    name = "full-power"
    serves = BacklogProblem

    def decide(self, problem: BacklogProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """The limits."""
        device, buffer = problem.service(observation).device, problem.buffer_bits(observation)
        return problem.serve(np.full(buffer.shape, device.local_max_w), np.full(buffer.shape, device.offload_max_w))
