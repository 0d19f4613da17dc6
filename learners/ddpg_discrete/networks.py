"""Central networks that decide for all agents: one perceptron of the whole state, or one shared by the agents."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from offloadopt.learners.independent.ddpg import presigmoid_factor
from offloadopt.learners.independent.networks import LAST_INIT

FEW = 2.0
"""Divisor of sums over agents with the same choice: about their usual number."""
MOST_LOGIT = 5.0
"""Limit of an option's logit: the actor's gradient vanishes there."""


class CentralNetwork(nn.Module):
    """From states ``[rows, agents, own + common features]`` (and actions) to outputs ``[rows, agents or 1, numbers]``.

    Every agent's row of the state ends with the common features, the same for all.

    Parameters
    ----------
    features : int
        Of an agent's row.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def standardise(self, states: Tensor) -> None:
        """Standardise features by their mean and deviation in states ``[rows, agents, features]``.

        Otherwise features that all agents share, which only shift the hidden layers, dominate those that differ.
        """
        rows = states.reshape(-1, states.shape[-1]).double()
        mean, spread = rows.mean(dim=0), rows.std(dim=0, correction=0)
        # A feature that varies by less than single precision resolves counts as constant.
        constant = spread <= 1e-6 * (1.0 + mean.abs())
        self.center.copy_(mean)
        self.scale.copy_(torch.where(constant, torch.ones_like(spread), spread))

    def standard(self, state: Tensor) -> Tensor:
        """Standardised state; unchanged unless `standardise` was called."""
        return (state - self.center) / self.scale

    def initialise(self, generator: torch.Generator) -> None:
        """Draw parameters within 1/sqrt(inputs), those of the last layer within 3e-3 (Lillicrap et al. 2016)."""
        layers = [part for part in self.modules() if isinstance(part, nn.Linear)]
        with torch.no_grad():
            for layer in layers:
                limit = LAST_INIT if layer is layers[-1] else layer.in_features**-0.5
                layer.weight.uniform_(-limit, limit, generator=generator)
                layer.bias.uniform_(-limit, limit, generator=generator)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All parameters by name."""
        return {name: value.numpy().copy() for name, value in self.state_dict().items()}


class JointNetwork(CentralNetwork):
    """The paper's network: one perceptron with ReLU6 of all numbers of a state, and for a critic of the actions.

    Parameters
    ----------
    agents, own, common : int
        Agents, and features of each and of all.
    action_features : int
        Numbers of an agent's action, 0 for an actor.
    hidden : sequence of int
    outputs : int
        Numbers of each agent; 0 for a single number for all, a critic's.
    """

    def __init__(
        self, agents: int, own: int, common: int, action_features: int, hidden: Sequence[int], outputs: int
    ) -> None:
        super().__init__(own + common)
        self._own, self._outputs = own, outputs
        sizes = [agents * (own + action_features) + common, *hidden, agents * outputs or 1]
        self.layers = nn.ModuleList(nn.Linear(*size) for size in itertools.pairwise(sizes))

    def forward(self, state: Tensor, action: Tensor | None = None) -> Tensor:
        """The last layer's outputs."""
        state = self.standard(state)
        parts = [state[..., : self._own].flatten(1), state[:, 0, self._own :]]
        signal = torch.cat(parts if action is None else [*parts, action.flatten(1)], dim=-1)
        for layer in self.layers[:-1]:
            signal = functional.relu6(layer(signal))
        signal = self.layers[-1](signal)
        return signal.reshape(len(signal), -1, self._outputs or 1)


class SharedNetwork(CentralNetwork):
    """One network for every agent, whatever their number and order: its hidden features are pooled over all agents.

    A critic also pools over the agents with the same choice.

    Parameters
    ----------
    features : int
        Of an agent's row of the state.
    action_features : int
        Numbers of an agent's action in a critic's input, 0 for an actor.
    choices : sequence of slice
        Where in a critic's action the options of each choice stand; none for an actor.
    hidden : sequence of int
        Widths before the pooling and after it: as many layers there as here.
    outputs : int
        Numbers for each agent.
    """

    def __init__(
        self, features: int, action_features: int, choices: Sequence[slice], hidden: Sequence[int], outputs: int
    ) -> None:
        super().__init__(features)
        self._choices = list(choices)
        self.before = nn.ModuleList(
            nn.Linear(*size) for size in itertools.pairwise([features + action_features, *hidden])
        )
        then = [(2 + len(self._choices)) * hidden[-1], *hidden, outputs]
        self.after = nn.ModuleList(nn.Linear(*size) for size in itertools.pairwise(then))

    def forward(self, state: Tensor, action: Tensor | None = None) -> Tensor:
        """The last layer's outputs ``[rows, agents, outputs]``."""
        state = self.standard(state)
        signal = state if action is None else torch.cat([state, action], dim=-1)
        for layer in self.before:
            signal = torch.relu(layer(signal))
        pools = [signal.mean(dim=1, keepdim=True).expand_as(signal)]
        if action is not None:
            for options in self._choices:
                chosen = action[..., options]
                pools.append(chosen @ (chosen.transpose(1, 2) @ signal) / FEW)
        signal = torch.cat([signal, *pools], dim=-1)
        for layer in self.after[:-1]:
            signal = torch.relu(layer(signal))
        outputs: Tensor = self.after[-1](signal)
        return outputs


