"""Named arrays that share their instance axis, and the limits of their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offloadopt.errors import InvalidInput, UnknownName, nearest
from offloadopt.quantities import limits, unit

if TYPE_CHECKING:
    from gymnasium import spaces

RANDOM_FACTOR = 1e3
"""How far draws around the values of a scenario may lie outside of the limits of its quantities."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Batch(Mapping[str, NDArray[Any]]):
    """Named, read-only arrays that share their leading axis.

    Parameters
    ----------
    arrays : mapping of str to array_like
        Every array is ``[count, ...]``.
    """

    __slots__ = ("_arrays", "count")

    def __init__(self, arrays: Mapping[str, ArrayLike]) -> None:
        views: dict[str, NDArray[Any]] = {}
        for name, values in arrays.items():
            view = np.asarray(values).view()
            if view.ndim == 0:
                raise InvalidInput(f"array {name!r} is a single number; it needs a leading instance axis")
            view.flags.writeable = False
            views[name] = view
        counts = {name: len(view) for name, view in views.items()}
        if len(set(counts.values())) > 1:
            raise InvalidInput(f"arrays disagree on the number of instances: {counts}")
        self._arrays = views
        self.count: int = next(iter(counts.values()), 0)

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self._arrays[name]
        except KeyError:
            raise UnknownName(f"no array {name!r}; {nearest(name, self._arrays)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in self._arrays.items())
        return f"{type(self).__name__}({shapes})"

    def take(self, rows: slice | IntArray | NDArray[np.bool_] | Sequence[int]) -> Self:
        """Return the selected instances, in the order given."""
        rows = rows if isinstance(rows, slice | np.ndarray) else np.asarray(rows, dtype=np.int64)
        return type(self)({name: array[rows] for name, array in self._arrays.items()})

    def at_slot(self, slot: int) -> Self:
        """Return one slot of arrays ``[count, horizon, ...]``."""
        return type(self)({name: array[:, slot] for name, array in self._arrays.items()})

    @classmethod
    def concatenate(cls, batches: Sequence[Self]) -> Self:
        """Join several batches of the same arrays along the instance axis."""
        return cls({name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]})

    @classmethod
    def over_slots(cls, batches: Sequence[Self]) -> Self:
        """Stack one batch per slot to arrays ``[count, horizon, ...]``."""
        return cls({name: np.stack([batch[name] for batch in batches], axis=1) for name in batches[0]})


class Instances(Batch):
    """A batch of instances: all data that are not decided."""


class Decisions(Batch):
    """A batch of decisions."""


class Observation(Batch):
    """A batch of observations: the data on which a slot's decision may depend."""


@dataclass(frozen=True)
class ArrayField:
    """Shape, limits and unit of one named array, without the instance axis.

    Parameters
    ----------
    shape : tuple of int
        Shape of one instance in one slot.
    low, high : float
        Inclusive limits of every entry.
    unit : str
        SI unit, ``"1"`` for a pure number.
    integer : bool
        Whether entries are whole numbers.
    per_slot : bool
        Whether the array has a slot axis in a problem with a horizon (an initial state has none).
    optional : bool
        Whether a user's own instances may leave the array out.
    axes : tuple of str
        What each axis of ``shape`` counts, in the plural; a field of the scenario with this name is its length. Entries
        of different meaning are named instead, for example ``"x y"``.
    about : str
        What the array is, in a few words.
    """

    shape: tuple[int, ...]
    low: float = -np.inf
    high: float = np.inf
    unit: str = "1"
    integer: bool = False
    per_slot: bool = True
    optional: bool = False
    axes: tuple[str, ...] = ()
    about: str = ""

    @classmethod
    def of(cls, quantity: Any, shape: tuple[int, ...], *, per_slot: bool = True, **changes: Any) -> ArrayField:
        """Make a field of a quantity (`offloadopt.quantities`), with limits that leave room for random factors."""
        low, high = limits(quantity)
        low, high = min(low / RANDOM_FACTOR, low * RANDOM_FACTOR), high * RANDOM_FACTOR
        return cls(shape, **{"low": low, "high": high, "unit": unit(quantity), "per_slot": per_slot, **changes})

    def named(self, about: str, *axes: str) -> ArrayField:
        """Return the field with its meaning and the names of its axes."""
        return replace(self, about=about, axes=axes)

    def full_shape(self, horizon: int) -> tuple[int, ...]:
        """Return the shape of one instance with so many slots."""
        return (*((horizon,) if horizon > 1 and self.per_slot else ()), *self.shape)

    def check(self, name: str, values: ArrayLike, horizon: int) -> NDArray[Any]:
        """Return ``values`` as an array of this field, or refuse them with one line."""
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise InvalidInput(f"{name} is not an array of numbers with one shape") from None
        wanted = self.full_shape(horizon)
        if array.shape[1:] != wanted or array.ndim == 0:
            raise InvalidInput(f"{name} has shape {list(array.shape)}; allowed: [count, {', '.join(map(str, wanted))}]")
        if not np.isfinite(array).all():
            raise InvalidInput(f"{name} holds NaN or infinite values; allowed: finite numbers")
        wrong = (array < self.low) | (array > self.high)
        if wrong.any():
            allowed = f"{self.low:g} to {self.high:g} [{self.unit}]"
            raise InvalidInput(f"{name} holds {array[wrong][0]:g}; allowed: {allowed}")
        if not self.integer:
            return array
        whole = np.rint(array)
        if (whole != array).any():
            raise InvalidInput(f"{name} holds {array[whole != array][0]:g}; allowed: whole numbers")
        return whole.astype(np.int64)

    def space(self) -> spaces.Space[Any]:
        """Return the Gymnasium space of one instance in one slot."""
        from gymnasium import spaces

        if not self.integer:
            return spaces.Box(self.low, self.high, self.shape, np.float64)
        if not np.isfinite([self.low, self.high]).all():
            return spaces.Box(self.low, self.high, self.shape, np.int64)
        first, count = int(self.low), int(self.high - self.low) + 1
        if not self.shape:
            return spaces.Discrete(count, start=first)
        return spaces.MultiDiscrete(np.full(self.shape, count), start=np.full(self.shape, first))
