"""Problem `carbon_mimo`: CADDTO-PPO (2026) and its ancestor (JWCN 2020)."""

from offloadopt.problems.carbon_mimo.problem import CarbonMimo
from offloadopt.problems.carbon_mimo.scenario import CarbonMimoScenario

__all__ = ["CarbonMimo", "CarbonMimoScenario"]
