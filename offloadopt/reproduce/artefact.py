"""Tables and figures of a paper: the measurements that they need, their rows, pictures and claims."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from offloadopt.errors import UnknownName, nearest
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.summary import REPLICATE, summarised
from offloadopt.version import __version__

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure
    from pandas import DataFrame as DataFrame
    from pandas import Series as Series
else:  # names for annotations: the libraries are imported where they are used
    Axes = DataFrame = Figure = Series = Any

Result = Mapping[str, Any]
"""Result of a unit: JSON values."""
Row = Mapping[str, Any]
TEST = "test"
"""Name of a training's test, where it has but one."""


@dataclass(frozen=True)
class Unit:
    """One measurement or training, run in a process of its own and stored under its name.

    Parameters
    ----------
    function : callable
        Of a module; called with ``parameters`` as keywords.
    parameters : mapping
        JSON values that determine the result. Units with the same function and parameters run once, whichever
        artefacts need them.
    labels : mapping
        Labels of the unit in its artefact, such as the method and the replicate.
    """

    function: Callable[..., Result]
    parameters: Mapping[str, Any]
    labels: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """Function name and a digest of module, function, parameters and package version."""
        what = f"{self.function.__module__}.{self.function.__qualname__}"
        text = json.dumps([what, self.parameters, __version__], sort_keys=True, allow_nan=False)
        return f"{self.function.__name__}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


class Measured(NamedTuple):
    """Numbers of a method in a scenario; ``test`` is the name of a training's test."""

    test: str
    scenario: dict[str, Any]
    method: str
    numbers: Row


def measured(unit: Unit, result: Result) -> Iterator[Measured]:
    """Numbers of each method that a unit has measured, or of each test of its training."""
    if "tests" in unit.parameters:
        for test in unit.parameters["tests"]:
            yield Measured(test["name"], test["scenario"], unit.labels["method"], result["tests"][test["name"]])
        return
    for method, numbers in result.items():
        yield Measured(TEST, unit.parameters["scenario"], method, numbers)


@dataclass(eq=False, kw_only=True)
class Artefact:
    """A table or a figure: by default measurements of methods, with a row for each of them and each unit's labels.

    Attributes
    ----------
    study : Study
    name : str
        Name on the command line and of the files.
    keys : tuple of str
        Columns that identify a point; all others but the replicate are measured numbers. Keys but ``method`` are
        labels of units, unless ``columns`` or ``read`` finds them.
    over : callable, optional
        Units of a replicate.
    columns : callable, optional
        Key columns of a measurement; ``None`` if it does not belong to the table.
    numbers : sequence of str
        Columns after them; by default everything that is measured.
    read : callable, optional
        Rows of a unit, in place of ``columns`` and ``numbers``.
    derive : callable, optional
        Adds columns to the table.
    picture : callable, optional
        Draws the summary of the table, or the table itself if ``by_replicate``.
    claimed : sequence of callable
        Each gives claims from the table, as the builders do.
    """

    study: Any
    name: str
    keys: tuple[str, ...] = ()
    over: Callable[[int], Iterable[Unit]] | None = None
    columns: Callable[[Unit, Measured], Row | None] | None = None
    numbers: Sequence[str] = ()
    read: Callable[[Unit, Result], Iterable[Row]] | None = None
    derive: Callable[[DataFrame], DataFrame] | None = None
    picture: Callable[[DataFrame], Figure] | None = None
    by_replicate: bool = False
    claimed: Sequence[Callable[[DataFrame], Iterable[Claim]]] = ()

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The units whose results the artefact needs, computed once."""
        return tuple(unit for replicate in self.study.replicates for unit in self.units_of(replicate))

    def units_of(self, replicate: int) -> Iterable[Unit]:
        """The units of one replicate."""
        return () if self.over is None else self.over(replicate)

    def place(self, unit: Unit, found: Measured) -> Row | None:
        """Key columns of a measurement."""
        if self.columns is not None:
            return self.columns(unit, found)
        return {key: found.method if key == "method" else unit.labels[key] for key in self.keys}

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each measurement that belongs to the table."""
        if self.read is not None:
            yield from self.read(unit, result)
            return
        for found in measured(unit, result):
            place = self.place(unit, found)
            if place is not None:
                yield {**place, **{name: found.numbers[name] for name in self.numbers or found.numbers}}

    def frame(self, results: Mapping[str, Result]) -> DataFrame:
        """Build the table from the units' results by name: a row for each point and replicate."""
        import pandas as pd

        rows = [
            {REPLICATE: unit.labels[REPLICATE], **row}
            for unit in self.units
            for row in self.rows(unit, results[unit.name])
        ]
        frame = pd.DataFrame(rows).drop_duplicates([*self.keys, REPLICATE], ignore_index=True)
        return frame if self.derive is None else self.derive(frame)

    def draw(self, frame: DataFrame) -> Figure:
        """Draw the figure from the table, which has a row for each point and replicate."""
        if self.picture is None:
            raise NotImplementedError(f"{self.name} has no picture")
        return self.picture(frame if self.by_replicate else summarised(frame, self.keys))

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
        """Decide the paper's claims about it from the table; there may be none."""
        return [claim for build in self.claimed for claim in build(frame)]


@dataclass(frozen=True)
class Paper:
    """All artefacts of a paper in one size.

    Attributes
    ----------
    name, size : str
        The problem's name; ``"quick"`` or ``"full"``.
    settings : mapping
        JSON values that describe this size; they are stored with the results.
    shortened : sequence of str
        Differences from the paper's own sizes, in words.
    artefacts : sequence of Artefact
    """

    name: str
    size: str
    settings: Mapping[str, Any]
    shortened: Sequence[str]
    artefacts: Sequence[Artefact]

    def choose(self, names: Sequence[str]) -> list[Artefact]:
        """The artefacts with these names in the paper's order; all of them where no name is given."""
        known = [artefact.name for artefact in self.artefacts]
        for name in names:
            if name not in known:
                raise UnknownName(f"no artefact {name!r} of {self.name}; {nearest(name, known)}")
        return [artefact for artefact in self.artefacts if not names or artefact.name in names]


def distinct_units(artefacts: Iterable[Artefact]) -> dict[str, Unit]:
    """All units of some artefacts by name; shared units appear once."""
    return {unit.name: unit for artefact in artefacts for unit in artefact.units}
