"""The whole toolkit in one run: solve with proof, collect demonstrations, train a policy on them, compare.

The problem is `multi_server`: 30 devices, each with a task that it computes itself or offloads to one of two edge
servers, whose CPU is shared. Everything is written to one folder, which a second run replaces:

    python examples/demo.py --out results/demo
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import offloadopt
from offloadopt.errors import OffloadError

HELD_OUT, DEMONSTRATIONS = 200, 4096
BASELINES = ("levy", "greedy", "random", "local")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results/demo"), help="folder (default %(default)s)")
    results = parser.parse_args().out
    sys.stdout.reconfigure(line_buffering=True)  # in a log, too, each line stands before its progress
    problem = offloadopt.problem("multi_server", preset="paper")

    print(f"1. Solve {HELD_OUT} held-out instances to proven optimality")
    held_out = problem.sample(HELD_OUT, seed=1)
    begin = time.perf_counter()
    optimum = offloadopt.solve(problem, held_out, display=True)
    proved = optimum.status_names.count("OPTIMAL")
    print(f"   {proved} of {HELD_OUT} proved optimal in {time.perf_counter() - begin:.2f} s", end=", ")
    print(f"mean cost {optimum.objective.mean():.4f}")

    print(f"2. Collect {DEMONSTRATIONS} demonstrations from the exact solver")
    begin = time.perf_counter()
    folder = results / "demonstrations"
    demonstrations = offloadopt.collect(
        problem, count=DEMONSTRATIONS, folder=folder, workers=2, overwrite=True, display=True
    )
    print(f"   {folder} in {time.perf_counter() - begin:.1f} s")

    print("3. Train one small network per server to imitate them")
    begin = time.perf_counter()
    policy = offloadopt.train(problem, "imitation", demonstrations=demonstrations, display=True)
    policy.save(results / "policy")
    print(f"   {results / 'policy'} in {time.perf_counter() - begin:.1f} s")

    print("4. Compare everything on the held-out instances")
    methods = {"exact": "exact", "imitation": policy, **{name: name for name in BASELINES}}
    report = offloadopt.compare(problem, methods, held_out, display=True)
    report.save(results / "report")
    print(report)
    print(f"\nOpen the report in a browser: {(results / 'report' / 'report.html').resolve()}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; run it again to start over")
    except OffloadError as error:
        sys.exit(f"error: {error}")
