"""Tables and figures of a paper: the measurements that they need, their rows, pictures and claims."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from offloadopt.errors import UnknownName, nearest
from offloadopt.reproduce.claims import Claim
from offloadopt.version import __version__

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure
    from pandas import DataFrame as DataFrame
    from pandas import Series as Series
else:  # names for annotations: the libraries are imported where they are used
    Axes = DataFrame = Figure = Series = Any

REPLICATE = "replicate"
"""Label and column of independent repetitions; intervals are taken over them."""
Result = Mapping[str, Any]
"""Result of a unit: JSON values."""
Row = Mapping[str, Any]


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


class Artefact(ABC):
    """A table or a figure."""

    name: str
    """Name on the command line and of the files."""
    keys: tuple[str, ...]
    """Columns that identify a point; all others but the replicate are measured numbers."""

    @abstractmethod
    def plan(self) -> Iterable[Unit]:
        """List the units whose results the artefact needs."""

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The units of `plan`, computed once."""
        return tuple(self.plan())

    @abstractmethod
    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Rows of the table that one unit gives: keys and numbers."""

    @abstractmethod
    def draw(self, frame: DataFrame) -> Figure:
        """Draw the figure from the table, which has a row for each point and replicate."""

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
        """Decide the paper's claims about it from the table; there may be none."""
        return ()

    def frame(self, results: Mapping[str, Result]) -> DataFrame:
        """Build the table from the units' results by name: a row for each point and replicate."""
        import pandas as pd

        rows = [
            {REPLICATE: unit.labels[REPLICATE], **row}
            for unit in self.units
            for row in self.rows(unit, results[unit.name])
        ]
        return pd.DataFrame(rows).drop_duplicates([*self.keys, REPLICATE], ignore_index=True)


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
