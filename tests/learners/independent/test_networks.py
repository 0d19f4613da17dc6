"""Stacked perceptrons: standardisation, copies, batch normalisation and target updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.independent.networks import AgentNetworks


def relu_network(layers: list[tuple[np.ndarray, np.ndarray]], signal: np.ndarray) -> np.ndarray:
    for matrix, bias in layers[:-1]:
        signal = np.maximum(signal @ matrix + bias, 0.0)
    return np.asarray(signal @ layers[-1][0] + layers[-1][1])


def layers_of(networks: AgentNetworks, copy: int) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = zip(networks.weights, networks.biases, strict=True)
    return [(weight[copy].detach().double().numpy(), bias[copy].detach().double().numpy()) for weight, bias in pairs]


def test_a_feature_that_hardly_varies_is_not_blown_up() -> None:
    networks = AgentNetworks(1, 3, (4,), 1)
    constant, seldom = np.full(100, 0.3), np.where(np.arange(100) < 10, 0.0, 1.0)
    networks.standardise(np.stack([constant, seldom, np.arange(100.0)], axis=-1)[:, None])
    center, scale = networks.center[0].tolist(), networks.scale[0].tolist()
    assert center == pytest.approx([0.3, 1.0, 49.5])
    assert scale == pytest.approx([1.0, 0.3, 49.5 / 1.349])


@pytest.mark.parametrize("copies", [1, 3])
def test_each_agent_is_answered_by_its_own_copy(copies: int) -> None:
    networks = AgentNetworks(copies, 2, (5, 4), 3, second_input=2, compress=True)
    networks.initialise(seeded_generator(0))
    rng = np.random.default_rng(0)
    view, joined = rng.random((6, 3, 2)), rng.random((6, 3, 2))
    networks.standardise(view)
    with torch.no_grad():
        outputs = networks(torch.from_numpy(view).float(), torch.from_numpy(joined).float()).numpy()
    for agent in range(3):
        copy = 0 if copies == 1 else agent
        first, *later = layers_of(networks, copy)
        seen = view.reshape(-1, 2) if copies == 1 else view[:, agent]
        low, middle, high = np.percentile(seen, (25, 50, 75), axis=0)
        standard = 1.349 * (view[:, agent] - middle) / (high - low)
        standard = np.sign(standard) * np.log(1.0 + np.abs(standard))
        signal = np.maximum(standard @ first[0] + first[1], 0.0)
        expected = relu_network(later, np.concatenate([signal, joined[:, agent]], axis=-1))
        np.testing.assert_allclose(outputs[:, agent], expected, rtol=1e-4, atol=1e-6)


def test_batch_normalisation_is_that_of_torch_for_each_copy() -> None:
    networks = AgentNetworks(2, 3, (4,), 1, batch_norm=True)
    networks.initialise(seeded_generator(0))
    view = torch.randn((50, 2, 3), generator=seeded_generator(1))
    networks.train()
    outputs = networks(view)
    for agent in range(2):
        (weight, last), (bias, last_bias) = networks.weights, networks.biases
        signal = view[:, agent] @ weight[agent] + bias[agent]
        reference = torch.nn.BatchNorm1d(4)(signal).relu() @ last[agent] + last_bias[agent]
        torch.testing.assert_close(outputs[:, agent], reference)
    for _ in range(1500):
        networks(view)
    networks.eval()
    torch.testing.assert_close(networks(view), outputs, rtol=1e-3, atol=1e-5)
