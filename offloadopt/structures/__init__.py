"""Structures: properties that problems share and solvers and learners exploit, one contract per module."""
