"""Structure of inference at the edge: agents with several tasks a slot, sharing their own CPU or servers'."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

from offloadopt.core import Decisions, FloatArray, Instances, IntArray, ScenarioT
from offloadopt.physics.inference import InferenceTasks
from offloadopt.structure import AgentProblem


@dataclass(frozen=True)
class InferencePrices:
    """What a slot's cost is made of: ``second T + joule E`` of tasks that meet the limit, ``failure`` of the others.

    Attributes
    ----------
    second, joule, failure : float
    limit_s : float
        C6.
    drains : bool
        Whether a server's energy drains the user's battery, too.
    """

    second: float
    joule: float
    failure: float
    limit_s: float
    drains: bool


class InferenceProblem(AgentProblem[ScenarioT]):
    """Users' tasks on own CPU or on servers, within time limits and what is left in batteries that nothing recharges.

    Options count 0 for the own CPU and j for server j. Shares of a CPU or band that add up to more than 1 are cut pro
    rata, and whatever does not meet its limits fails, so that every decision is possible.
    """

    @property
    @abstractmethod
    def prices(self) -> InferencePrices:
        """What a second, a joule and a failure cost."""

    @abstractmethod
    def work(self, instances: Instances) -> InferenceTasks:
        """All tasks, arrays that lead with ``[count, horizon]``; ``[count, 1]`` where there is one slot."""

    @abstractmethod
    def start_j(self, instances: Instances) -> FloatArray:
        """[count, users] what batteries hold at first."""

    @abstractmethod
    def share(self, server: IntArray, cpu_share: FloatArray, band_share: FloatArray) -> Decisions:
        """The decisions for options and shares ``[count, horizon, users, places]``; who fails has no CPU."""

    @abstractmethod
    def twin(self, instances: Instances) -> Instances:
        """The same instances as the digital twin knows them."""

    @property
    @abstractmethod
    def places(self) -> int:
        """Tasks that a user can have in a slot."""

    @property
    @abstractmethod
    def servers(self) -> int:
        """Servers besides the own CPU."""

    @property
    @abstractmethod
    def one_slot(self) -> Self:
        """The same problem with a single slot."""
