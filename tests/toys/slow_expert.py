"""A collection that can be interrupted: python slow_expert.py FOLDER WORKERS SECONDS_PER_SHARD."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import offloadopt
from offloadopt.core import Instances, Problem, Progress, Solutions
from offloadopt.datasets.demonstrations import collect
from offloadopt.solvers.random import Random

COUNT = 24
SHARDS = 12
pause_s = 0.0


class Slow(Random):
    """An expert that thinks; how long is no setting, so that the set stays the same."""

    name = "slow"

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        if pause_s and "torch" in sys.modules:
            raise RuntimeError("torch has been imported")
        time.sleep(pause_s)
        return super().run(problem, instances, seed=seed, progress=progress)


class Dying(Slow):
    """An expert whose process dies at one of its shards, unless it is the process that asked."""

    home: int

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        if seed % 4 == 0 and os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(problem, instances, seed=seed, progress=progress)


def run(folder: Path | str, workers: int = 1) -> None:
    problem = offloadopt.problem("multi_server", users=4)
    collect(problem, Slow(), count=COUNT, seed=0, shard_size=COUNT // SHARDS, folder=folder, workers=workers)


if __name__ == "__main__":
    pause_s = float(sys.argv[3])
    try:
        run(sys.argv[1], int(sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit(130)
