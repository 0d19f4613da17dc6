"""Builders of published claims: parameters that become a `Claim` with its measured numbers, verdict and rule.

A builder is called with the table of its artefact; claims that no builder states are functions of the table as well.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.reproduce.artefact import DataFrame
from offloadopt.reproduce.claims import Claim, Interval, Verdict, all_hold
from offloadopt.reproduce.summary import select, values


def steps_along(frame: DataFrame, number: str, axis: str, sign: float = 1.0, **keys: object) -> list[Interval]:
    """Paired differences of a number between neighbouring places of an axis, times ``sign``; ``keys`` select rows."""
    chosen = select(frame, **keys)
    found = [values(chosen, number, **{axis: place}) for place in sorted(set(chosen[axis]))]
    return [Interval.of(sign * (after - before)) for before, after in itertools.pairwise(found)]


@dataclass(frozen=True, kw_only=True)
class ClaimBuilder(ABC):
    """A published claim about a number in a table; called with the table, it measures and decides.

    Attributes
    ----------
    claim, source, paper, rule : str
        As in `Claim`; without a rule the usual one of its kind.
    number : str
        Column of the table.
    axis : str, optional
        Column of the places at which methods are compared; without one there is a single place.
    by : str
        Column of the methods.
    where : mapping
        Selects the rows of the table that the claim is about.
    measured : str
        Wording of the measured numbers, with ``{found}`` in place of them.
    scale : float
        Factor of numbers in the text.
    method : str
        The claim is about it: without it in the table there is none.
    """

    claim: str
    source: str
    paper: str = "no numbers"
    number: str = "cost"
    axis: str | None = None
    by: str = "method"
    where: Mapping[str, Any] = field(default_factory=dict)
    measured: str = "{found}"
    scale: float = 1.0
    method: str = ""
    rule: str = ""

    def __call__(self, frame: DataFrame) -> list[Claim]:
        """The claim with its verdict; none where the table lacks its method."""
        chosen = select(frame, **self.where)
        if self.method and self.method not in set(chosen[self.by]):
            return []
        verdicts, measured = self.decide(chosen)
        return [Claim(self.claim, self.source, self.paper, measured, all_hold(verdicts), self.rule or self.usual_rule)]

    @property
    @abstractmethod
    def usual_rule(self) -> str:
        """How the verdict follows."""

    @abstractmethod
    def decide(self, frame: DataFrame) -> tuple[list[Verdict], str]:
        """Verdicts that must all hold, and the measured numbers."""

    def at_places(self, frame: DataFrame, method: str) -> dict[float | None, FloatArray]:
        """The number of one method at each place ``[replicates]``."""
        own = frame[frame[self.by] == method]
        if self.axis is None:
            return {None: values(own, self.number)}
        return {place: values(own, self.number, **{self.axis: place}) for place in sorted(set(own[self.axis]))}


@dataclass(frozen=True, kw_only=True)
class Trend(ClaimBuilder):
    """A number rises, or falls, with every step along an axis.

    Attributes
    ----------
    methods : sequence of str
        Each of them, as far as the table has them.
    sign : float
        1 if it rises, -1 if it falls.
    form : str
        Format of means. In ``measured``, ``{found}`` is these, and ``{places}`` the places.
    lead : str
        Text before the means of ``{method}``.
    points : str
        Name of places in the rule.
    """

    methods: Sequence[str]
    sign: float = 1.0
    form: str = ".0f"
    lead: str = "{method} "
    points: str = "points"

    @property
    def usual_rule(self) -> str:
        """Paired differences."""
        side = "above" if self.sign > 0 else "below"
        return (
            f"the mean paired difference between neighbouring {self.points} is {side} 0 at every step; "
            "false if one is not"
        )

    def decide(self, frame: DataFrame) -> tuple[list[Verdict], str]:
        """Steps of each method, and its means."""
        verdicts: list[Verdict] = []
        found = []
        for method in (name for name in self.methods if name in set(frame[self.by])):
            at = self.at_places(frame, method)
            steps = steps_along(frame, self.number, str(self.axis), self.sign, **{self.by: method})
            verdicts += [step.above(0.0) for step in steps]
            means = ", ".join(format(self.scale * value.mean(), self.form) for value in at.values())
            found.append(self.lead.format(method=method) + means)
        places = ", ".join(f"{place:g}" for place in sorted(set(frame[str(self.axis)])))
        return verdicts, self.measured.format(found="; ".join(found), places=places)


@dataclass(frozen=True, kw_only=True)
class Lowest(ClaimBuilder):
    """A method has less of a number than each rival at every place, by paired differences.

    Attributes
    ----------
    method : str
    rivals : sequence of str
        As far as the table has them.
    most : float
        Value below which the mean comparison must lie.
    level : mapping
        Other values for some rivals.
    lead : str
        Text before the numbers of ``{method}`` against ``{rival}``.
    each : str
        Wording of one ``{value}`` at one ``{place}`` against ``{rival}``.
    points : str
        Name of the places in the rule.
    """

    method: str
    rivals: Sequence[str]
    most: float = 0.0
    level: Mapping[str, float] = field(default_factory=dict)
    lead: str = "{method} - {rival}: "
    each: str = "{value} at {place:g}"
    joint: str = "; "
    points: str = "place"

    comparison: ClassVar[np.ufunc] = np.subtract
    word: ClassVar[str] = "paired difference to each rival"
    plus: ClassVar[str] = "+"
    """Sign of positive comparisons in the text."""

    @property
    def usual_rule(self) -> str:
        """Paired comparisons."""
        return f"the mean {self.word} is below {self.most:g} at every {self.points}; false if one is not"

    def against(self, frame: DataFrame, rival: str) -> dict[float | None, Interval]:
        """The number compared with a rival's at each place of both."""
        ours, theirs = (self.at_places(frame, method) for method in (self.method, rival))
        return {place: Interval.of(self.comparison(ours[place], theirs[place])) for place in theirs}

    def decide(self, frame: DataFrame) -> tuple[list[Verdict], str]:
        """Each rival at each place."""
        verdicts: list[Verdict] = []
        found = []
        for rival in (name for name in self.rivals if name in set(frame[self.by])):
            compared = self.against(frame, rival)
            verdicts += [interval.below(self.level.get(rival, self.most)) for interval in compared.values()]
            texts = [
                self.each.format(value=interval.text(self.scale, sign=self.plus), place=place, rival=rival)
                for place, interval in compared.items()
            ]
            found.append(self.lead.format(method=self.method, rival=rival) + ", ".join(texts))
        return verdicts, self.measured.format(found=self.joint.join(found))


