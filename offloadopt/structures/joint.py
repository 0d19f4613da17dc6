"""Structure of central control: one controller decides for all agents in coordinates within [0, 1]."""

from __future__ import annotations

from abc import abstractmethod

from offloadopt.core import Decisions, FloatArray, Observation, Problem, ScenarioT


class JointProblem(Problem[ScenarioT]):
    """Central control of all agents: the controller observes everything and sets a few coordinates of each agent.

    The state consists of features of every agent and of features common to all, each with a scale factor.
    """

    @property
    @abstractmethod
    def choices(self) -> tuple[int | None, ...]:
        """Number of ordered options of each coordinate; ``None`` for a continuous one."""

    @property
    @abstractmethod
    def user_factors(self) -> FloatArray:
        """Scale factors ``[features]`` that bring the agents' features to order one."""

    @property
    @abstractmethod
    def common_factors(self) -> FloatArray:
        """Scale factors ``[features]`` of the common features."""

    @abstractmethod
    def user_state(self, observation: Observation) -> FloatArray:
        """Return the agents' features ``[count, agents, features]``, in the problem's units."""

    @abstractmethod
    def common_state(self, observation: Observation) -> FloatArray:
        """Return the common features ``[count, features]``, in the problem's units."""

    @abstractmethod
    def decode(self, coordinates: FloatArray) -> Decisions:
        """Compute decisions from coordinates ``[count, agents, coordinates]`` in [0, 1], with the nearest options."""

    @abstractmethod
    def encode(self, decisions: Decisions) -> FloatArray:
        """Compute coordinates ``[..., agents, coordinates]`` of decisions; NaN where any value gives the decision."""
