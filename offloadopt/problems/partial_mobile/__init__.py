"""Problem `partial_mobile`: JEIT 2024."""

from offloadopt.problems.partial_mobile.problem import PartialMobile
from offloadopt.problems.partial_mobile.scenario import PartialMobileScenario

__all__ = ["PartialMobile", "PartialMobileScenario"]
