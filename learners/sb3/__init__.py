"""Baselines from Stable-Baselines3 (the extra ``sb3``)."""
