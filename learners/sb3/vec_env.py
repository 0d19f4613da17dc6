"""Batched episodes as Stable-Baselines3's `VecEnv`; importing this needs the extra ``sb3``."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from offloadopt.envs.episodes import Episodes
from offloadopt.envs.vector_env import ProblemVectorEnv
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.structures.levels import QuantisedControls


class BatchVecEnv(VecEnv):
    """Environments that are one batch.

    Attributes
    ----------
    slot_reward, slot_cost : float
        Of the last slot, all agents together, the mean of the batch.
    """

    slot_reward: float
    slot_cost: float

    def step_async(self, actions: Any) -> None:
        """Keep the actions until `step_wait`."""
        self._actions = actions

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The same attribute for each environment asked for."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: the environments are one batch."""
        raise NotImplementedError("the environments of a batch share their attributes")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Refused: the environments are one batch."""
        raise NotImplementedError("the environments of a batch cannot be called one by one")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """No environment is wrapped."""
        return [False for _ in self._get_indices(indices)]

    def _infos(self, last: NDArray[Any] | None, cut_off: bool) -> list[dict[str, Any]]:
        """Information for the library on each environment: where episodes ended, their last observations."""
        if last is None:
            return [{} for _ in range(self.num_envs)]
        return [{"terminal_observation": observation, "TimeLimit.truncated": cut_off} for observation in last]


class CentralVecEnv(BatchVecEnv):
    """A `ProblemVectorEnv` in the library's own interface, which restarts episodes in the same step too."""

    def __init__(self, environment: ProblemVectorEnv) -> None:
        self.environment = environment
        self.render_mode = environment.render_mode
        super().__init__(environment.num_envs, environment.single_observation_space, environment.single_action_space)

    def reset(self) -> Any:
        """First observations ``[count, ...]``; one seed given by `seed` serves the whole batch."""
        observation, _ = self.environment.reset(seed=self._seeds[0])
        self._reset_seeds()
        return observation

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        """Observations, rewards in single precision, ends and, where episodes ended, their last observations."""
        observation, reward, terminated, truncated, info = self.environment.step(self._actions)
        self.slot_reward = float(reward.mean())
        self.slot_cost = float(info.get("final_info", info)["cost"].mean())
        infos = self._infos(info.get("final_obs"), bool(truncated.all()))
        return observation, reward.astype(np.float32), terminated | truncated, infos


class PerAgentVecEnv(BatchVecEnv):
    """Every agent of every episode as an environment of its own, agent by agent, rewarded with minus its own cost.

    Parameters
    ----------
    interface : AgentInterface
        With controls on levels; an action is an entry of their menu.
    count : int
        Number of episodes.
    """

    render_mode = None

    def __init__(self, interface: AgentInterface, count: int) -> None:
        self.interface = interface
        self._controls = cast(QuantisedControls, interface.controls)
        self._agents = interface.problem.num_agents
        self._episodes = Episodes(interface.problem, count, 0)
        observation_space = spaces.Box(-np.inf, np.inf, (interface.features,), np.float32)
        super().__init__(count * self._agents, observation_space, spaces.Discrete(len(self._controls.menu)))

    def reset(self) -> Any:
        """First observations ``[count x agents, features]``; one seed given by `seed` serves the whole batch."""
        if self._seeds[0] is not None:
            self._episodes.reseed(self._seeds[0])
        self._reset_seeds()
        self._episodes.begin()
        return self._observations()

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        """Observations, rewards in single precision, ends and, where episodes ended, their last observations."""
        episodes = self._episodes
        decisions = self._controls.choose(episodes.observation, self._actions.reshape(-1, self._agents))
        outcome = episodes.step(decisions)
        self.slot_cost = float(outcome.cost.mean())
        self.slot_reward = float(-outcome.running_cost.sum(axis=-1).mean())
        ended, infos = episodes.ended, self._infos(self._observations() if episodes.ended else None, episodes.truncated)
        if ended:
            episodes.begin()
        reward = -outcome.running_cost.reshape(-1).astype(np.float32)
        return self._observations(), reward, np.full(self.num_envs, ended), infos

    def _observations(self) -> NDArray[np.float32]:
        return self.interface.observe(self._episodes.observation).view.numpy().reshape(self.num_envs, -1)
