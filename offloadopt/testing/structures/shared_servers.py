"""The clauses of `SharedServersProblem`."""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import ROUNDING
from offloadopt.structures.shared_servers import SharedServersCosts, SharedServersProblem
from offloadopt.testing.clauses import COUNT, Rollout, close, must


def check_shared_servers(problem: SharedServersProblem[Any], rollout: Rollout, seed: int) -> None:
    """Costs of assignments follow from ``splitting``: users by server, and each server's CPU shared optimally."""
    tasks, servers, observation = problem.tasks, problem.servers, rollout.slots[0].observation
    must(servers % 2 == 0, f"servers = {servers}; allowed: two for each site, the balanced split and everything")
    sites, options = servers // 2, problem.splitting(observation)
    parts = {name: getattr(options, name) for name in ("local_s", "local_j", "send_s", "send_j", "cycles")}
    shape = np.broadcast_shapes(*(values.shape for values in parts.values()))
    must(shape == (COUNT, tasks, sites, tasks), f"splitting has shape {list(shape)}; not [count, tasks, sites, tasks]")
    for name, values in parts.items():
        missing = name.startswith("send")  # infinite over a missing link
        must(not np.isnan(values).any() and (missing or bool(np.isfinite(values).all())), f"splitting: {name} is NaN")
        must(bool((values >= 0 if missing else values > 0).all()), f"splitting: {name} is negative, or 0")
    must(options.cpu_max_hz > 0, "splitting: cpu_max_hz is not positive")
    must(0 <= options.time_weight <= 1, "splitting: time_weight leaves [0, 1]")
    send_s = np.broadcast_to(options.send_s, shape)
    must(bool((send_s[..., 1:] >= send_s[..., :-1]).all()), "splitting: a link gets faster with more users")

    costs, predicted = problem.costs(observation), SharedServersCosts(options.take((slice(None),) * 4))
    drawn = np.random.default_rng(seed).integers(0, servers + 1, (5, COUNT, tasks))
    for assignment in (np.zeros((COUNT, tasks), dtype=np.int64), *drawn):
        same = close(costs.cost(assignment), predicted.cost(assignment), ROUNDING)
        must(same, "costs(a) do not follow from splitting")
