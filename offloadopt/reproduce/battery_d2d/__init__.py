"""Figures of the battery-care offloading after a disaster (arXiv:2312.15380), with rules and the hindsight optimum."""

from offloadopt.reproduce.battery_d2d.plan import make

__all__ = ["make"]
