"""Stacked attention against torch's, and positions of a Transformer encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg_cgan.attention import Attention, TransformerEncoder

ROWS = 3


def drawn(module: nn.Module, seed: int) -> nn.Module:
    """The module with every weight drawn, also those that begin at zero."""
    generator = seeded_generator(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0.0, 0.4, generator=generator)
    return module


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded_generator(seed))


def test_attention_is_that_of_torch() -> None:
    found = drawn(Attention(1, 8, 2), 0)
    plain = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        plain.in_proj_weight.copy_(torch.cat([part.weight[0].T for part in (found.query, found.key, found.value)]))
        plain.in_proj_bias.copy_(torch.cat([part.bias[0, 0] for part in (found.query, found.key, found.value)]))
        plain.out_proj.weight.copy_(found.last.weight[0].T)
        plain.out_proj.bias.copy_(found.last.bias[0, 0])
    signal, others = normal(1, ROWS, 4, 8), normal(1, ROWS, 6, 8, seed=1)
    expected, _ = plain(signal[0], others[0], others[0])
    torch.testing.assert_close(found(signal, others)[0], expected)


def test_only_positions_tell_an_encoder_its_tokens_apart() -> None:
    encoder, signal, turned = (
        drawn(TransformerEncoder(1, 4, 8, 2, 2), 0),
        normal(1, ROWS, 4, 8),
        torch.tensor([2, 0, 3, 1]),
    )
    assert not torch.allclose(encoder(signal[:, :, turned]), encoder(signal)[:, :, turned], atol=1e-3)
    with torch.no_grad():
        encoder.position.zero_()
    torch.testing.assert_close(encoder(signal[:, :, turned]), encoder(signal)[:, :, turned])
