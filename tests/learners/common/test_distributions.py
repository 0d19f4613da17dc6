"""Action distributions: densities and probabilities sum to one, decisions stay within their limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import distributions

from offloadopt.core import ArrayField
from offloadopt.errors import Unsupported
from offloadopt.learners.common.distributions import Categorical, Heads, SquashedGaussian, mask_outputs
from offloadopt.learners.common.torch_utils import seeded_generator

LEVEL = ArrayField((3,), low=2.0, high=6.0)
PAIR = ArrayField((3, 2), low=-1.0, high=0.5)
MODE = ArrayField((3, 2), low=1, high=3, integer=True)


def test_the_density_of_a_squashed_number_integrates_to_one_over_its_limits() -> None:
    head = SquashedGaussian({"level": LEVEL})
    for mean, deviation in ((0.0, 0.5), (1.5, 1.0), (-0.7, 0.2)):
        level = np.linspace(2.0, 6.0, 200_001)[1:-1]
        u = torch.from_numpy(np.arctanh((level - 4.0) / 2.0).astype(np.float32))[:, None]
        spread = torch.full((1, 1), deviation).log()
        density = head.log_probability(torch.full_like(u, mean), spread, u).exp().numpy()
        assert np.trapezoid(density, level) == pytest.approx(1.0, abs=1e-3)


def test_log_probability_is_that_of_a_transformed_distribution_of_torch() -> None:
    head = SquashedGaussian({"level": LEVEL, "pair": PAIR})
    generator = seeded_generator(1)
    mean = torch.randn(50, 3, generator=generator)
    deviation, mixing = (
        torch.tensor([0.6, 1.0, 1.3]),
        torch.tensor([[1.0, 0.0, 0.0], [0.7, 1.0, 0.0], [-0.4, 0.9, 1.0]]),
    )
    spread = torch.cat([deviation.log(), mixing[[1, 2, 2], [0, 0, 1]]])[None]
    u = head.sample(mean, spread, generator)
    low, high = torch.tensor([2.0, -1.0, -1.0]), torch.tensor([6.0, 0.5, 0.5])
    squash = [distributions.TanhTransform(), distributions.AffineTransform((low + high) / 2, (high - low) / 2)]
    factor = torch.linalg.inv(mixing) @ torch.diag(deviation)
    gaussian = distributions.MultivariateNormal(mean, scale_tril=factor)
    reference = distributions.TransformedDistribution(gaussian, squash)
    decided = head.decode_entries(u.numpy())
    assert ((decided >= low.numpy()) & (decided <= high.numpy())).all()
    expected = reference.log_prob(torch.from_numpy(decided).float())
    torch.testing.assert_close(head.log_probability(mean, spread, u), expected, rtol=1e-3, atol=1e-3)


def test_samples_have_the_covariance_of_their_density() -> None:
    head = SquashedGaussian({"level": LEVEL, "pair": PAIR})
    spread = torch.tensor([[-0.5, 0.0, 0.3, 0.7, -0.4, 0.9], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])  # of two agents
    u = head.sample(torch.zeros(200_000, 2, 3), spread, seeded_generator(1)).double().numpy()
    mixing = np.array([[1.0, 0.0, 0.0], [0.7, 1.0, 0.0], [-0.4, 0.9, 1.0]])
    apart = np.diag(np.exp([-1.0, 0.0, 0.6]))
    expected = np.linalg.inv(mixing) @ apart @ np.linalg.inv(mixing).T
    np.testing.assert_allclose(np.cov(u[:, 0].T), expected, atol=0.03)
    np.testing.assert_allclose(np.cov(u[:, 1].T), np.eye(3), atol=0.02)


def test_log_probability_stays_finite_far_out() -> None:
    head = SquashedGaussian({"level": LEVEL})
    u = torch.tensor([[60.0], [-60.0]])
    assert head.log_probability(u, torch.zeros(1, 1), u).isfinite().all()
    np.testing.assert_array_equal(head.decode_entries(u.numpy())[:, 0], [6.0, 2.0])


def test_entropy_estimates_average_minus_the_log_probability() -> None:
    heads = Heads({"level": LEVEL, "mode": MODE}, agents=3)
    outputs, spread = torch.tensor([0.4, 1.0, 0.0, -1.0, 0.5, 0.0, 2.0]).expand(200_000, 7), torch.tensor([[-0.2]])
    actions = heads.sample(outputs, spread, seeded_generator(2))
    expected = -heads.log_probability(outputs, spread, actions).mean()
    assert heads.entropy(outputs, spread, seeded_generator(3)).mean() == pytest.approx(float(expected), abs=0.01)


def test_options_are_drawn_as_often_as_their_probability_says() -> None:
    head = Categorical("mode", MODE)
    logits = torch.tensor([1.0, 0.0, -1.0, 0.0, 0.0, 3.0])
    actions = head.sample(logits.expand(100_000, 6), torch.zeros(1, 0), seeded_generator(4))
    for entry in (0, 1):
        share = np.bincount(actions[:, entry].long().numpy(), minlength=3) / 100_000
        np.testing.assert_allclose(share, logits[3 * entry : 3 * entry + 3].softmax(dim=0).numpy(), atol=0.006)
    reference = distributions.Categorical(logits=logits.view(2, 3)).log_prob(actions[:9]).sum(dim=-1)
    torch.testing.assert_close(head.log_probability(logits.expand(9, 6), torch.zeros(1, 0), actions[:9]), reference)


def test_mixed_fields_are_decided_by_name_and_shape() -> None:
    heads = Heads({"mode": MODE, "level": LEVEL, "pair": PAIR}, agents=3)
    assert (heads.outputs, heads.spreads) == (6 + 1 + 2, 3 + 3)
    actions = heads.sample(torch.zeros(5, 3, 9), torch.zeros(1, 6), seeded_generator(0))
    decided = heads.decode(actions)
    for name, field in {"mode": MODE, "level": LEVEL, "pair": PAIR}.items():
        np.testing.assert_array_equal(field.check(name, decided[name], 1), decided[name])
    u, options = actions[..., :3].numpy(), actions[..., 3:].numpy()  # numbers first, then choices
    np.testing.assert_allclose(decided["level"], 4.0 + 2.0 * np.tanh(u[..., 0]), rtol=1e-6)
    np.testing.assert_allclose(decided["pair"], -0.25 + 0.75 * np.tanh(u[..., 1:]), rtol=1e-5)
    np.testing.assert_array_equal(decided["mode"], options + 1)


def test_options_that_are_not_allowed_have_no_chance_and_do_no_harm() -> None:
    heads = Heads({"level": LEVEL, "mode": MODE}, agents=3)
    open_options = np.broadcast_to([[True, False, True], [False, False, True]], (1, 3, 2, 3))
    allowed = heads.allowed({"mode": open_options})
    assert allowed is not None
    outputs = torch.tensor([0.4, 1.0, 9.0, -1.0, 0.5, 0.0, 2.0], requires_grad=True)
    restricted = mask_outputs(outputs.expand(20_000, 3, 7), allowed)
    actions = heads.sample(restricted, torch.zeros(1, 1), seeded_generator(0))
    assert set(actions[..., 1].unique().tolist()) == {0.0, 2.0}
    assert set(actions[..., 2].unique().tolist()) == {2.0}
    free = Heads({"level": LEVEL}, agents=3).log_probability(outputs[:1], torch.zeros(1, 1), actions[..., :1])
    left = torch.stack([outputs[1], outputs[3]]).log_softmax(dim=0)[(actions[..., 1] / 2).long()]
    torch.testing.assert_close(heads.log_probability(restricted, torch.zeros(1, 1), actions), free + left)
    heads.entropy(restricted, torch.zeros(1, 1), seeded_generator(1)).sum().backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()


def test_without_names_everything_is_allowed() -> None:
    heads = Heads({"level": LEVEL, "mode": MODE}, agents=3)
    assert heads.allowed({}) is None
    outputs = torch.zeros(2, 3, 7)
    assert mask_outputs(outputs, None) is outputs


def test_numbers_explored_apart_have_no_mixing() -> None:
    apart = Heads({"level": LEVEL, "pair": PAIR}, agents=3, correlated=False)
    assert apart.spreads == 3
    u = apart.sample(torch.zeros(100_000, 3, 3), torch.zeros(1, 3), seeded_generator(0)).flatten(0, 1)
    np.testing.assert_allclose(np.corrcoef(u.numpy().T), np.eye(3), atol=0.01)


@pytest.mark.parametrize(
    "field", [ArrayField((2,), low=0.0, high=1.0), ArrayField((3,), low=0.0), ArrayField((3,), low=1.0, high=1.0)]
)
def test_decisions_that_are_not_bounded_rows_of_agents_are_refused(field: ArrayField) -> None:
    with pytest.raises(Unsupported, match="decision 'odd'"):
        Heads({"odd": field}, agents=3)
