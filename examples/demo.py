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
from offloadopt.datasets.demonstrations import collect
from offloadopt.errors import OffloadError
from offloadopt.evaluation import compare
from offloadopt.progress import progress

HELD_OUT, DEMONSTRATIONS = 200, 4096
BASELINES = ("levy", "greedy", "random", "local")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results/demo"), help="default %(default)s")
    results = parser.parse_args().out
    sys.stdout.reconfigure(line_buffering=True)  # in a log, too, each line stands before its progress
    problem = offloadopt.problem("multi_server", preset="paper")
    exact = offloadopt.solver("exact", problem)

    print(f"1. Solve {HELD_OUT} held-out instances to proven optimality")
    held_out = problem.sample(HELD_OUT, seed=1)
    begin = time.perf_counter()
    with progress("solving", HELD_OUT) as advance:
        optimum = exact.run(problem, held_out, progress=advance)
    proved = optimum.status_names.count("OPTIMAL")
    print(f"   {proved} of {HELD_OUT} proved optimal in {time.perf_counter() - begin:.2f} s", end=", ")
    print(f"mean cost {optimum.objective.mean():.4f}")

    print(f"2. Collect {DEMONSTRATIONS} demonstrations from the exact solver")
    begin = time.perf_counter()
    with progress("collecting", DEMONSTRATIONS) as advance:
        demonstrations = collect(
            problem,
            exact,
            count=DEMONSTRATIONS,
            seed=0,
            folder=results / "demonstrations",
            workers=2,
            overwrite=True,
            progress=advance,
        )
    print(f"   {results / 'demonstrations'} in {time.perf_counter() - begin:.1f} s")

    print("3. Train one small network per server to imitate them")
    begin = time.perf_counter()
    learner = offloadopt.learner("imitation")
    with progress("training", learner.default_steps) as advance:
        policy = learner.fit(problem, demonstrations=demonstrations, seed=0, progress=advance)
    policy.save(results / "policy")
    print(f"   {results / 'policy'} in {time.perf_counter() - begin:.1f} s")

    print("4. Compare everything on the held-out instances")
    methods = {"exact": exact, "imitation": policy, **{name: offloadopt.solver(name, problem) for name in BASELINES}}
    with progress("comparing", HELD_OUT * len(methods)) as advance:
        report = compare(problem, methods, held_out, seed=1, progress=advance)
    report.save(results / "report")
    print(report.summary())
    print(f"\nOpen the report in a browser: {(results / 'report' / 'report.html').resolve()}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; run it again to start over")
    except OffloadError as error:
        sys.exit(f"error: {error}")
