"""A Gantt chart: when each device executes whose task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from offloadopt.arrays import FloatArray, IntArray
from offloadopt.pictures.style import GRID, INK, WARNING, ZONE, colour, label, legend, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Timeline:
    """Executions of tasks on devices, one entry per task.

    Attributes
    ----------
    device, owner : int array [tasks]
        Device that executes it, -1 for none; device whose task it is.
    begin_s, end_s : array [tasks]
        Begin and end of the execution in s; of a task that no device executes both are the time of its arrival.
    failed, late : bool array [tasks]
    battery_j : array [slots + 1, devices]
        Energy in each battery before each slot, and at the end.
    slot_s : float
        Duration of a slot in s.
    """

    device: IntArray
    owner: IntArray
    begin_s: FloatArray
    end_s: FloatArray
    failed: NDArray[np.bool_]
    late: NDArray[np.bool_]
    battery_j: FloatArray
    slot_s: float


def draw_gantt(ax: Axes, timeline: Timeline, devices: Sequence[str], owners: int) -> None:
    """Draw a row per device, with a bar per task in its owner's colour; failed tasks are hatched, late ones framed.

    Parameters
    ----------
    ax : Axes
    timeline : Timeline
    devices : sequence of str
        Names of the devices, the first on top.
    owners : int
        Number of devices, the first ones, that have tasks of their own.
    """
    from matplotlib.patches import Patch

    for row in range(len(devices)):
        ax.axhspan(row - 0.4, row + 0.4, color=ZONE, lw=0, zorder=0)
    there = timeline.device >= 0
    for task in np.flatnonzero(there):
        begin, seconds = timeline.begin_s[task], max(timeline.end_s[task] - timeline.begin_s[task], 1e-9)
        failed, late = bool(timeline.failed[task]), bool(timeline.late[task])
        ax.barh(
            timeline.device[task], seconds, left=begin, height=0.66, zorder=3 if late or failed else 2,
            color=colour(int(timeline.owner[task])), alpha=0.45 if failed else 1.0, hatch="////" if failed else None,
            edgecolor=WARNING if failed else INK if late else "white", lw=0.9 if failed or late else 0.4,
        )  # fmt: skip
    lost = np.flatnonzero(~there)
    ax.scatter(timeline.begin_s[lost], timeline.owner[lost], s=24, marker="x", color=WARNING, lw=1.2, zorder=5)
    ax.set_yticks(range(len(devices)), devices)
    ax.set_ylim(len(devices) - 0.45, -0.55)
    ax.set_xlim(0.0, max(float(np.max(timeline.end_s, initial=0.0)), timeline.slot_s * (len(timeline.battery_j) - 1)))
    for slot in range(len(timeline.battery_j)):
        ax.axvline(slot * timeline.slot_s, color=GRID, lw=0.4, zorder=1)
    plain_axes(ax)
    label(ax, x="s; the colour of a bar is that of the device whose task it is")
    handles = [
        Patch(facecolor="white", edgecolor=INK, label=f"late ({int(timeline.late.sum())})"),
        Patch(
            facecolor="white", edgecolor=WARNING, hatch="////", label=f"failed ({int((timeline.failed & there).sum())})"
        ),
    ]
    if len(lost):
        handles.append(Patch(facecolor="none", edgecolor="none", label=f"× not sent or lost ({len(lost)})"))
    for row, tick in enumerate(ax.get_yticklabels()[:owners]):
        tick.set_color(colour(row))
    legend(ax, handles)
