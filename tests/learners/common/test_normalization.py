"""Running statistics against those of all values together."""

from __future__ import annotations

import numpy as np
import torch

from offloadopt.learners.common.normalization import RunningNormalizer


def test_running_statistics_are_those_of_all_views_together() -> None:
    rng = np.random.default_rng(3)
    parts = [torch.from_numpy(rng.normal(5.0, [1.0, 0.0, 9.0], size=(n, 2, 3)).astype(np.float32)) for n in (4, 1, 30)]
    normalizer = RunningNormalizer(3)
    for part in parts:
        normalizer.update_statistics(part)
    seen = torch.cat(parts).flatten(0, 1)
    expected = (seen - seen.mean(dim=0)) / torch.tensor(
        [seen[:, 0].std(correction=0), 1.0, seen[:, 2].std(correction=0)]
    )
    torch.testing.assert_close(normalizer(seen), expected, rtol=1e-4, atol=1e-4)
