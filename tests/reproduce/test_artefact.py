"""Units are known by what determines their result; a table has each point and replicate once."""

from __future__ import annotations

import pandas as pd
import pytest

from offloadopt.errors import UnknownName
from offloadopt.reproduce.artefact import REPLICATE, Unit, distinct_units

from toys import slow_paper


def test_a_unit_is_known_by_its_parameters_and_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, other = slow_paper.Slow("fig-1", (1, 2)).units[:2]
    relabelled = Unit(unit.function, dict(reversed(unit.parameters.items())), {REPLICATE: 9})
    assert unit.name == relabelled.name != other.name
    monkeypatch.setattr("offloadopt.reproduce.artefact.__version__", "9.9.9")
    assert slow_paper.Slow("fig-1", (1, 2)).units[0].name != unit.name


def test_numbers_that_json_cannot_hold_are_refused_as_parameters() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        _ = Unit(slow_paper.measure, {"point": float("nan"), "seed": 1}).name


def test_units_of_several_artefacts_are_counted_once() -> None:
    first, second = slow_paper.Slow("fig-1", (1, 2)), slow_paper.Slow("fig-2", (2, 3))
    assert len(distinct_units([first, second])) == 9
    assert set(distinct_units([first])) < set(distinct_units([first, second]))


def test_a_table_has_a_row_for_each_point_and_replicate() -> None:
    artefact = slow_paper.Slow("fig-1", (1, 2, 2), replicates=2)
    results = {unit.name: {"number": 10.0 * unit.labels["point"]} for unit in artefact.units}
    expected = pd.DataFrame({REPLICATE: [1, 1, 2, 2], "point": [1, 2, 1, 2], "number": [10.0, 20.0, 10.0, 20.0]})
    pd.testing.assert_frame_equal(artefact.frame(results), expected)


def test_artefacts_are_chosen_by_name_in_the_order_of_the_paper() -> None:
    paper = slow_paper.paper()
    assert paper.choose([]) == list(paper.artefacts)
    assert [artefact.name for artefact in paper.choose(["fig-2", "fig-1"])] == ["fig-1", "fig-2"]
    with pytest.raises(UnknownName, match="'fig-3' of slow"):
        paper.choose(["fig-3"])
