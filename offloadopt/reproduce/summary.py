"""Means and confidence intervals over replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.reproduce.artefact import REPLICATE
from offloadopt.reproduce.claims import LEVEL

if TYPE_CHECKING:
    import pandas as pd


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
    chosen = frame
    for name, value in keys.items():
        chosen = chosen[chosen[name] == value]
    return chosen.sort_values(REPLICATE)[number].to_numpy(dtype=np.float64)
