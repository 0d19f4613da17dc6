"""Pictures of a solution of `multi_server`: a map of who is served where, and the servers' CPU."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.core import Decisions, Instances
from offloadopt.pictures import Panel
from offloadopt.pictures.places import draw_map
from offloadopt.pictures.shares import draw_shares
from offloadopt.traces.locations import distances

if TYPE_CHECKING:
    from offloadopt.problems.multi_server.problem import MultiServer


def panels(problem: MultiServer, instances: Instances, decisions: Decisions, options: list[Panel]) -> list[Panel]:
    """Draw a map, or the options where the instance is not of the fixed layout, and the servers' CPU."""
    s, server = problem.scenario, decisions["server"][0]
    share, names = decisions["cpu_hz"][0] / s.cpu_server_hz, [f"server {j}" for j in range(1, s.servers + 1)]
    cpu = partial(draw_shares, server=server - 1, share=share, owner=np.arange(s.users), servers=names)
    found = options
    if s.layout_seed is not None and "distance_m" in instances:
        users, sites = problem.positions()
        if np.allclose(distances(users[None], sites[None])[0], instances["distance_m"][0], rtol=1e-9):
            draw = partial(draw_map, users_m=users, sites_m=sites, server=server)
            found = [Panel("map", "Who is served where", draw, 4.4)]
    return [*found, Panel("cpu", "CPU of each server", cpu, 0.7 + 0.35 * s.servers)]
