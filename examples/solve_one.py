"""Solve one instance: its cost, the proved bound, and where each task is computed."""

from __future__ import annotations

import offloadopt

problem = offloadopt.problem("multi_server", preset="heterogeneous")
solutions = offloadopt.solve(problem, problem.sample(count=1, seed=0))
print(solutions)
