"""Problem `battery_d2d`: Battery-Care rMAPPO (IEEE WCNC 2024)."""

from offloadopt.problems.battery_d2d.problem import BatteryD2D
from offloadopt.problems.battery_d2d.scenario import BatteryD2DScenario

__all__ = ["BatteryD2D", "BatteryD2DScenario"]
