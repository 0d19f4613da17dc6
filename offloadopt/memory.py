"""Memory that work needs, estimated before anything is allocated: what no machine has is refused in one line."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from offloadopt.errors import InvalidInput

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells the limit of a container's memory (second and first version)."""


@cache
def machine_bytes() -> int:
    """Return the memory of this machine, or of the container in which this process runs."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not tell
        return 1 << 36
    for path in CGROUP_LIMITS:
        try:
            found = min(found, int(path.read_text()))
        except (OSError, ValueError):  # no such file, or no limit
            continue
    return found


def require_memory(needed_bytes: float, what: str) -> None:
    """Refuse work that needs more memory than this machine has.

    Parameters
    ----------
    needed_bytes : float
        Estimate.
    what : str
        What needs it, with the field or option that decides about its size.
    """
    if needed_bytes > machine_bytes():
        raise InvalidInput(
            f"{what}: about {needed_bytes / 2**30:.3g} GiB of memory; allowed: what fits in this machine's "
            f"{machine_bytes() / 2**30:.3g} GiB"
        )
