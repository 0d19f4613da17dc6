"""Compilation of kernels by Numba, with a cache on disk that processes share, are killed in, and outlive updates of.

Numba names compiled code by a number that its index does not hold yet, and writes the index first. Two processes that
compile at the same time can so give one name to the code of two signatures or two kinds of CPU, and one that is killed
in between leaves an index that names code of an older source. Here code has the name of its content and is written
before the index, which names it by one rename: an index names the right code or none. What cannot be read or written
is compiled again. Code is also compiled again when constants or kernels that it uses from other modules have changed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def njit(*, cache: bool = True, **options: Any) -> Callable[[FunctionT], FunctionT]:
    """As ``numba.njit``, with a cache in which concurrent and killed processes do no harm."""

    def compiled(function: FunctionT) -> FunctionT:
        dispatcher: Any = numba.njit(**options)(function)
        if cache and dispatcher is not function:  # where Numba is switched off it is
            with suppress(RuntimeError):  # there is no folder that can be written
                dispatcher._cache = KernelCache(function)
        return dispatcher  # type: ignore[no-any-return]

    return compiled


class KernelCache(FunctionCache):
    """Compiled code of one function, by signature and CPU."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = (self._cache_file._source_stamp, vars(numba.config)["BOUNDSCHECK"], used_by(function))
        self._cache_file = KernelFiles(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load compiled code; None where there is none, or it cannot be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged file may raise anything
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code if there is space for it."""
        with suppress(OSError):
            super().save_overload(sig, data)


class KernelFiles(IndexDataCacheFile):
    """Index and code of one function."""

    def save(self, key: Any, data: Any) -> None:
        """Write code under the name of its content, then name it in the index."""
        name = f"{self._index_name.removesuffix('.nbi')}.{sha256(self._dump(data)).hexdigest()[:32]}.nbc"
        self._save_data(name, data)
        self._save_index({**self._readable_index(), key: name})

    def _readable_index(self) -> dict[Any, str]:
        try:
            return dict(self._load_index())
        except Exception:  # a damaged one is replaced
            return {}


def used_by(function: Callable[..., Any]) -> dict[str, Any]:
    """Constants and kernels that a kernel uses by name, with their values and their sources' stamps."""
    found: dict[str, Any] = {}
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        kept = getattr(value, "_cache", None)
        if isinstance(kept, KernelCache):
            found[name] = kept._cache_file._source_stamp
        elif isinstance(value, bool | int | float | str | tuple):
            found[name] = repr(value)
    return found
