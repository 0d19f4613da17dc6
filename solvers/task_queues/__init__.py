"""Solvers for tasks that queue at battery-powered devices."""
