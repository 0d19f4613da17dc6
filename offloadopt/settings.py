"""Frozen, validated parameters of scenarios, solvers and learners."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from offloadopt.errors import InvalidInput, UnknownName, is_name, nearest, shown


class Settings(BaseModel):
    """Frozen, validated parameters; an invalid one is refused with a line naming field, value and allowed values."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidInput(self._explain(error)) from None

    @classmethod
    def _explain(cls, error: ValidationError) -> str:
        field = error.errors()[0]["loc"][:1]
        # Of a field that allows several types, the fault that lies deepest; parts of its place may name a type.
        first = max((fault for fault in error.errors() if fault["loc"][:1] == field), key=lambda f: len(f["loc"]))
        parts = [str(part) for part in first["loc"] if part not in ("int", "float")]
        place = ".".join(part for part in parts if part.replace("_", "").isalnum())
        if first["type"] == "extra_forbidden":
            return f"unknown field {place!r} of {cls.__name__}; {nearest(place, cls.model_fields)}"
        reason = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        return f"{place} = {shown(first['input'])}; allowed: {reason}" if place else reason

    def replace(self, **changes: Any) -> Self:
        """Copy with some fields changed, validated again."""
        return type(self)(**{**{name: getattr(self, name) for name in self.model_fields_set}, **changes})

    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields: two settings are the same exactly if their digests are."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


class Scenario(Settings):
    """Parameters that stay fixed while policies are trained and tested. Units stand in the field names."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named values of fields; the first preset is the default one. Without presets the fields' own defaults are."""
    preset_needs: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Fields that a preset leaves to the user, for example the files of a real place."""

    @classmethod
    def preset(cls, name: str | None = None, **changes: Any) -> Self:
        """Make the scenario of a preset, with some fields changed.

        Parameters
        ----------
        name : str, optional
            By default the first of `presets`, or the fields' own defaults if there are none.
        changes
            Fields by name.

        Raises
        ------
        UnknownName
            With the nearest known preset.
        InvalidInput
            If a value is wrong, or the preset needs a field that is not given.
        """
        if name is None:
            name = next(iter(cls.presets), None)
        elif not is_name(name, cls.presets):
            raise UnknownName(f"no preset {name!r} of {cls.__name__}; {nearest(name, cls.presets)}")
        if name is None:
            return cls(**changes)
        missing = [need for need in cls.preset_needs.get(name, ()) if changes.get(need) is None]
        if missing:
            raise InvalidInput(f"{missing[0]} is missing; preset {name!r} needs it: {missing[0]}=FILE")
        return cls(**{**cls.presets[name], **changes})

    @property
    def nearest_preset(self) -> Self | None:
        """The scenario of the nearest preset; none if all of them need files that are not given."""
        found = self._nearest()
        return None if found is None else found[1]

    @property
    def origin(self) -> str:
        """The preset, or the default values, that the scenario is nearest to, and the fields in which it differs."""
        found = self._nearest()
        if found is None:
            return "a scenario of its own"
        name, _, changes = found
        shown = ", ".join(changes[:4]) + (", ..." if len(changes) > 4 else "")
        return (f"preset {name}" if name else "default values") + (f" with {shown}" if changes else "")

    def _nearest(self) -> tuple[str, Self, list[str]] | None:
        """Find the preset from which the fewest fields differ: its name, its scenario, and these fields."""
        values = self.model_dump(mode="json")
        found: tuple[str, Self, list[str]] | None = None
        for name, preset in (self.presets or {"": {}}).items():
            try:
                known = type(self)(**{**preset, **{need: values[need] for need in self.preset_needs.get(name, ())}})
            except InvalidInput:
                continue
            other = known.model_dump(mode="json")
            changes = [f"{field}={values[field]}" for field in values if values[field] != other[field]]
            if found is None or len(changes) < len(found[2]):
                found = name, known, changes
        return found


def difference(found: Any, asked: Any, name: str = "") -> str:
    """Describe the first of nested JSON values that differs, with both values; empty if none does."""
    if isinstance(found, dict) and isinstance(asked, dict):
        for key in sorted(found.keys() | asked.keys()):
            differ = difference(found.get(key), asked.get(key), f"{name}.{key}" if name else key)
            if differ:
                return differ
        return ""
    return "" if found == asked else f"its {name} is {found!r}, not {asked!r}"