class SigmoidHead:
    """Sigmoid outputs: one share in [0, 1] for each number of an action, as the paper's actor has.

    A critic's input is the same shares.

    Parameters
    ----------
    numbers : int
        Of an agent's action.
    """

    def __init__(self, numbers: int) -> None:
        self.outputs = self.critic_features = numbers

    def shares(self, signal: Tensor) -> NDArray[Any]:
        """[..., numbers] Shares of outputs ``[..., outputs]``."""
        return torch.sigmoid(signal).double().numpy()

    def explore(self, signal: Tensor, sigma: float, rng: np.random.Generator) -> NDArray[Any]:
        """The same with Gaussian noise, cut off at 0 and 1: equation (25)."""
        shares = self.shares(signal)
        return np.clip(shares + sigma * rng.standard_normal(shares.shape), 0.0, 1.0)

    def critic_input(self, shares: Tensor) -> Tensor:
        """Inputs of a critic for shares ``[..., numbers]``."""
        return shares

    def actor_objective(
        self, signal: Tensor, critic: CentralNetwork, state: Tensor, inverting: bool, rng: np.random.Generator
    ) -> Tensor:
        """[rows] Objective whose gradient ascends the critic's value, equation (22); draws no random number."""
        shares = torch.sigmoid(signal).detach().requires_grad_()
        (slope,) = torch.autograd.grad(critic(state, shares).sum(), shares)
        return (signal * slope * presigmoid_factor(shares.detach(), slope, inverting)).sum(dim=(-1, -2))

    def imitation_loss(self, signal: Tensor, aim: Tensor) -> Tensor:
        """Mean squared distance of shares from the targets ``aim``; NaN there does not count."""
        known = ~aim.isnan()
        return (torch.sigmoid(signal)[known] - aim[known]).square().mean()


