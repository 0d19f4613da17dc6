"""Axes of arrays have names, lengths and components."""

from __future__ import annotations

from pathlib import Path

import pytest

from offloadopt import registry
from offloadopt.core import ArrayField
from offloadopt.own_instances.axes import Axis, axes_of, documented, shape_text


def test_every_array_of_every_problem_says_what_it_is_and_what_its_axes_count() -> None:
    for name in registry.BUILT_IN["problems"]:
        problem = registry.problem(name)
        for array, spec in documented(problem).items():
            assert spec.about, (name, array)
            assert len(spec.axes) == len(spec.shape), (name, array)
            for axis in axes_of(array, spec):
                length = getattr(problem.scenario, axis.name, None)
                assert length in (None, axis.length), (name, array, axis)
                assert len(axis.components) in (0, axis.length)


def test_axes_without_a_name_are_numbered() -> None:
    assert axes_of("x", ArrayField((2, 3))) == (Axis("x_axis_1s", 2), Axis("x_axis_2s", 3))
    assert [axis.index for axis in axes_of("x", ArrayField((2, 3)))] == ["x_axis_1", "x_axis_2"]


@pytest.mark.parametrize(("horizon", "slots"), [(1, ""), (7, "7 slots x ")])
def test_shapes_are_told_in_words(horizon: int, slots: str) -> None:
    problem = registry.problem("partial_mobile", users=4, horizon=horizon)
    text = shape_text(problem, "position_m", problem.instance_fields["position_m"])
    assert text == f"instances x {slots}4 users x (x, y)"


def test_the_documentation_has_every_array_with_its_unit_and_axes() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "instances.md").read_text(encoding="utf-8").splitlines()
    for name in registry.BUILT_IN["problems"]:
        problem = registry.problem(name)
        section = lines[lines.index(f"## `{name}`") :]
        for array, spec in documented(problem).items():
            slots = ["slots"] if spec.per_slot and problem.horizon > 1 else []
            axes = [
                f"({', '.join(axis.components)})" if axis.components else axis.name for axis in axes_of(array, spec)
            ]
            optional = " (optional)" if spec.optional else ""
            row = f"| `{array}` | {spec.unit} | {', '.join(slots + axes) or '–'} | {spec.about}{optional} |"
            assert row in section, row
