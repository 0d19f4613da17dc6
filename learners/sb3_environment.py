"""Our batched environment as Stable-Baselines3's `VecEnv`; importing this needs the extra ``sb3``."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from offloadopt.envs.many import ProblemVectorEnv


class BatchedEnvironment(VecEnv):
    """A `ProblemVectorEnv` in the library's own interface, which restarts episodes in the same step too."""

    def __init__(self, environment: ProblemVectorEnv) -> None:
        self.environment = environment
        super().__init__(environment.num_envs, environment.single_observation_space, environment.single_action_space)

    def reset(self) -> Any:
        """First observations ``[count, ...]``; one seed given by `seed` serves the whole batch."""
        observation, _ = self.environment.reset(seed=self._seeds[0])
        self._reset_seeds()
        return observation

    def step_async(self, actions: Any) -> None:
        """Keep the actions until `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        """Observations, rewards in single precision, ends and, where episodes ended, their last observations."""
        observation, reward, terminated, truncated, known = self.environment.step(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if "final_obs" in known:
            for info, last, cut_off in zip(infos, known["final_obs"], truncated, strict=True):
                info |= {"terminal_observation": last, "TimeLimit.truncated": bool(cut_off)}
        return observation, reward.astype(np.float32), terminated | truncated, infos

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The same attribute for each environment asked for."""
        value = getattr(self.environment, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: the environments are one batch."""
        raise NotImplementedError("the environments of a batch share their attributes")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Refused: the environments are one batch."""
        raise NotImplementedError("the environments of a batch cannot be called one by one")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """No environment is wrapped."""
        return [False for _ in self._get_indices(indices)]
