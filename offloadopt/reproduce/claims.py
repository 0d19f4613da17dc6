"""Published claims, and verdicts on them by stated rules from measured confidence intervals.

A verdict is true or false only if the whole interval lies on one side; else the run was too short (``None``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.95
"""Coverage of every interval."""
Verdict = bool | None


@dataclass(frozen=True)
class Interval:
    """Mean over replicates with its confidence interval.

    Attributes
    ----------
    mean, low, high : float
        Infinitely wide for fewer than two replicates, which say nothing about their spread.
    replicates : int
    """

    mean: float
    low: float
    high: float
    replicates: int

    @classmethod
    def of(cls, values: ArrayLike) -> Interval:
        """Student's t interval of the mean of independent replicates ``[replicates]``."""
        found = np.asarray(values, dtype=np.float64)
        if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
            return cls(float("nan"), -np.inf, np.inf, 0)
        mean = float(found.mean())
        if len(found) < 2:
            return cls(mean, -np.inf, np.inf, 1)
        from scipy.stats import t

        half = float(t.ppf(0.5 + LEVEL / 2, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
        return cls(mean, mean - half, mean + half, len(found))

    def below(self, limit: float) -> Verdict:
        """Whether the mean lies below ``limit``."""
        if self.high < limit:
            return True
        return False if self.low >= limit else None

    def above(self, limit: float) -> Verdict:
        """Whether the mean lies above ``limit``."""
        if self.low > limit:
            return True
        return False if self.high <= limit else None

    def within(self, low: float, high: float) -> Verdict:
        """Whether the mean lies in ``[low, high]``."""
        if low <= self.low and self.high <= high:
            return True
        return False if self.high < low or self.low > high else None

    def text(self, scale: float = 1.0, form: str = ".3g", sign: str = "") -> str:
        """``mean [low, high]``, each times ``scale``; the mean alone where there is no interval."""
        mean = format(scale * self.mean, sign + form)
        if not self.replicates > 1:
            return mean
        return f"{mean} [{format(scale * self.low, sign + form)}, {format(scale * self.high, sign + form)}]"


@dataclass(frozen=True)
class Claim:
    """A published claim with the measured numbers and the verdict.

    Attributes
    ----------
    claim, source : str
        Wording of the claim, and its place in the paper.
    paper, measured : str
        The published and the measured numbers.
    holds : bool or None
        ``None`` where the run was too short to tell.
    rule : str
        How ``holds`` follows from the measured numbers.
    """

    claim: str
    source: str
    paper: str
    measured: str
    holds: Verdict
    rule: str

    def row(self) -> dict[str, str | bool | None]:
        """Fields of the claim in ``claims.json``."""
        names = ("claim", "source", "paper", "measured", "holds")
        return {name: getattr(self, name) for name in names}


def all_hold(verdicts: Iterable[Verdict]) -> Verdict:
    """Combine verdicts: false if one is false, true if all are true and there is at least one, else undecided."""
    found = list(verdicts)
    if any(verdict is False for verdict in found):
        return False
    return True if found and all(found) else None


def ascending(names: Sequence[str], values: Sequence[ArrayLike]) -> tuple[Verdict, str]:
    """Verdict on an ascending order of means by paired differences over replicates, and these differences as text."""
    steps = [Interval.of(np.subtract(after, before)) for before, after in itertools.pairwise(values)]
    pairs = zip(names[1:], names[:-1], steps, strict=True)
    text = "; ".join(f"{after} - {before}: {step.text(sign='+')}" for after, before, step in pairs)
    return all_hold(step.above(0.0) for step in steps), text
