"""Problem `multi_server`: DIRS (IEEE IoTJ 2022)."""

from offloadopt.problems.multi_server.problem import MultiServer
from offloadopt.problems.multi_server.scenario import MultiServerScenario

__all__ = ["MultiServer", "MultiServerScenario"]
