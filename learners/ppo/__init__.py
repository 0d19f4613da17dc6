"""Proximal policy optimisation for many agents, and the papers' configurations of it."""
