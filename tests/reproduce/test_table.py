"""A table that is stated by its parts has a row for each measurement that belongs to it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from matplotlib.figure import Figure

from offloadopt.reproduce.artefact import REPLICATE, Unit
from offloadopt.reproduce.partial_mobile.study import GREEDY, LOCAL, RULES
from offloadopt.reproduce.table import Table

from toys.tiny_papers.partial_mobile import STUDY

CHOSEN = {name: RULES[name] for name in (GREEDY, LOCAL)}


def units(replicate: int) -> Iterable[Unit]:
    for size in ("small", "large"):
        yield STUDY.solvers(replicate, STUDY.scenario(), CHOSEN, size=size)


def results(table: Table) -> dict[str, dict[str, dict[str, float]]]:
    return {unit.name: {GREEDY: {"cost": 1.0, "loss": 0.5}, LOCAL: {"cost": 2.0, "loss": 0.25}} for unit in table.units}


def test_keys_are_labels_of_units_and_methods() -> None:
    table = Table(study=STUDY, name="table", keys=("size", "method"), over=units)
    frame = table.frame(results(table))
    assert list(frame.columns) == [REPLICATE, "size", "method", "cost", "loss"]
    assert frame[frame[REPLICATE] == 1]["size"].tolist() == ["small", "small", "large", "large"]
    assert frame["cost"].tolist() == [1.0, 2.0] * 4
    assert list(table.claims(frame)) == []
    with pytest.raises(NotImplementedError, match="table has no picture"):
        table.draw(frame)


def test_columns_choose_the_rows_and_numbers_the_columns() -> None:
    table = Table(
        study=STUDY,
        name="table",
        keys=("method",),
        over=units,
        columns=lambda unit, found: {"method": found.method} if found.method == GREEDY else None,
        numbers=("loss",),
        derive=lambda frame: frame.assign(twice=2 * frame["loss"]),
        picture=lambda summary: Figure(figsize=(len(summary), 1)),
    )
    frame = table.frame(results(table))
    assert frame.to_dict("list") == {REPLICATE: [1, 2], "method": [GREEDY] * 2, "loss": [0.5] * 2, "twice": [1.0] * 2}
    assert table.draw(frame).get_size_inches().tolist() == [1.0, 1.0]


def test_rows_may_be_read_otherwise() -> None:
    table = Table(
        study=STUDY, name="table", keys=("size",), over=units, read=lambda unit, result: [{"size": len(result)}]
    )
    assert table.frame(results(table))["size"].tolist() == [2, 2]
