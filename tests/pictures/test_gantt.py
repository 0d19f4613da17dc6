"""A Gantt chart has a bar for every execution, and says what failed."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from offloadopt.pictures.gantt import Timeline, draw_gantt
from offloadopt.pictures.style import WARNING, colour


def test_bars_stand_in_the_row_of_the_device_in_the_colour_of_the_owner() -> None:
    no, yes = False, True
    timeline = Timeline(
        device=np.array([0, 1, -1, 1]),
        owner=np.array([0, 0, 1, 1]),
        begin_s=np.array([0.5, 1.0, 2.0, 2.5]),
        end_s=np.array([1.5, 2.0, 2.0, 4.5]),
        failed=np.array([no, yes, yes, no]),
        late=np.array([no, no, no, yes]),
        battery_j=np.ones((4, 2)),
        slot_s=1.0,
    )
    ax = Figure().add_subplot()
    draw_gantt(ax, timeline, ["device 0", "edge 0"], owners=1)
    bars = [bar for bar in ax.patches if round(bar.get_height(), 6) == 0.66]
    found = [(round(bar.get_y() + 0.33), bar.get_x(), bar.get_width()) for bar in bars]
    assert found == [(0, 0.5, 1.0), (1, 1.0, 1.0), (1, 2.5, 2.0)]
    assert to_hex(bars[2].get_facecolor()) == colour(1)
    assert to_hex(bars[1].get_edgecolor()) == WARNING
    assert ax.collections[0].get_offsets().tolist() == [[2.0, 1.0]]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["late (1)", "failed (1)", "× not sent or lost (1)"]
    assert ax.get_xlim() == (0.0, 4.5)
    assert next(iter(ax.get_yticklabels())).get_color() == colour(0)
