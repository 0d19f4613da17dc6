"""Stacked networks: gated recurrent units against torch's."""

from __future__ import annotations

import torch

from offloadopt.learners.common.networks import StackedGRU
from offloadopt.learners.common.torch_utils import seeded_generator


def test_recurrent_units_are_those_of_torch() -> None:
    layer = StackedGRU(1, 4, 6)
    layer.initialise(seeded_generator(0))
    reference = torch.nn.GRU(4, 6)
    with torch.no_grad():
        for ours, theirs in ((layer.input_gates, "ih"), (layer.memory_gates, "hh")):
            ours.bias.normal_(generator=seeded_generator(1))
            getattr(reference, f"weight_{theirs}_l0").copy_(ours.weight[0].T)
            getattr(reference, f"bias_{theirs}_l0").copy_(ours.bias[0, 0])
        signal = torch.randn(1, 5, 3, 4, generator=seeded_generator(2))
        found, memory = layer(signal, None)
        expected, last = reference(signal[0])
    torch.testing.assert_close(found[0], expected)
    torch.testing.assert_close(memory[0], last)
