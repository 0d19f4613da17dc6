"""Whether every solver ends within its time limit, on instances far above the paper's size.

    python tests/benchmarks/time_limits.py [--limit 0.1 1] [--only partial_mobile exact]

Measures the CPU time of one call on one instance after a warm-up that compiles, so that other processes on the machine
do not matter much. What takes more than 1.2 times the limit plus 1 s is marked, and makes the script fail.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import offloadopt
from offloadopt.errors import OffloadError

SIZES: dict[str, tuple[dict[str, Any], ...]] = {
    "multi_server": ({"users": 200}, {"users": 200, "servers": 20}, {"users": 2000, "servers": 5}),
    "partial_mobile": ({"users": 200}, {"users": 1000, "horizon": 1}, {"horizon": 200}),
    "carbon_mimo": ({"horizon": 500}, {"users": 50, "antennas": 64}, {"preset": "interference", "horizon": 500}),
    "battery_d2d": ({"horizon": 500}, {"users": 60, "servers": 6}),
    "twin_inference": ({"users": 40}, {"horizon": 100}, {"users": 200, "servers": 20}),
}
WARM_UP: dict[str, dict[str, Any]] = {
    "multi_server": {"users": 6},
    "partial_mobile": {"users": 4, "horizon": 2},
    "carbon_mimo": {"users": 2, "antennas": 3, "horizon": 6},
    "battery_d2d": {"users": 2, "servers": 1, "horizon": 4},
    "twin_inference": {"users": 3, "servers": 2, "horizon": 2},
}
FACTOR, GRACE_S = 1.2, 1.0


def measure(solver: str, name: str, fields: dict[str, Any], limits: list[float]) -> int:
    """Print the CPU seconds of one solver on one instance at each limit; return how many are too late."""
    problem = offloadopt.problem(name, **fields)
    if solver not in offloadopt.available(problem)["solvers"]:
        return 0
    preset = {key: fields[key] for key in fields if key == "preset"}
    small = offloadopt.problem(name, **WARM_UP[name], **preset)
    instance, late = problem.sample(1, seed=1), 0
    for limit in limits:
        try:
            for enough in (5.0, 1e-6):
                offloadopt.solver(solver, small, time_limit_s=enough).run(small, small.sample(1, seed=3))
            begin = time.process_time()
            found = offloadopt.solver(solver, problem, time_limit_s=limit).run(problem, instance)
        except OffloadError as error:
            print(f"{name:15} {fields} {solver}: {error!s:.120}", flush=True)
            return late
        seconds = time.process_time() - begin
        too_late = seconds > FACTOR * limit + GRACE_S
        late += too_late
        gap = f"cost {found.objective[0]:.6g}, bound {found.bound[0]:.6g}"
        print(f"{name:15} {fields} {solver} {limit:g} s: {seconds:.2f} s, {gap}{' TOO LATE' * too_late}", flush=True)
    return late


def main() -> None:
    """Measure all, or what is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, nargs="+", default=[0.1, 1.0], help="time limits in s")
    parser.add_argument("--only", nargs="+", default=[], help="problems, solvers, or both")
    options = parser.parse_args()
    named = set(options.only)
    problems, solvers = (named & set(names) or set(names) for names in (SIZES, offloadopt.available()["solvers"]))
    late = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(problems):
            for fields in SIZES[name]:
                for solver in sorted(solvers):
                    late += measure(solver, name, fields, options.limit)
    if late:
        raise SystemExit(f"{late} too late")


if __name__ == "__main__":
    main()
