"""Means and confidence intervals over replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.reproduce.claims import LEVEL

if TYPE_CHECKING:
    import pandas as pd

REPLICATE = "replicate"
"""Label and column of independent repetitions; intervals are taken over them."""


def summarised(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Compute for every point the mean of each number over the replicates and its Student's t interval."""
    import pandas as pd
    from scipy.stats import t

    numbers = [name for name in frame.columns if name not in (*keys, REPLICATE)]
    groups = frame.groupby(list(keys), sort=False)
    columns = {"replicates": groups[REPLICATE].nunique()}
    for name in numbers:
        of_name = groups[name]
        mean, count = of_name.mean(), of_name.count().to_numpy()
        half = t.ppf(0.5 + LEVEL / 2, np.maximum(count - 1, 1)) * of_name.std(ddof=1) / np.sqrt(np.maximum(count, 1))
        columns |= {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
    return pd.DataFrame(columns).reset_index()


def values(frame: pd.DataFrame, number: str, **keys: object) -> FloatArray:
    """Select one number at one point ``[replicates]``, ordered by replicate, so that differences are paired."""
    return select(frame, **keys).sort_values(REPLICATE)[number].to_numpy(dtype=np.float64)


def select(frame: pd.DataFrame, **keys: object) -> pd.DataFrame:
    """Rows of a table with these values in these columns."""
    for name, value in keys.items():
        frame = frame[frame[name] == value]
    return frame


def reference(frame: pd.DataFrame, number: str, at: Sequence[str], **keys: object) -> FloatArray:
    """For each row the number of a reference, which ``keys`` select, in the same place and replicate ``[rows]``."""
    places = [*at, REPLICATE]
    found = select(frame, **keys).set_index(places)[number]
    return found.reindex(frame.set_index(places).index).to_numpy(dtype=np.float64)


def above_bound(frame: pd.DataFrame, bound: str, *at: str) -> FloatArray:
    """Share by which each cost lies above that of the method ``bound`` in its place and replicate ``[rows]``."""
    lowest = reference(frame, "cost", at, method=bound)
    return (frame["cost"].to_numpy(dtype=np.float64) - lowest) / np.abs(lowest)
