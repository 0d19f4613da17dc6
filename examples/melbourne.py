"""Real users and base-station sites in Melbourne: the proved optimal site of each user, drawn as a map.

The two tables are those of the EUA dataset (https://github.com/swinedge/eua-dataset), or any others with columns
`latitude` and `longitude`:

    python examples/melbourne.py --users-file users-melbcbd-generated.csv --sites-file site-optus-melbCBD.csv
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import offloadopt
from offloadopt.errors import OffloadError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(users_m: np.ndarray, sites_m: np.ndarray, site_of_user: np.ndarray, title: str) -> Figure:
    """Draw a map: a line joins each user to the site that computes its task; users that compute locally are hollow."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 8), layout="constrained")
    axes = figure.subplots()
    for site, place in enumerate(sites_m, start=1):
        served, colour = users_m[site_of_user == site], f"C{site - 1}"
        links = np.stack([served, np.broadcast_to(place, served.shape)])  # [end, user, coordinate]
        axes.plot(links[..., 0], links[..., 1], color=colour, lw=0.8, zorder=1)
        axes.scatter(*served.T, s=28, color=colour, zorder=2)
        label = f"site {site}: {len(served)} users"
        axes.scatter(*place, s=190, marker="^", color=colour, edgecolor="black", zorder=3, label=label)
        axes.annotate(str(site), place, (8, 6), textcoords="offset points", weight="bold", zorder=4)
    local = users_m[site_of_user == 0]
    axes.scatter(*local.T, s=28, facecolor="white", edgecolor="0.3", zorder=2, label=f"local: {len(local)} users")
    axes.set(title=title, xticks=[], yticks=[], aspect="equal")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, labelspacing=0.9)
    _draw_scale(axes)
    return figure


def _draw_scale(axes: Axes, length_m: float = 200.0) -> None:
    """Draw a scale bar below the map on the left and an arrow to the north on the right."""
    (west, east), (south, north) = axes.get_xlim(), axes.get_ylim()
    step = 0.01 * (north - south)
    axes.set_ylim(south - 8 * step, north)
    left, level = west + 3 * step, south - 3 * step
    axes.plot(left + length_m * np.array([0, 0, 1, 1]), level + step * np.array([1, 0, 0, 1]), color="black")
    axes.text(left + length_m / 2, level - step, f"{length_m:g} m", ha="center", va="top")
    foot = (east - 4 * step, level - 4 * step)
    axes.annotate("N", (foot[0], foot[1] + 9 * step), foot, ha="center", arrowprops={"arrowstyle": "->", "lw": 1.5})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--users-file", type=Path, required=True, help="CSV of users with latitude and longitude")
    parser.add_argument("--sites-file", type=Path, required=True, help="CSV of sites with latitude and longitude")
    parser.add_argument("--users", type=int, default=100, help="how many users to draw (default %(default)s)")
    parser.add_argument("--sites", type=int, default=10, help="how many sites to draw (default %(default)s)")
    parser.add_argument("--relative-gap", type=float, default=1e-6, help="gap to prove (default %(default)s)")
    parser.add_argument("--picture", type=Path, default=Path("results/melbourne.png"), help="default %(default)s")
    given = parser.parse_args()

    problem = offloadopt.problem(
        "multi_server",
        preset="melbourne",
        users_file=given.users_file,
        sites_file=given.sites_file,
        users=given.users,
        servers=given.sites,
    )
    instances = problem.sample(count=1, seed=0)
    solutions = offloadopt.solve(problem, instances, relative_gap=given.relative_gap, display=True)
    print(solutions)

    site_of_user = problem.assignment(solutions.decisions)[0]
    title = (
        f"{given.users} users and {given.sites} sites in Melbourne: cost {solutions.objective[0]:.4f} "
        f"({solutions.status_names[0]}, gap {solutions.gap[0]:.0e})"
    )
    given.picture.parent.mkdir(parents=True, exist_ok=True)
    draw(*problem.positions(), site_of_user, title).savefig(given.picture, dpi=150, bbox_inches="tight")
    print(f"Map of users and their sites: {given.picture}")


if __name__ == "__main__":
    try:
        main()
    except OffloadError as error:
        sys.exit(f"error: {error}")
