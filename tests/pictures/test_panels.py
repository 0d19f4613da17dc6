"""Panels by name, into given axes and into figures of their own; every problem has some."""

from __future__ import annotations

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offloadopt import registry
from offloadopt.errors import InvalidInput, UnknownName
from offloadopt.pictures.panels import Panel, check_plot_path, draw_into, figure_of, panel_named, png, shown

from toys.small_problems import SMALL


def line(ax: Axes) -> None:
    ax.plot([0, 1], [0, 1], label="line")
    ax.legend()


PANELS = [Panel("one", "The first", line, 1.0), Panel("two", "The second", line, 2.0)]


def test_panels_are_found_by_name_and_the_first_without_one() -> None:
    assert panel_named(PANELS, None) is PANELS[0]
    assert panel_named(PANELS, "two") is PANELS[1]
    with pytest.raises(UnknownName, match="no panel 'tow'; did you mean 'two'"):
        panel_named(PANELS, "tow")
    with pytest.raises(InvalidInput, match="no pictures"):
        panel_named([], None)


def test_a_panel_is_drawn_with_its_title() -> None:
    ax = Figure().add_subplot()
    assert draw_into(ax, PANELS[0]) is ax
    assert ax.get_title(loc="left") == "The first"


def test_a_figure_has_all_panels_and_room_for_their_legends() -> None:
    figure = figure_of(PANELS)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["The first", "The second"]
    assert figure.get_figheight() > 3.0 + 2 * 0.35
    assert png(PANELS).startswith(b"\x89PNG")


def test_notebooks_get_a_figure_of_pyplot() -> None:
    import matplotlib.pyplot as plt

    with mpl.rc_context({"backend": "agg"}):
        ax = shown(PANELS)
        assert plt.gcf() is ax.get_figure()
        plt.close("all")


@pytest.mark.parametrize("name", registry.BUILT_IN["problems"])
def test_every_problem_has_pictures_of_any_decision(name: str) -> None:
    problem = registry.problem(name, **SMALL[name])
    instances = problem.sample(2, seed=1)
    solutions = registry.solver("random", problem).run(problem, instances)
    panels = solutions.panels(1)
    assert panels
    assert len({panel.name for panel in panels}) == len(panels)
    figure_of(panels).draw_without_rendering()


def test_files_of_other_kinds_are_refused() -> None:
    check_plot_path("a.png")
    with pytest.raises(InvalidInput, match=r"picture 'a.jpg' ends in '.jpg'; allowed: .png, .html"):
        check_plot_path("a.jpg")
