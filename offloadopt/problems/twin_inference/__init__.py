"""Problem `twin_inference`: MADDPG-CGAN (2025)."""

from offloadopt.problems.twin_inference.problem import TwinInference
from offloadopt.problems.twin_inference.scenario import TwinInferenceScenario

__all__ = ["TwinInference", "TwinInferenceScenario"]
