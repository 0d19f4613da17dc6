"""MADDPG whose agents exchange conditional generators of their experience instead of the experience."""
