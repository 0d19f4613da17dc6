"""Structure of problems that one central decision-maker decides for all users on a grid of levels."""

from __future__ import annotations

from abc import abstractmethod

from offloadopt.core import Decisions, FloatArray, Observation, Problem, ScenarioT


class JointProblem(Problem[ScenarioT]):
    """Agents for whom a centre decides: it sees everything, and each agent's decision is a few numbers in [0, 1].

    A state consists of numbers of every agent and numbers of what they have in common, each with a scale factor.
    """

    @property
    @abstractmethod
    def choices(self) -> tuple[int | None, ...]:
        """For each coordinate the number of options that it chooses from, in order; ``None`` for a quantity."""

    @property
    @abstractmethod
    def user_factors(self) -> FloatArray:
        """[features] what the agents' numbers are multiplied by to be of order one."""

    @property
    @abstractmethod
    def common_factors(self) -> FloatArray:
        """[features] what the common numbers are multiplied by."""

    @abstractmethod
    def user_state(self, observation: Observation) -> FloatArray:
        """[count, agents, features] of every agent, in the problem's units."""

    @abstractmethod
    def common_state(self, observation: Observation) -> FloatArray:
        """[count, features] of what they have in common, in the problem's units."""

    @abstractmethod
    def decode(self, coordinates: FloatArray) -> Decisions:
        """The decisions of coordinates ``[count, agents, coordinates]`` in [0, 1]; the nearest option counts."""

    @abstractmethod
    def encode(self, decisions: Decisions) -> FloatArray:
        """[..., agents, coordinates] that lead to decisions; NaN where any number does."""
