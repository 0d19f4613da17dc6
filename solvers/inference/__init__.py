"""Solvers for edge inference: tasks on own CPUs or servers, within time limits and batteries."""
