"""A map: who is served where; and a grid of tasks and options where nobody knows where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.arrays import FloatArray, IntArray
from offloadopt.pictures.style import INK, LOCAL, MUTED, colour, label, plain_axes, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERED = 40
"""Users that are numbered, at most."""


def draw_map(
    ax: Axes, users_m: FloatArray, sites_m: FloatArray, server: IntArray, paths_m: FloatArray | None = None
) -> None:
    """Draw users, servers, and a line from each user to its server.

    Parameters
    ----------
    ax : Axes
    users_m, sites_m : array [users, 2], [servers, 2]
    server : int array [users]
        0 for local computing, j for server j.
    paths_m : array [slots, users, 2], optional
        Where users go.
    """
    if paths_m is not None:
        for user in range(len(users_m)):
            ax.plot(*paths_m[:, user].T, color=LOCAL, lw=0.7, alpha=0.6, zorder=1)
    for user, chosen in enumerate(server):
        if chosen > 0:
            ax.plot(
                *np.stack([users_m[user], sites_m[chosen - 1]]).T, color=colour(chosen - 1), lw=0.9, alpha=0.7, zorder=2
            )
    local = server == 0
    ax.scatter(
        users_m[local, 0], users_m[local, 1], s=26, facecolor="white", edgecolor=LOCAL, lw=1.3, zorder=4, label="local"
    )
    for j in range(len(sites_m)):
        ax.scatter(users_m[server == j + 1, 0], users_m[server == j + 1, 1], s=26, color=colour(j), lw=0, zorder=4)
        ax.scatter(sites_m[j, 0], sites_m[j, 1], s=95, marker="s", color=colour(j), edgecolor="white", lw=1.2, zorder=5)
        text = f"server {j + 1}: {int(np.sum(server == j + 1))}"
        ax.annotate(text, sites_m[j], (0, 9), textcoords="offset points", ha="center", fontsize=8, color=INK, zorder=7)
    if len(users_m) <= NUMBERED:
        for user, place in enumerate(users_m):
            ax.annotate(str(user), place, (4, 3), textcoords="offset points", fontsize=6.5, color=MUTED, zorder=6)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.08)
    plain_axes(ax, grid="both")
    label(ax, x=f"m, hollow: local ({int(local.sum())})", y="m")


def draw_choices(ax: Axes, chosen: IntArray, options: Sequence[str], quality: FloatArray | None = None) -> None:
    """Draw tasks along the x-axis, options along the y-axis, and a mark at the option of each task.

    Parameters
    ----------
    ax : Axes
    chosen : int array [tasks]
    options : sequence of str
        Names of the options.
    quality : array [tasks, options], optional
        Shades each option: 1 is best, 0 worst or missing.
    """
    if quality is not None:
        ax.imshow(quality.T, cmap="Greys", vmin=0.0, vmax=2.0, aspect="auto", interpolation="nearest", zorder=1)
    for option in range(len(options)):
        tasks = np.flatnonzero(chosen == option)
        mark = LOCAL if option == 0 else colour(option - 1)
        ax.scatter(tasks, np.full(len(tasks), option), s=42, marker="s", color=mark, lw=0, zorder=3)
    counts = [int(np.sum(chosen == option)) for option in range(len(options))]
    ax.set_yticks(range(len(options)), [f"{name} ({count})" for name, count in zip(options, counts, strict=True)])
    ax.set_ylim(len(options) - 0.5, -0.5)
    ax.set_xlim(-0.6, len(chosen) - 0.4)
    plain_axes(ax)
    whole_ticks(ax)
    label(ax, x="task" if quality is None else "task; shaded: quality of the link, dark is good")
