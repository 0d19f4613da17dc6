"""Parallel execution of independent tasks in processes of this machine (joblib's loky) or of a Ray cluster.

Results are returned as soon as they are computed, so that finished work can be stored before the rest is done. Ray's
own pool is used because joblib's Ray backend returns all results at the end.
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

from offloadopt.errors import InvalidInput, OffloadError, Unsupported, nearest, require_whole
from offloadopt.interrupts import blocked, held

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


def check(workers: int, backend: str) -> None:
    """Refuse an invalid number of workers, and a backend that is unknown or not installed."""
    require_whole("workers", workers, least=1)
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
    handle: Callable[[ResultT], None],
    *,
    workers: int,
    backend: str,
) -> None:
    """Call ``handle(function(task))`` for every task, in the order in which the tasks finish.

    Any exception that ends this call, for example Ctrl-C, ends the workers too.

    Parameters
    ----------
    function : callable
        Runs in a worker process.
    tasks : sequence
    handle : callable
        Runs in this process.
    workers : int
        Number of processes; no more than there are tasks are started.
    backend : {"loky", "ray"}

    Raises
    ------
    OffloadError
        If a worker process dies or the cluster fails.
    """
    with _POOLS[backend](function, tasks, min(workers, len(tasks))) as results:
        for result in results:
            handle(result)


@contextmanager
def _loky(function: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Iterator[Iterable[Any]]:
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import resource_tracker

    import joblib
    from joblib.externals.loky.backend import resource_tracker as resource_tracker_of_joblib

    for tracker in (resource_tracker, resource_tracker_of_joblib):
        tracker.ensure_running()  # to start them lets blocked signals through
    # One thread per process, since the processes share the cores.
    with joblib.parallel_config("loky", inner_max_num_threads=1, initializer=_end_with_parent):
        pool = joblib.Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered")
        with blocked():
            results = pool(joblib.delayed(function)(task) for task in tasks)
        try:
            yield results
        except BrokenProcessPool:
            raise OffloadError("a worker process died, perhaps out of memory; finished work is kept") from None
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # joblib warns of the tasks that it cancels
                results.close()


@contextmanager
def _ray(function: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Iterator[Iterable[Any]]:
    import ray
    from ray.exceptions import RayError
    from ray.util.multiprocessing import Pool

    connected = ray.is_initialized()
    try:
        if not connected:  # RAY_ADDRESS names a cluster; without it Ray starts one on this machine
            with held():  # interrupted while it begins or ends, Ray crashes; and it replaces the handler of SIGTERM
                ray.init(logging_level=logging.ERROR, log_to_driver=False)
        with Pool(workers) as pool:
            yield pool.imap_unordered(function, tasks, chunksize=1)
    except SystemExit:  # raised by that handler
        raise KeyboardInterrupt from None
    except RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise OffloadError(f"the Ray cluster failed ({reason}); finished work is kept") from None
    finally:
        if not connected:
            with held():
                ray.shutdown()


_POOLS = {"loky": _loky, "ray": _ray}


def _end_with_parent() -> None:
    """Set up a worker process to ignore Ctrl-C and to end as soon as its parent has ended.

    A terminal sends Ctrl-C to all processes; the parent then ends the workers, which print no traceback. A parent that
    is killed cannot end its workers, which would finish their tasks in vain and then wait for more.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def exit_when_orphaned() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=exit_when_orphaned, daemon=True).start()