@dataclass(frozen=True, kw_only=True)
class Ratio(Lowest):
    """A method has less of a number than each rival at every place, by paired ratios."""

    most: float = 1.0
    lead: str = "{method} / {rival}: "

    comparison: ClassVar[np.ufunc] = np.divide
    word: ClassVar[str] = "ratio"
    plus: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class Level(ClaimBuilder):
    """The number of a method is the published one at every place.

    Attributes
    ----------
    method : str
    published : mapping
        Value by place; the only key is ``None`` where there is no axis. Places that the table lacks are left out.
    tolerance : float
        Distance from the published value that counts as the same.
    form : str
        Format of the measured values.
    each : str
        Wording of one ``{value}`` at one ``{place}``.
    """

    method: str
    published: Mapping[Any, float]
    tolerance: float
    form: str = ".3g"
    each: str = "{place:g}: {value}"

    @property
    def usual_rule(self) -> str:
        """Distance from the published value."""
        return f"the mean lies within {self.tolerance:g} of the published one at every place"

    def decide(self, frame: DataFrame) -> tuple[list[Verdict], str]:
        """Each place."""
        verdicts: list[Verdict] = []
        found = []
        for place, numbers in self.at_places(frame, self.method).items():
            if place in self.published:
                paper, reached = self.published[place], Interval.of(numbers)
                verdicts.append(reached.within(paper - self.tolerance, paper + self.tolerance))
                found.append(self.each.format(value=reached.text(self.scale, self.form), place=place))
        return verdicts, self.measured.format(found="; ".join(found))
