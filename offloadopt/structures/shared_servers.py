"""Structure of slots whose servers share bandwidth by number of users and CPU by need."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from offloadopt.core import Instances, Observation, ScenarioT

if TYPE_CHECKING:
    from offloadopt.physics.task_splitting import Splitting
from offloadopt.structures.assignment import SlotwiseProblem


class SharedServersProblem(SlotwiseProblem[ScenarioT]):
    """Servers whose users share one resource equally and a CPU as priced, each task whole or split.

    What a task costs on a server depends on how many share it and on its CPU. Option ``j`` of the assignment is the
    balanced split on server j, option ``sites + j`` everything; computing locally costs 1.
    """

    @abstractmethod
    def sharing(self, observation: Observation | Instances) -> Splitting:
        """Tasks by server and number of users there, arrays that broadcast to ``[count, tasks, sites, tasks]``.

        ``cpu_max_hz`` is each server's CPU, shared by its tasks.
        """
