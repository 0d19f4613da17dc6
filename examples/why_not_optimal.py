"""What keeps DIRS from the optimum: what its agents may see, their size, their teachers, or how long they learn.

Trains the same agents several times with one thing changed, and measures each on the same held-out instances against
the certified optimum. Takes some minutes.
"""

from __future__ import annotations

import sys

import offloadopt
from offloadopt.errors import OffloadError
from offloadopt.evaluation.statistics import mean_interval
from offloadopt.learners.dirs.ablation import VARIANTS, causes
from offloadopt.progress import progress

HELD_OUT = 500


def main() -> None:
    problem = offloadopt.problem("multi_server", preset="paper")
    held_out = problem.sample(HELD_OUT, seed=1)
    with progress("training", sum(variant.steps for variant in VARIANTS.values())) as advance:
        gaps = causes(problem, held_out, progress=advance)
    print(f"{'mean gap to the optimum':42}  %      95 % interval")
    for name, gap in gaps.items():
        low, high = mean_interval(gap, resamples=2000, seed=0)
        print(f"{name:42}  {100 * gap.mean():.3f}  {100 * low:.3f} to {100 * high:.3f}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except OffloadError as error:
        sys.exit(f"error: {error}")
