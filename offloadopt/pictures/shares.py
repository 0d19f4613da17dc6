"""Shares of servers' resources: stacked bars of one slot, and of each server over slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.arrays import FloatArray, IntArray
from offloadopt.pictures.style import GRID, SERIES, ZONE, colour, label, legend, plain_axes, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED_SHARE = 0.09
"""Smallest share whose owner is written into it."""


def draw_shares(ax: Axes, server: IntArray, share: FloatArray, owner: IntArray, servers: Sequence[str]) -> None:
    """Draw a horizontal bar per server, divided into the tasks' shares.

    Parameters
    ----------
    ax : Axes
    server, owner : int array [tasks]
        Server from 0, negative for none; whose task it is, which gives its colour and the number in it.
    share : array [tasks]
        Of the server's resource; all of a server are at most 1.
    servers : sequence of str
        Names of the servers.
    """
    for j in range(len(servers)):
        ax.barh(j, 1.0, height=0.62, color=ZONE, lw=0, zorder=1)
        begin = 0.0
        for task in np.flatnonzero(server == j):
            ax.barh(
                j,
                share[task],
                left=begin,
                height=0.62,
                color=colour(int(owner[task])),
                edgecolor="white",
                lw=0.7,
                zorder=2,
            )
            if share[task] >= NAMED_SHARE / 2:
                middle = begin + share[task] / 2
                ax.text(middle, j, str(owner[task]), ha="center", va="center", fontsize=7, color="white", zorder=3)
            begin += float(share[task])
    ax.set_yticks(range(len(servers)), servers)
    ax.set_ylim(len(servers) - 0.5, -0.5)
    ax.set_xlim(0.0, 1.0)
    plain_axes(ax, grid="x")
    label(ax, x="share of the server; the number in a part is the user's")


def draw_shares_over_slots(ax: Axes, share: FloatArray, servers: Sequence[str]) -> None:
    """Draw a row per server, in which users' shares are stacked for every slot.

    Parameters
    ----------
    ax : Axes
    share : array [slots, users, servers]
        All of a server in a slot are at most 1.
    servers : sequence of str
        Names of the servers, one row each, the first on top.
    """
    slots = np.arange(len(share))
    for j in range(len(servers)):
        floor = float(len(servers) - 1 - j)
        ax.axhspan(floor, floor + 0.86, color=ZONE, lw=0, zorder=0)
        base = np.full(len(slots), floor)
        for user in range(share.shape[1]):
            height = 0.86 * share[:, user, j]
            some = np.flatnonzero(height > 0)
            ax.bar(slots[some], height[some], width=0.92, bottom=base[some], align="edge", color=colour(user),
                   edgecolor="white", lw=0.3, zorder=2)  # fmt: skip
            base = base + height
        ax.axhline(floor, color=GRID, lw=0.8, zorder=1)
    ax.set_yticks([len(servers) - 1 - j + 0.43 for j in range(len(servers))], servers)
    ax.set_ylim(0.0, len(servers))
    ax.set_xlim(0, len(slots))
    plain_axes(ax)
    whole_ticks(ax)
    label(ax, x="slot; a full row is all of the server")
    _legend_of_users(ax, share.shape[1])


def _legend_of_users(ax: Axes, users: int) -> None:
    from matplotlib.patches import Patch

    shown = min(users, len(SERIES))
    names = [f"user {k}" if users <= len(SERIES) else f"users {k}, {k + len(SERIES)}, ..." for k in range(shown)]
    legend(ax, [Patch(color=colour(number), label=name) for number, name in enumerate(names)])
