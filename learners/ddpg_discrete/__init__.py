"""Discretised DDPG: one central actor decides for all users on a grid of levels (JEIT 2024)."""
