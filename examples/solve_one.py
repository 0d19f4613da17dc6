"""Solve one instance: what it costs, how good that is proved to be, and who computes where."""

from __future__ import annotations

import offloadopt

problem = offloadopt.problem("multi_server", preset="heterogeneous")
instances = problem.sample(count=1, seed=0)
solutions = offloadopt.solver("exact", problem).run(problem, instances)

print(f"{solutions.status_names[0]}: cost {solutions.objective[0]:.6f}", end=", ")
print(f"no decision costs less than {solutions.bound[0]:.6f} (gap {solutions.gap[0]:.1e})")
for server in range(problem.servers + 1):
    tasks = (solutions.decisions["server"][0] == server).nonzero()[0]
    print(f"server {server}:" if server else "local:   ", *tasks)
