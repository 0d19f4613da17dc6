"""Any array: a heat map over slots or entries, for decisions that no structure explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.pictures.style import ACCENT, MUTED, label, plain_axes, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_array(ax: Axes, values: NDArray[Any], unit: str, horizon: int) -> None:
    """Draw one instance's array: bars of one number per slot or entry, a heat map of more.

    Parameters
    ----------
    ax : Axes
    values : array [slots, ...] or [...]
        With the axis of slots first if there are several.
    unit : str
    horizon : int
        Number of slots.
    """
    first = "slot" if horizon > 1 else "entry"
    named = "" if unit == "1" else f" {unit}"
    table = np.reshape(values, (len(values), -1)) if np.ndim(values) > 1 else np.reshape(values, (-1, 1))
    if table.shape[1] == 1:
        ax.bar(np.arange(len(table)), table[:, 0], width=0.9, color=ACCENT, lw=0)
        plain_axes(ax, grid="y")
        label(ax, x=first, y=named.strip())
    else:
        image = ax.imshow(table.T, aspect="auto", cmap="Blues", interpolation="nearest")
        plain_axes(ax)
        label(ax, x=first, y="entry")
        figure = ax.get_figure()
        if figure is not None:
            bar = figure.colorbar(image, ax=ax, pad=0.01)
            bar.outline.set_visible(False)
            bar.ax.tick_params(colors=MUTED, labelsize=8, length=0)
            bar.set_label(named.strip(), fontsize=8)
    whole_ticks(ax)
