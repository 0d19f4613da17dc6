"""Training curves for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from offloadopt.core import Record
from offloadopt.errors import Unsupported


@contextmanager
def curves(folder: Path | None) -> Iterator[Record | None]:
    """A record that writes to ``folder``; none if no folder is wanted."""
    if folder is None:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise Unsupported("--tensorboard needs: pip install 'offloadopt[tensorboard]'") from None
    with SummaryWriter(str(folder)) as writer:

        def record(step: int, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        yield record
