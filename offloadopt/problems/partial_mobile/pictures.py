"""Pictures of a solution of `partial_mobile`: a map, and the servers' loads, shares and users over slots."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.core import Decisions, Instances
from offloadopt.pictures import Panel
from offloadopt.pictures.over_slots import draw_lines, draw_stacked
from offloadopt.pictures.places import draw_map
from offloadopt.pictures.shares import draw_shares, draw_shares_over_slots

if TYPE_CHECKING:
    from offloadopt.problems.partial_mobile.problem import PartialMobile


def panels(problem: PartialMobile, instances: Instances, decisions: Decisions) -> list[Panel]:
    """Draw a map of the first slot with the users' paths, and the servers over the slots.

    Where a server is overloaded, its shares are those that are left of what was asked.
    """
    s, shape = problem.scenario, (problem.horizon, problem.scenario.users)
    server, ratio, cpu_hz = (decisions[name][0].reshape(shape) for name in ("server", "ratio", "cpu_hz"))
    server = np.where((ratio > 0) & (cpu_hz > 0), server, 0)
    paths = instances["position_m"][0].reshape(*shape, 2)
    here = server[..., None] == np.arange(1, problem.sites + 1)  # [slots, users, servers]
    asked = cpu_hz[..., None] * here / s.cpu_server_hz
    share = asked / np.maximum(asked.sum(axis=1, keepdims=True), 1.0)
    title, names = "Who is served where", [f"server {j}" for j in range(1, problem.sites + 1)]
    place = partial(draw_map, users_m=paths[0], sites_m=problem.sites_m, server=server[0])
    rows = 0.7 + 0.35 * problem.sites
    if problem.horizon == 1:
        tasks = {"server": server[0] - 1, "share": share[0].sum(axis=-1), "owner": np.arange(s.users)}
        cpu = partial(draw_shares, servers=names, **tasks)
        return [Panel("map", title, place, 4.4), Panel("cpu", "CPU of each server", cpu, rows)]
    loads = dict(zip(names, asked.sum(axis=1).T, strict=True))
    users = dict(zip(names, here.sum(axis=1).T.astype(np.float64), strict=True))
    load = partial(draw_lines, unit="of the server's CPU", limit=1.0, limit_name="overloaded above", series=loads)
    cpu = partial(draw_shares_over_slots, share=share, servers=names)
    return [
        Panel("map", f"{title} in slot 0; grey: where users go", partial(place, paths_m=paths), 4.4),
        Panel("load", "CPU asked of each server", load),
        Panel("cpu", "Shares of each server's CPU", cpu, rows),
        Panel("users", "Users of each server", partial(draw_stacked, amounts=users, unit="users"), 1.9),
    ]
