"""Every learner on every problem that it serves, with and without demonstrations, beside the certified optimum.

    python tests/benchmarks/every_combination.py --out results/combinations [--steps 2000] [--only carbon_mimo ppo]

At the smallest sizes: `exact` solves instances, which become demonstrations; each learner is trained for a few steps
without them, and with them where it accepts them; its policy is compared with the optimum on other instances. Every
finished training is kept: a second call goes on. Prints the matrix, and writes it to ``combinations.md``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import offloadopt
from offloadopt.files import write_atomic
from offloadopt.folders import folder_lock, make_folder

SMALLEST: dict[str, dict[str, Any]] = {
    "multi_server": {"users": 4},
    "carbon_mimo": {"users": 2, "antennas": 4, "horizon": 3},
    "partial_mobile": {"users": 3, "horizon": 2},
    "battery_d2d": {"users": 2, "servers": 1, "horizon": 2},
    "twin_inference": {"users": 2, "servers": 2, "horizon": 2},
}
RIVALS = ("lyapunov", "greedy", "random")
"""Solvers beside the learners, where they serve the problem."""
WITHOUT, WITH = "without", "with"


@dataclass(frozen=True)
class Sizes:
    """Decisions of agents in a training, instances solved for demonstrations, instances of the comparison."""

    steps: int = 2000
    demonstrations: int = 64
    instances: int = 50


def combinations(problem: offloadopt.Problem, only: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Learners that serve the problem, of ``only`` some if any, with each of the two ways in which they are trained."""
    for name in offloadopt.available(problem)["learners"]:
        learner = offloadopt.learner(name, problem)
        if not only or name in only:
            if not learner.needs_demonstrations:
                yield name, WITHOUT
            if learner.uses_demonstrations:
                yield name, WITH


def measure(
    problem: offloadopt.Problem,
    folder: Path,
    sizes: Sizes,
    only: Collection[str] = (),
    settings: Callable[[str], dict[str, Any]] = lambda learner: {},
) -> dict[str, Any]:
    """Solve, collect, train and compare on one problem: mean gap in % by method, and what the reference is."""
    given = offloadopt.collect(problem, count=sizes.demonstrations, seed=1, folder=folder / "demonstrations")
    served = offloadopt.available(problem)["solvers"]
    methods: dict[str, Any] = {name: name for name in ("exact", *RIVALS) if name in served}
    for learner, way in combinations(problem, only):
        begin = time.process_time()
        methods[f"{learner} {way}"] = offloadopt.train(
            problem,
            offloadopt.learner(learner, problem, **settings(learner)),
            demonstrations=given if way == WITH else None,
            steps=sizes.steps,
            seed=2,
            folder=folder / f"{learner}-{way}",
        )
        print(f"{problem.name} {learner} {way}: {time.process_time() - begin:.1f} s", flush=True)
    report = offloadopt.compare(problem, methods, sizes.instances, seed=3)
    if not report.reference.proved:
        raise SystemExit(f"{problem.name}: the reference {report.reference.label} is not proved")
    # To the mean of the reference: single instances may have an optimum of 0.
    of = float(report.reference.values.mean())
    gaps = {run.name: float(100.0 * (run.cost.mean() - of) / abs(of)) for run in report.methods}
    return {"reference": report.reference.label, "gaps": gaps}


def matrix(found: dict[str, dict[str, Any]]) -> str:
    """Markdown table: a row per method, a column per problem, gaps in % without and with demonstrations."""
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for problem, result in found.items():
        for method, gap in result["gaps"].items():
            name, _, way = method.partition(" ")
            rows.setdefault(name, {}).setdefault(problem, {})[way or WITHOUT] = gap

    def cell(gaps: dict[str, float] | None) -> str:
        ways = (WITHOUT, WITH) if gaps and WITH in gaps else (WITHOUT,)
        return " / ".join(f"{gaps[way]:.3g}" if way in gaps else "-" for way in ways) if gaps else ""

    solvers = [name for name in ("exact", *RIVALS) if name in rows]
    learners = [name for name in offloadopt.available()["learners"] if name in rows]
    lines = ["| method | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for name in solvers + learners:
        lines.append(f"| {name} | " + " | ".join(cell(rows[name].get(problem)) for problem in found) + " |")
    lines.append("| reference | " + " | ".join(result["reference"] for result in found.values()) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every combination, or what is named, and print the matrix."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/combinations"))
    parser.add_argument("--steps", type=int, default=Sizes.steps, help="decisions of agents in a training")
    parser.add_argument("--demonstrations", type=int, default=Sizes.demonstrations, help="instances solved for them")
    parser.add_argument("--instances", type=int, default=Sizes.instances, help="instances of the comparison")
    parser.add_argument("--only", nargs="+", default=[], help="problems, learners, or both")
    options = parser.parse_args()
    named = set(options.only)
    problems = [name for name in SMALLEST if name in named] or list(SMALLEST)
    found = {}
    with folder_lock(make_folder(options.out)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in problems:
            problem = offloadopt.problem(name, **SMALLEST[name])
            sizes = Sizes(options.steps, options.demonstrations, options.instances)
            found[name] = measure(problem, options.out / name, sizes, named - set(SMALLEST))
        write_atomic(options.out / "combinations.json", json.dumps(found, indent=1).encode())
        write_atomic(options.out / "combinations.md", matrix(found).encode())
    print(matrix(found))


if __name__ == "__main__":
    main()
