"""Tables in presets: rows, and panels below or beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest
from matplotlib.axes import Axes

from offloadopt.reproduce.artefact import Measured, Unit
from offloadopt.reproduce.battery_d2d.tables import PresetTable
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers.battery_d2d import STUDY


def measure() -> dict[str, float]:
    return {}


def table(beside: bool, drawn: list[tuple[str, int, int]]) -> PresetTable:
    def needs(replicate: int, preset: str) -> list[Unit]:
        scenario = {"preset": preset, "horizon": replicate}
        return [Unit(measure, {"scenario": scenario}, {REPLICATE: replicate, "preset": preset})]

    def columns(unit: Unit, found: Measured) -> dict[str, int] | None:
        return {"slots": found.scenario["horizon"]} if found.method != "left out" else None

    def draw(axes: Sequence[Axes], summary: pd.DataFrame, preset: str) -> None:
        axes[0].plot([0.0], [0.0], label=preset)
        drawn.append((preset, len(axes), len(summary)))

    return PresetTable(
        study=STUDY,
        name="a table",
        keys=("preset", "slots", "method"),
        needs=needs,
        columns=columns,
        panels=2,
        draw_panels=draw,
        beside=beside,
    )


@pytest.mark.parametrize(("beside", "shape"), [(False, (2, 2)), (True, (1, 4))])
def test_each_preset_has_its_rows_and_panels(beside: bool, shape: tuple[int, int]) -> None:
    drawn: list[tuple[str, int, int]] = []
    made = table(beside, drawn)
    frame = made.frame({unit.name: {"a": {"cost": 1.0}, "left out": {"cost": 2.0}} for unit in made.units})
    assert list(frame.columns) == [REPLICATE, "preset", "slots", "method", "cost"]
    assert len(frame) == 2 * 2
    figure = made.draw(frame)
    assert figure.axes[0].get_gridspec().get_geometry() == shape
    assert drawn == [("clipped-delay", 2, 2), ("paper", 2, 2)]
