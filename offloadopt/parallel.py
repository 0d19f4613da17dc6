"""Independent tasks spread over processes of this machine (joblib's loky) or of a Ray cluster.

Results are used as they come, so that finished work can be stored before the rest is done. joblib's own Ray backend
hands all results over at the end; hence Ray's pool.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from offloadopt.errors import InvalidInput, OffloadError, Unsupported, nearest

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


def check(workers: int, backend: str) -> None:
    """Refuse a number of workers or a backend that cannot serve, before anything is written."""
    if workers < 1:
        raise InvalidInput(f"workers = {workers}; allowed: 1 or more")
    if backend not in _POOLS:
        raise InvalidInput(f"backend = {backend!r}; {nearest(backend, _POOLS)}")
    if backend == "ray":
        try:
            import ray  # noqa: F401
        except ImportError:
            raise Unsupported("backend 'ray' needs Ray; install it with: pip install 'offloadopt[ray]'") from None


def for_each(
    function: Callable[[TaskT], ResultT],
    tasks: Sequence[TaskT],
    use: Callable[[ResultT], None],
    *,
    workers: int,
    backend: str,
) -> None:
    """Call ``use(function(task))`` for every task: ``function`` in a worker, ``use`` here, in the order of finishing.

    Whatever stops this call, for example Ctrl-C, stops the workers too.
    """
    with _POOLS[backend](function, tasks, min(workers, len(tasks))) as results:
        for result in results:
            use(result)


@contextmanager
def _loky(function: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Iterator[Iterable[Any]]:
    from concurrent.futures.process import BrokenProcessPool

    import joblib

    # One thread each: processes that share the cores must not also fight over them.
    with joblib.parallel_config("loky", inner_max_num_threads=1, initializer=_obey_the_parent):
        pool = joblib.Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered")
        with _ctrl_c_ignored_by_new_processes():
            results = pool(joblib.delayed(function)(task) for task in tasks)
        try:
            yield results
        except BrokenProcessPool:
            raise OffloadError("a worker process died, perhaps out of memory; what is finished is kept") from None
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # joblib warns of the tasks that it drops, as it is told to
                results.close()


@contextmanager
def _ctrl_c_ignored_by_new_processes() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C from their first moment: an ignored signal is inherited.

    Only the main thread may set signals; in another one the workers learn it a moment later, in `_obey_the_parent`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _ray(function: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Iterator[Iterable[Any]]:
    import ray
    from ray.exceptions import RayError
    from ray.util.multiprocessing import Pool

    joined = ray.is_initialized()
    if not joined:  # RAY_ADDRESS names a cluster; without it Ray starts one here
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    try:
        with Pool(workers) as pool:
            yield pool.imap_unordered(function, tasks, chunksize=1)
    except RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise OffloadError(f"the Ray cluster failed ({reason}); what is finished is kept") from None
    finally:
        if not joined:
            ray.shutdown()


_POOLS = {"loky": _loky, "ray": _ray}


def _obey_the_parent() -> None:
    """Prepare a process of this machine to end with its parent, and not before.

    A terminal sends Ctrl-C to all processes: the parent ends the workers, without a traceback from each. A parent that
    is killed can end nobody: its workers would finish their tasks for no one and then wait for more.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
