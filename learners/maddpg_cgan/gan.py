"""Conditional generative adversarial networks and their losses.

Equation numbers are those of Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), section 5.1. D is the
discriminator's score, before any sigmoid:

* ``minimax`` (15): D minimises the cross-entropy of real and generated samples. The generator maximises ``log D`` of
  its samples instead of minimising ``log (1 - D)`` as printed, whose gradient vanishes where the discriminator is
  certain (Goodfellow et al. 2014, arXiv:1406.2661, section 3);
* ``wgan`` (16): ``E[D(x)] - E[D(x^)]``, with D's weights clipped (Arjovsky et al. 2017, arXiv:1701.07875);
* ``wgan-gp`` (17)-(18): ``rho_GP (||grad D|| - 1)^2`` instead of clipping. The gradient is taken between real and
  generated samples, ``e x + (1 - e) x^``, as the paper's text says and (18) does not (Gulrajani et al. 2017,
  arXiv:1704.00028);
* ``conditional-wgan-gp`` (19): the generator's loss has ``rho_CE`` times the mismatch of samples and conditions added.
  The sign of ``E[D]`` is minus, as (17) asks; it is printed without.

Both networks receive the condition under every loss. Real samples should have about unit standard deviation. The paper
states no weights of the terms.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from offloadopt.learners.common.checkpoint import Stateful
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.maddpg_cgan.stylegan import StyleDiscriminator, StyleGenerator, StyleSettings
from offloadopt.quantities import Factor, Rate, Rounds

Loss = Literal["minimax", "wgan", "wgan-gp", "conditional-wgan-gp"]
PENALISED: tuple[Loss, ...] = ("wgan-gp", "conditional-wgan-gp")
Consistency = Callable[[Tensor, Tensor], Tensor]
"""Loss ``[copies]`` of samples ``[copies, rows, *shape]`` given conditions ``[copies, rows, condition]``."""


class GanSettings(StyleSettings):
    """Sizes of the networks and settings of their training."""

    loss: Loss = Field("conditional-wgan-gp", description="of both networks")
    gradient_weight: Factor = Field(1.0, ge=0, description="rho_GP of (17)")
    penalty_share: float = Field(0.25, gt=0, le=1, description="share of the rows at which gradients are penalised")
    consistency_weight: Factor = Field(1.0, ge=0, description="rho_CE of (19)")
    clip: Factor = Field(0.05, gt=0, description="largest weight of a wgan's discriminator")
    critic_steps: Rounds = Field(1, ge=1, description="steps of the discriminator for each of the generator")
    generator_rate: Rate = Field(1e-3, gt=0, description="Adam's learning rate for the generator")
    critic_rate: Rate = Field(3e-3, gt=0, description="Adam's learning rate for the discriminator")
    momentum: float = Field(0.0, ge=0, lt=1, description="beta_1 of Adam; beta_2 is 0.9")
    average: float = Field(0.98, ge=0, lt=1, description="decay of the averaged weights that generate samples")


def gradient_penalty(score: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """Compute ``E[(||grad D||_2 - 1)^2]`` (18), ``[copies]``, at samples ``[copies, rows, ...]``."""
    samples = samples.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(score(samples).sum(), samples, create_graph=True)
    return (torch.linalg.vector_norm(gradient.flatten(2), dim=-1) - 1.0).square().mean(dim=1)


def discriminator_loss(loss: Loss, real: Tensor, made: Tensor) -> Tensor:
    """Loss of the discriminator without the penalty, ``[copies]``, for scores ``[copies, rows]``."""
    if loss == "minimax":
        return (nn.functional.softplus(-real) + nn.functional.softplus(made)).mean(dim=1)
    return (made - real).mean(dim=1)


def generator_loss(loss: Loss, made: Tensor) -> Tensor:
    """Loss of the generator without the consistency, ``[copies]``, for scores ``[copies, rows]``."""
    return (nn.functional.softplus(-made) if loss == "minimax" else -made).mean(dim=1)


class GanOptimizer(AdamOptimizer[nn.Module]):
    """Adam for stacked generators or discriminators at a constant learning rate."""

    def __init__(self, networks: nn.Module, rate: float, momentum: float) -> None:
        super().__init__(networks, rate, rate)
        self._parameters = list(networks.parameters())
        self._optimizer = torch.optim.Adam(self._parameters, lr=rate, betas=(momentum, 0.9), fused=True)

    def step(self, loss: Tensor) -> None:
        """Take a gradient step on each copy's loss ``[copies]``; no other network receives a gradient."""
        gradients = torch.autograd.grad(loss.sum(), self._parameters, materialize_grads=True)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient.contiguous()  # fused Adam reads memory in order, whatever the strides say
        self._optimizer.step()


