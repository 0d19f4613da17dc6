"""Ablation of DIRS's gap to the optimum: observation, network size, expert, or training time of its agents.

Trains the same agents several times with one thing changed, and measures each on the same held-out instances against
the certified optimum. Takes some minutes.
"""

from __future__ import annotations

import argparse
import sys

import offloadopt
from offloadopt.errors import OffloadError
from offloadopt.evaluation.statistics import mean_interval
from offloadopt.learners.dirs.ablation import BATCH_SIZE, VARIANTS, ablation_gaps
from offloadopt.progress import progress

HELD_OUT = 500


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    problem = offloadopt.problem("multi_server", preset="paper")
    held_out = problem.sample(HELD_OUT, seed=1)
    gradient_steps = sum(variant.gradient_steps for variant in VARIANTS.values())
    with progress("training", gradient_steps * BATCH_SIZE * problem.num_agents) as advance:
        gaps = ablation_gaps(problem, held_out, progress=advance)
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
