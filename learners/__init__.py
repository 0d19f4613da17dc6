"""Learners: each makes policies from demonstrations, from interaction, or both."""
