"""Discretised DDPG: one central actor decides for all users; its continuous outputs are quantised to levels.

"A multi-user computation offloading optimization model and algorithm based on deep reinforcement learning" (JEIT 2024
no. 4), Algorithms 1 to 3; what its text does not state is the code of a related paper (`PAPER`). Reconstruction:

1. Algorithm 1: the joint state (positions, tasks, workloads of the last slot), each entry times its scale factor;
2. the actor outputs three numbers in (0, 1) for each user, ratio, CPU and server; Gaussian noise is added (25);
3. Algorithm 2: each number becomes one of K levels; CPU level 0 is local computing;
4. Algorithm 3: the reward is minus the cost (the users' utility but for a constant, less overload penalties). Until the
   replay buffer is full, transitions with the continuous actions are stored, and afterwards no more: the critic steps
   towards ``r + gamma Q'(s', mu'(s'))``, the actor ascends ``Q(s, mu(s))``, and the targets follow both.

In `partial_mobile` a decision changes nothing in later slots but the workload that is observed in the next one, and no
cost depends on that. So the optimal policy is the same for every ``gamma``, the related code's 0.001 included.

``networks="joint"`` is the paper's: one perceptron of all ``3 N + M`` numbers, a critic of the summed reward. With
``networks="shared"``

- actor and critic are the same for all users and pool over them; the critic is trained on each user's reward, and pools
  those on the same server separately;
- the actor has an output for each option of an integer, of which the largest counts, and explores by taking any other;
- the critic observes numbers by their nearness to each level;
- an option's logit follows the critic's value of a user's choosing it while all others keep theirs
  (`CentralAgents.choice_objective`).

With ``standardise``, features are standardised by their mean and deviation in an episode of random actions. An expert's
observations are not used for it: its workloads hardly differ, and those of an imperfect policy lie far outside.

Demonstrations, of `exact` for example, are imitated first: squared distances of numbers, cross-entropy of options. The
paper has none.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from offloadopt.core import Demonstrations, Observation, Problem
from offloadopt.envs.episodes import Episodes
from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.common.demonstrations import ExpertActions
from offloadopt.learners.common.distributions import mask_outputs
from offloadopt.learners.common.normalization import RewardScaledNetwork
from offloadopt.learners.common.off_policy import OffPolicyLearner, OffPolicyTraining, TrainableAgents
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.replay import Experience, JointReplay
from offloadopt.learners.common.torch_utils import polyak_update, seeded_generator, squared_or_huber
from offloadopt.learners.common.training import TrainingProgress
from offloadopt.learners.ddpg_discrete.networks import CentralNetwork, JointNetwork, SharedNetwork, nearness
from offloadopt.learners.ddpg_discrete.policy import CentralPolicy
from offloadopt.learners.independent.ddpg import presigmoid_factor
from offloadopt.quantities import Factor, Rate, Rounds, Size, Width
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.levels import Encoding, UnitControls, level_of

MOST_LOGIT = 5.0
"""Limit of an option's logit: the actor's gradient vanishes there."""
PAPER: Mapping[str, Any] = {
    "controls": "requests",
    "networks": "joint",
    "activation": "relu6",
    "hidden": (400, 300, 10),
    "standardise": False,
    "encoding": "floor",
    "replay": "paper",
    "stored_actions": "continuous",
    "num_envs": 1,
    "buffer_size": 10_000,
    "batch_size": 64,
    "reward_scale": 1.0,
    "huber_delta": None,
    "actor_rate": 1e-3,
    "critic_rate": 2e-3,
    "final_rate": 1.0,
    "gamma": 0.001,
    "tau": 0.01,
    "actor_delay": 0,
    "inverting": False,
    "noise": 0.01,
    "noise_end": 0.01,
    "slots": 40_000,
}
"""``DdpgDiscrete(**PAPER)``: the paper's algorithm to the letter, with the values of the related code."""