class LogitHead:
    """Sigmoid and logit outputs: a share in [0, 1] for each quantity, one logit for each option of a choice.

    A critic's input is a quantity's nearness to each of its levels, and a choice's one-hot vector. So a choice can
    change from any option to any other, whatever their order.

    Parameters
    ----------
    levels : int
        Of a quantity in a critic's input.
    choices : sequence of int or None
        For each number of an action how many options it chooses from; ``None`` for a quantity.
    """

    def __init__(self, levels: int, choices: Sequence[int | None]) -> None:
        self._numbers = len(choices)
        self._quantities = [number for number, options in enumerate(choices) if options is None]
        self._choices = {number: options for number, options in enumerate(choices) if options is not None}
        self._levels = levels
        self.outputs = len(self._quantities) + sum(self._choices.values())
        self.critic_features = len(self._quantities) * levels + sum(self._choices.values())

    def slices(self, first: int) -> list[slice]:
        """Where the options of each choice stand, when those of the first one begin at ``first``."""
        ends = [first, *itertools.accumulate(self._choices.values(), initial=first)][1:]
        return [slice(*ends) for ends in itertools.pairwise(ends)]

    @property
    def choice_slices(self) -> list[slice]:
        """Where in a critic's input the options of each choice stand."""
        return self.slices(len(self._quantities) * self._levels)

    def shares(self, signal: Tensor) -> NDArray[Any]:
        """[..., numbers] Shares of outputs ``[..., outputs]``: of a choice the likeliest option."""
        some = len(self._quantities)
        found = np.empty((*signal.shape[:-1], self._numbers))
        found[..., self._quantities] = torch.sigmoid(signal[..., :some]).numpy()
        for (number, options), place in zip(self._choices.items(), self.slices(some), strict=True):
            found[..., number] = signal[..., place].argmax(dim=-1).numpy() / max(options - 1, 1)
        return found

    def explore(self, signal: Tensor, sigma: float, rng: np.random.Generator) -> NDArray[Any]:
        """The same with Gaussian noise on quantities, cut off at 0 and 1, and any option with probability ``sigma``."""
        shares = self.shares(signal)
        shares[..., self._quantities] += sigma * rng.standard_normal((*signal.shape[:-1], len(self._quantities)))
        for number, options in self._choices.items():
            anything = rng.integers(options, size=signal.shape[:-1]) / max(options - 1, 1)
            shares[..., number] = np.where(rng.random(signal.shape[:-1]) < sigma, anything, shares[..., number])
        return shares.clip(0.0, 1.0)

    def critic_input(self, shares: Tensor) -> Tensor:
        """Inputs of a critic for shares ``[..., numbers]``."""
        return torch.cat(
            [
                *(nearness(shares[..., number], self._levels) for number in self._quantities),
                *(nearness(shares[..., number], options) for number, options in self._choices.items()),
            ],
            dim=-1,
        )

    def actor_objective(
        self, signal: Tensor, critic: CentralNetwork, state: Tensor, inverting: bool, rng: np.random.Generator
    ) -> Tensor:
        """[rows] Objective whose gradient by the actor's outputs ascends, on average, the critic's value.

        The critic is evaluated where the actor acts: every agent takes its likeliest option, and in each row all
        options of one agent, drawn by ``rng``, are evaluated (as the counterfactuals of Foerster et al. 2018). At the
        softmax's probabilities instead, agents appear spread over all servers although all take the same, and no gain
        is found.

        The softmax's gradient vanishes for unlikely options, as the sigmoid's does at 0 and 1. With ``inverting``, a
        logit's gradient is its option's gain over the mean, whatever its probability (neural replicator dynamics,
        Hennes et al. 2020), times the distance that is left to `MOST_LOGIT`.
        """
        some = len(self._quantities)
        shares = torch.sigmoid(signal[..., :some]).detach().requires_grad_()
        near = [nearness(shares[..., quantity], self._levels) for quantity in range(some)]
        places = self.slices(some)
        taken = [functional.one_hot(signal[..., at].argmax(dim=-1), at.stop - at.start).float() for at in places]
        critic_inputs = torch.cat([*near, *taken], dim=-1)
        (slope,) = torch.autograd.grad(critic(state, critic_inputs).sum(), shares)
        objective = (signal[..., :some] * slope * presigmoid_factor(shares.detach(), slope, inverting)).sum(
            dim=(-1, -2)
        )
        rows, agents = torch.arange(len(state)), state.shape[1]
        agent = torch.from_numpy(rng.integers(agents, size=len(state)))
        for place, at in zip(places, self.choice_slices, strict=True):
            logits = signal[rows, agent][:, place]
            value = counterfactual_values(critic, state, critic_inputs.detach(), at, agent)
            chance = torch.softmax(logits.detach(), dim=-1)
            gain = value - (chance * value).sum(dim=-1, keepdim=True)
            room = (1.0 - gain.sign() * logits.detach() / MOST_LOGIT).clamp_min(0.0)
            reach = room if inverting else chance
            objective = objective + agents * (logits * gain * reach).sum(dim=-1)
        return objective

    def imitation_loss(self, signal: Tensor, aim: Tensor) -> Tensor:
        """Mean squared distance of quantities plus mean cross-entropy of options; NaN in ``aim`` does not count."""
        some = len(self._quantities)
        found = SigmoidHead(some).imitation_loss(signal[..., :some], aim[..., self._quantities])
        for (number, options), place in zip(self._choices.items(), self.slices(some), strict=True):
            known = ~aim[..., number].isnan()
            if known.any():
                option = (aim[..., number][known] * (options - 1)).round().long()
                found = found + functional.cross_entropy(signal[..., place][known], option)
        return found


def nearness(shares: Tensor, levels: int) -> Tensor:
    """Nearness ``[..., levels]`` of shares to levels: 1 at a level, falling linearly to 0 at its neighbours."""
    at = torch.arange(levels, dtype=shares.dtype)
    return (1.0 - (shares[..., None] * (levels - 1) - at).abs()).clamp_min(0.0)


def counterfactual_values(
    critic: CentralNetwork, state: Tensor, critic_inputs: Tensor, place: slice, agent: Tensor
) -> Tensor:
    """[rows, options] Critic's value, summed over agents, of each option of one agent's choice.

    Parameters
    ----------
    critic : CentralNetwork
    state, critic_inputs : Tensor [rows, agents, features], [rows, agents, numbers]
        Inputs of the critic.
    place : slice
        Where in ``critic_inputs`` the options stand.
    agent : Tensor [rows]
        The agent whose options are evaluated, while all others keep theirs.
    """
    options = place.stop - place.start
    each = critic_inputs[:, None].repeat(1, options, 1, 1)
    each[torch.arange(len(critic_inputs)), :, agent, place] = torch.eye(options)
    with torch.no_grad():
        value = critic(state[:, None].expand(-1, options, -1, -1).flatten(0, 1), each.flatten(0, 1))
    return value.sum(dim=(-1, -2)).reshape(-1, options)