class ConditionalGans(Stateful):
    """Stacked conditional GANs that share nothing.

    Parameters
    ----------
    settings : GanSettings
    copies : int
    shape : (features,) or (channels, height, width)
        Shape of a sample.
    condition : int
        Size of a condition.
    generator : torch.Generator
        Source of the initial weights.
    """

    state_fields = ("_steps", "_generators", "_discriminators", "averaged")

    def __init__(
        self,
        settings: GanSettings,
        copies: int,
        shape: Sequence[int],
        condition: int,
        generator: torch.Generator,
    ) -> None:
        self.settings = settings
        self.copies = copies
        self.generator = StyleGenerator(copies, shape, condition, settings)
        self.discriminator = StyleDiscriminator(copies, shape, condition, settings)
        self.generator.initialise(generator)
        self.discriminator.initialise(generator)
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        self._generators = GanOptimizer(self.generator, settings.generator_rate, settings.momentum)
        self._discriminators = GanOptimizer(self.discriminator, settings.critic_rate, settings.momentum)
        self._steps = 0

    @property
    def bytes(self) -> int:
        """Bytes of one copy's generator."""
        return sum(weight.numel() * weight.element_size() for weight in self.generator.parameters()) // self.copies

    def learn(
        self, real: Tensor, condition: Tensor, generator: torch.Generator, consistency: Consistency | None = None
    ) -> dict[str, Tensor]:
        """Take a gradient step of the discriminators, and in every ``critic_steps``-th call of the generators.

        Parameters
        ----------
        real : Tensor [copies, rows, *shape]
        condition : Tensor [copies, rows, condition]
        generator : torch.Generator
            Source of latents and of the points at which gradients are penalised.
        consistency : callable, optional
            Used under ``conditional-wgan-gp`` alone. The gradient passes through the samples.

        Returns
        -------
        dict of tensors [copies]
            ``discriminator``, ``distance`` (mean score of real minus that of generated samples), ``penalty`` where
            there is one, and ``generator`` and ``consistency`` when the generators took a step.
        """
        self._steps += 1
        generators_step = self._steps % self.settings.critic_steps == 0
        with torch.set_grad_enabled(generators_step):
            made = self.generator(self._latent(condition, generator), condition)
        found = self._discriminator_step(real, made.detach(), condition, generator)
        return found | self._generator_step(made, condition, consistency) if generators_step else found

    def _discriminator_step(
        self, real: Tensor, made: Tensor, condition: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        scores = self.discriminator(torch.cat([real, made], dim=1), torch.cat([condition, condition], dim=1))
        of_real, of_made = scores.chunk(2, dim=1)
        loss = discriminator_loss(self.settings.loss, of_real, of_made)
        found = {"distance": (of_real - of_made).detach().mean(dim=1)}
        if self.settings.loss in PENALISED:
            rows = math.ceil(self.settings.penalty_share * real.shape[1])
            share = torch.rand(len(real), rows, *(1,) * (real.dim() - 2), generator=generator)
            between = torch.lerp(made[:, :rows], real[:, :rows], share)
            penalty = gradient_penalty(lambda at: self.discriminator(at, condition[:, :rows]), between)
            loss = loss + self.settings.gradient_weight * penalty
            found["penalty"] = penalty.detach()
        self._discriminators.step(loss)
        if self.settings.loss == "wgan":
            with torch.no_grad():
                for weight in self.discriminator.parameters():
                    weight.clamp_(-self.settings.clip, self.settings.clip)
        return {"discriminator": loss.detach(), **found}

    def _generator_step(self, made: Tensor, condition: Tensor, consistency: Consistency | None) -> dict[str, Tensor]:
        loss = generator_loss(self.settings.loss, self.discriminator(made, condition))
        found: dict[str, Tensor] = {}
        if consistency is not None and self.settings.loss == "conditional-wgan-gp":
            unfit = consistency(made, condition)
            loss = loss + self.settings.consistency_weight * unfit
            found["consistency"] = unfit.detach()
        self._generators.step(loss)
        self._update_average()
        return {"generator": loss.detach(), **found}

    @torch.no_grad()
    def sample(self, condition: Tensor, generator: torch.Generator, networks: StyleGenerator | None = None) -> Tensor:
        """Sample ``[copies, rows, *shape]`` given conditions, by the averaged weights or by other networks."""
        return (networks or self.averaged)(self._latent(condition, generator), condition)

    @torch.no_grad()
    def _update_average(self) -> None:
        """Update the averaged weights, faster at first, so that the initial ones are forgotten within a few steps."""
        steps = self._steps // self.settings.critic_steps
        rate = 1.0 - min(self.settings.average, steps / (steps + 10.0))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.generator.parameters()), rate)

    def _latent(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(*condition.shape[:2], self.settings.latent, generator=generator)