class DdpgDiscrete(OffPolicyLearner):
    """Discretised DDPG: one actor and one critic decide for all users on a grid of levels (JEIT 2024).

    `PAPER` holds the paper's own settings.

    It comes within 5 % of the optimum with every seed only with demonstrations; see ``docs/results/learners.md``.
    """

    name = "ddpg-discrete"
    policy_type = CentralPolicy
    uses_demonstrations = True

    shared: Literal[True] = Field(True, description="one controller decides for all agents")
    federation: None = Field(None, description="a single controller exchanges no weights")
    steps: None = Field(None, description="see slots")  # type: ignore[assignment]
    activation: Literal["tanh", "relu", "relu6"] = Field(  # type: ignore[assignment]
        "relu", description="of the hidden layers"
    )
    standardise: bool = Field(
        True, description="standardise features by their mean and deviation in an episode of random actions"
    )
    encoding: Encoding = Field(
        "round", description="how numbers become levels: Algorithm 2's is floor; none: they do not"
    )
    levels: Width = Field(5, ge=2, description="levels of a number, K; an integer has as many as it has options")
    replay: Literal["paper", "overwrite"] = Field(
        "overwrite", description="paper: only store until the buffer is full, then only learn"
    )
    stored_actions: Literal["levels", "continuous"] = Field(
        "levels", description="what the replay buffer holds; line (11) of Algorithm 3 stores continuous actions"
    )
    networks: Literal["joint", "shared"] = Field(
        "shared", description="one actor and critic of all numbers, the paper's, or such that agents share"
    )
    warm_up: Size = Field(
        60, ge=1, description="slots of all environments before any gradient step, rounded up to a round"
    )
    batch_size: Size = Field(64, ge=1, description="time steps in a gradient step, each with all its agents")
    gamma: float = Field(0.0, ge=0, lt=1, description="discount factor of a slot")
    tau: float = Field(0.01, gt=0, le=1, description="rate of the soft target updates")
    max_gradient_norm: Factor | None = Field(
        None, gt=0, description="gradient norm to which longer gradients are clipped; none: not clipped"
    )
    reward_scale: Factor | None = Field(
        None, gt=0, description="factor of the reward, which is minus the cost; none: standardised during the warm-up"
    )
    huber_delta: Factor | None = Field(
        1.0, gt=0, description="error from which the critic's loss grows no faster than linearly; none: squared"
    )
    actor_rate: Rate = Field(1e-3, gt=0, description="Adam's learning rate for the actor")
    critic_rate: Rate = Field(2e-3, gt=0, description="Adam's learning rate for the critic")
    actor_delay: Rounds = Field(300, ge=0, description="gradient steps of the critic before the actor takes its first")
    inverting: bool = Field(
        True, description="inverting gradients: whether the actor's gradients near limits are scaled to lead back"
    )
    noise: Factor = Field(0.4, ge=0, description="standard deviation of the noise on shares in [0, 1], at first")
    noise_end: Factor = Field(0.1, gt=0, description="its value at the end of its geometric decay")
    noise_share: float = Field(0.5, gt=0, le=1, description="fraction of the budget in which it decays")
    imitation_steps: Rounds = Field(3000, ge=0, description="gradient steps on demonstrations, where there are any")
    imitation_weight: None = Field(None, description="demonstrations are imitated before interaction alone")  # type: ignore[assignment]
    prioritisation: None = Field(None, description="demonstrations are not replayed")  # type: ignore[assignment]
    imitation_rate: Rate = Field(1e-3, gt=0, description="Adam's learning rate for them")
    slots: Rounds = Field(200_000, ge=1, description="slots decided in training without a budget")

    def default_steps(self, problem: Problem[Any]) -> int:
        """Decisions that training uses without a budget: those of all agents in ``slots``."""
        return self.slots * problem.num_agents

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also masks of options that joint networks set by numbers."""
        super().require(problem)
        interface = self.interface(cast(AgentProblem[Any], problem))
        interface.controls.allowed(interface.problem.empty_observation())

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> CentralAgents:
        """Create actor and critic with initial weights."""
        return CentralAgents(self, self.interface(problem), generator)

    def make_replay(self, problem: Problem[Any], examples: Any) -> JointReplay:
        """Create the replay buffer; the paper's holds whole episodes, each with the observation after its last slot."""
        if self.replay == "overwrite":
            return JointReplay(self.buffer_size // self.num_envs)
        episodes = -(-self.buffer_size // (self.num_envs * problem.horizon))
        return JointReplay(max(episodes * (problem.horizon + 1), 3), overwrite=False)

    def read_demonstrations(  # type: ignore[override]
        self, problem: Any, demonstrations: Demonstrations
    ) -> ExpertActions:
        """Decisions that the actor imitates before it acts."""
        return ExpertActions.of(self.interface(problem), demonstrations, with_global_state=True)

    def make_training(self, problem: Any, seed: int, examples: Any, tracker: TrainingProgress) -> CentralTraining:
        """Create actor and critic with initial weights, and an empty replay buffer."""
        agents = self.make_agents(problem, seeded_generator(seed))
        return CentralTraining(self, agents, seed, examples)


class CentralTraining(OffPolicyTraining):
    """Training of a central controller, which imitates demonstrations first."""

    agents: CentralAgents

    def prepare(self, tracker: TrainingProgress) -> None:
        """Standardise features and imitate the demonstrations."""
        if self.settings.standardise:
            self.agents.standardise(self.episodes, torch.Generator().manual_seed(self.seed % 2**64))
        if self.examples is not None:
            self.agents.imitate(self.examples, tracker, torch.Generator().manual_seed(self.seed % 2**64))

    @property
    def learning(self) -> bool:
        """Whether gradient steps are taken: after the warm-up, or once the paper's replay buffer is full."""
        s = self.agents.settings
        return self.replay.full if s.replay == "paper" else self.slot >= s.warm_up

    @property
    def acting(self) -> bool:
        """Whether the actor acts: at once in the paper and after imitation."""
        return self.examples is not None or self.agents.settings.replay == "paper" or self.learning


class CentralAgents(TrainableAgents):
    """Actor and critic that observe all agents, with their target networks.

    Attributes
    ----------
    actor, critic, target_actor, target_critic : CentralNetwork
    updates : int
        Gradient steps of the critic.
    """

    settings: DdpgDiscrete
    state_fields = ("updates",)

    def __init__(self, settings: DdpgDiscrete, interface: AgentInterface, generator: torch.Generator) -> None:
        super().__init__(settings, interface)
        self.updates = 0
        self.actor: CentralNetwork = settings.make_actor(interface)
        self.critic = self._make_critic()
        self.critic.rewards = RewardScaledNetwork(1)
        for network in (self.actor, self.critic):
            network.initialise(generator)
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self.register("actor", self.actor, settings.actor_rate, self.target_actor)
        self.register("critic", self.critic, settings.critic_rate, self.target_critic)

    def _make_critic(self) -> CentralNetwork:
        s, interface = self.settings, self.interface
        if s.networks == "joint":
            sizes = interface.global_features, interface.problem.num_agents, self.relaxed.size
            return JointNetwork(*sizes, s.hidden, 0, s.activation)
        first = self.relaxed.numbers * s.levels - self.relaxed.numbers  # a number is observed by all of its levels
        choices = [slice(first + at.start, first + at.stop) for at in self.relaxed.options]
        size = first + self.relaxed.size
        return SharedNetwork(interface.features, size, choices, s.hidden, 1, s.activation)

    def policy_actor(self) -> CentralNetwork:  # type: ignore[override]
        """Actor of the trained policy."""
        return self.actor

    def observe(self, observation: Observation) -> AgentObservation:
        """Convert an observation to the agents' views, and the joint state where networks observe it."""
        return self.interface.observe(observation, with_global_state=self.settings.networks == "joint")

    @torch.no_grad()
    def standardise(self, episodes: Episodes, generator: torch.Generator) -> None:
        """Standardise features by an episode of random actions, which does not count."""
        observations = []
        episodes.begin()
        while not episodes.ended:
            observations.append(self.observe(episodes.observation))
            actions = self.random_actions(observations[-1], generator)
            episodes.step(self.decode(episodes.observation, actions))
        for network in (self.actor, self.critic):
            network.standardise(observations)
        self.copy_statistics()

    def imitate(self, expert: ExpertActions, tracker: TrainingProgress, generator: torch.Generator) -> None:
        """Minimise the actor's imitation loss, at a rate that falls along a cosine; end early if time is over."""
        s, examples = self.settings, expert.as_single_slots()
        optimizer = AdamOptimizer(self.actor, s.imitation_rate)
        for step in range(s.imitation_steps):
            if not tracker.in_time:
                break
            rows = torch.randint(examples.count, (s.batch_size,), generator=generator)
            part = examples.each(lambda values, rows=rows: values[0, rows])  # type: ignore[misc]
            outputs = self.actor(AgentObservation(part.view, part.allowed, part.global_state))
            loss = self.interface.heads.imitation_loss(mask_outputs(outputs, part.allowed), part.decided)
            optimizer.descend(loss.mean(), step / s.imitation_steps)
        polyak_update(self.target_actor, self.actor, 1.0)

    def greedy(self, actor: CentralNetwork, observation: AgentObservation) -> Tensor:
        """Relaxed actions of an actor: its numbers, and its largest options."""
        return self.relaxed.mode(mask_outputs(actor(observation), observation.allowed))

    @torch.no_grad()
    def explore(self, observation: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """Actions with noise on numbers (25), and with random options of an agent with the noise as probability."""
        s, numbers = self.settings, self.relaxed.numbers
        sigma = s.noise * (s.noise_end / max(s.noise, 1e-12)) ** min(spent / s.noise_share, 1.0)
        actions = self.greedy(self.actor, observation)
        normal = torch.empty_like(actions[..., :numbers]).normal_(generator=generator)
        noisy = (actions[..., :numbers] + 2.0 * sigma * normal).clamp(-1.0, 1.0)  # a number's range has length 2
        random = self.random_actions(observation, generator)[..., numbers:]
        by_chance = torch.rand(*actions.shape[:-1], 1, generator=generator) < sigma
        return self.stored(torch.cat([noisy, torch.where(by_chance, random, actions[..., numbers:])], dim=-1))

    def random_actions(self, observation: AgentObservation, generator: torch.Generator) -> Tensor:
        """Sample actions uniformly among those that are allowed."""
        return self.stored(super().random_actions(observation, generator))

    def stored(self, actions: Tensor) -> Tensor:
        """Actions as the replay buffer holds them."""
        s, numbers = self.settings, self.relaxed.numbers
        if s.stored_actions == "continuous" or s.encoding == "none":
            return actions
        counts = cast(UnitControls, self.interface.controls).levels
        levels = level_of(0.5 * (1.0 + actions[..., :numbers].double().numpy()), counts, s.encoding)
        on_levels = torch.from_numpy(2.0 * levels / np.maximum(counts - 1, 1) - 1.0).float()
        return torch.cat([on_levels, actions[..., numbers:]], dim=-1)

    def critic_input(self, actions: Tensor) -> Tensor:
        """Actions as the critic observes them: a shared one observes a number by its nearness to each level."""
        if self.settings.networks == "joint":
            return actions
        shares = 0.5 * (1.0 + actions[..., : self.relaxed.numbers])
        near = nearness(shares, self.settings.levels).flatten(-2)
        return torch.cat([near, actions[..., self.relaxed.numbers :]], dim=-1)

    def rewards_of(self, reward: Tensor) -> Tensor:
        """Rewards ``[..., agents]`` as the critic is trained on them: each agent's own, or their sum ``[..., 1]``."""
        return reward.sum(dim=-1, keepdim=True) if self.settings.networks == "joint" else reward

    @torch.no_grad()
    def update_statistics(self, observations: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """Add rewards ``[slots, count, agents]`` to the statistics, which stay as they are from the first update on."""
        if not learning:
            self.critic.rewards.update_reward_statistics(self.rewards_of(reward), self.gamma, None)
            self.copy_statistics()

    @torch.no_grad()
    def target(self, batch: Experience) -> Tensor:
        """Compute the critic's regression target ``r + gamma Q'(s', mu'(s'))`` (21), ``[rows, agents or 1]``."""
        reward, scale = self.rewards_of(batch.reward), self.settings.reward_scale
        reward = self.critic.rewards.standardise_rewards(reward) if scale is None else scale * reward
        if self.gamma == 0.0:
            return reward
        actions = self.stored(self.greedy(self.target_actor, batch.next_observation))
        return reward + self.gamma * self._value(self.target_critic, batch.next_observation, actions)

    def _value(self, critic: CentralNetwork, observation: AgentObservation, actions: Tensor) -> Tensor:
        return critic(observation, self.critic_input(actions))[..., 0]

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Take a gradient step of the critic (20) and of the actor (22), and update the targets (23), (24)."""
        value = self._value(self.critic, batch.observation, batch.action)
        error = value - self.target(batch)
        self.optimizers["critic"].descend(squared_or_huber(error, self.settings.huber_delta).mean(dim=0).mean(), spent)
        self.updates += 1
        if self.updates > self.settings.actor_delay:
            objective = self.actor_objective(self.actor(batch.observation), batch.observation, generator)
            self.optimizers["actor"].descend(-objective.mean(), spent)
        self.update_targets(spent, batch.reward.mean(dim=0))
        return {"train/critic_loss": error.detach().square().mean(), "train/value": value.detach().mean()}

    def actor_objective(self, outputs: Tensor, observation: AgentObservation, generator: torch.Generator) -> Tensor:
        """[rows] Objective whose gradient by the actor's outputs ascends, on average, the critic's value."""
        numbers, masked = self.relaxed.numbers, mask_outputs(outputs.detach(), observation.allowed)
        actions = self.relaxed.mode(masked).requires_grad_()
        (slope,) = torch.autograd.grad(self._value(self.critic, observation, actions).sum(), actions)
        slope = slope[..., :numbers]
        factor = presigmoid_factor(0.5 * (1.0 + actions[..., :numbers].detach()), slope, self.settings.inverting)
        objective = (outputs[..., :numbers] * slope * factor).sum(dim=(-1, -2))
        return objective + self.choice_objective(outputs, masked, observation, actions.detach(), generator)

    def choice_objective(
        self,
        outputs: Tensor,
        masked: Tensor,
        observation: AgentObservation,
        actions: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """[rows] The part of the options' logits.

        The critic is evaluated where the actor acts: every agent takes its likeliest option, and in each row all
        options of one agent, drawn at random, are evaluated (as the counterfactuals of Foerster et al. 2018). At the
        softmax's probabilities instead, agents appear spread over all servers although all take the same, and no gain
        is found.

        The softmax's gradient vanishes for unlikely options, as the sigmoid's does at 0 and 1. With ``inverting``, a
        logit's gradient is its option's gain over the mean, whatever its probability (neural replicator dynamics,
        Hennes et al. 2020), times the distance that is left to `MOST_LOGIT`.
        """
        count, agents = outputs.shape[:2]
        objective = torch.zeros(count)
        if not self.relaxed.options:
            return objective
        rows, agent = torch.arange(count), torch.randint(agents, (count,), generator=generator)
        for at in self.relaxed.options:
            logits = outputs[rows, agent][:, at]
            value = self.counterfactual_values(observation, actions, at, agent)
            chance = torch.softmax(masked[rows, agent][:, at], dim=-1)
            gain = value - (chance * value).sum(dim=-1, keepdim=True)
            room = (1.0 - gain.sign() * logits.detach() / MOST_LOGIT).clamp_min(0.0)
            reach = room if self.settings.inverting else chance
            objective = objective + agents * (logits * gain * reach).sum(dim=-1)
        return objective

    @torch.no_grad()
    def counterfactual_values(self, observation: AgentObservation, actions: Tensor, at: slice, agent: Tensor) -> Tensor:
        """[rows, options] Critic's value, summed over agents, of each option of one agent's choice.

        Parameters
        ----------
        actions : Tensor [rows, agents, size]
        at : slice
            Where in an action the options stand.
        agent : Tensor [rows]
            The agent whose options are evaluated, while all others keep theirs.
        """
        options = at.stop - at.start
        each = actions[:, None].repeat(1, options, 1, 1)
        each[torch.arange(len(actions)), :, agent, at] = torch.eye(options)
        repeated = AgentObservation(observation.view[:, None].expand(-1, options, -1, -1).flatten(0, 1))
        return self._value(self.critic, repeated, each.flatten(0, 1)).sum(dim=-1).reshape(-1, options)
