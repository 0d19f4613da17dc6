"""A table or a figure of a paper: the pieces of work that it needs, and what is made of their results."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from offloadopt import __version__
from offloadopt.errors import UnknownName, nearest
from offloadopt.reproduce.claims import Claim

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

REPLICATE = "replicate"
"""Label and column of independent repetitions; intervals are taken over them."""
Result = Mapping[str, Any]
"""What a piece of work gives: JSON values."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Unit:
    """One piece of work, done in a process of its own and stored under its key.

    Parameters
    ----------
    function : callable
        Of a module; called with ``parameters`` as keywords.
    parameters : mapping
        JSON values that determine the result. Units with the same function and parameters are done once, whichever
        artefacts ask for them.
    labels : mapping
        What the artefact calls it.
    """

    function: Callable[..., Result]
    parameters: Mapping[str, Any]
    labels: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """The function's name with a digest of it, the parameters, and the version of this package."""
        what = f"{self.function.__module__}.{self.function.__qualname__}"
        text = json.dumps([what, self.parameters, __version__], sort_keys=True, allow_nan=False)
        return f"{self.function.__name__}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


class Artefact(ABC):
    """A table or a figure."""

    name: ClassVar[str]
    """As the command line calls it."""
    keys: ClassVar[tuple[str, ...]]
    """Columns that tell the points apart; the other columns but the replicate are measured numbers."""

    @abstractmethod
    def plan(self) -> Sequence[Unit]:
        """The work that is needed."""

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The work that is needed, planned once."""
        return tuple(self.plan())

    @abstractmethod
    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """What one unit contributes to the table: keys and numbers."""

    @abstractmethod
    def draw(self, frame: pd.DataFrame) -> Figure:
        """The picture of the table, which has a row for each point and replicate."""

    @abstractmethod
    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """What the paper says about it, decided by the table."""

    def frame(self, results: Mapping[str, Result]) -> pd.DataFrame:
        """The table: a row for each point and replicate; ``results`` by the units' names."""
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
        JSON values that tell this size, for the record.
    shortened : sequence of str
        What differs from the paper's own sizes.
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
    """All units by name; what several artefacts need stands there once."""
    return {unit.name: unit for artefact in artefacts for unit in artefact.units}
