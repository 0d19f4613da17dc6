"""Differential tries of proofs: no bound of any prover exceeds the cost of any decision.

Every solver that serves a small random case (`fuzz.cases`) is run. The bounds of those that prove are compared with the
costs of all decisions that any solver found, of all assignments, and of `PERTURBATIONS` random decisions near the best
one; `problem.evaluate` says what these cost, and which of them are feasible. Slow solvers are drawn for some cases.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.cases import Case, random_case, smaller_cases
from fuzz.perturbations import perturbed
from fuzz.tries import Try
from offloadopt import registry
from offloadopt.core import ROUNDING, Decisions, FloatArray, Instances, Problem, Solutions, Status
from offloadopt.errors import BrokenProof, Unsupported
from offloadopt.structures.assignment import AssignmentProblem

FILE = "case.json"
PERTURBATIONS = 200
SLOW: Mapping[str, float] = {
    "expert": 0.2,
    "milp": 0.05,
    "minlp": 0.02,
    "grid-milp": 0.1,
    "levy": 0.05,
    "levy-classic": 0.03,
    "levy-literal": 0.03,
    "dynamic-programming": 0.02,
    "local-search": 0.1,
}
"""Chance of solvers that take longer than the others, or do what another one does."""
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "lyapunov": {"v": 1.0},
    "levy": {"generations": 20},
    "levy-classic": {"generations": 20},
    "levy-literal": {"generations": 20},
    "dynamic-programming": {"buffer_points": 17, "gain_points": 5, "actions": 9},
}
SHARES: Mapping[str, float] = {
    "multi_server": 0.25,
    "carbon_mimo": 0.17,
    "partial_mobile": 0.24,
    "battery_d2d": 0.14,
    "twin_inference": 0.2,
}
"""Shares of the problems in the cases: fewer where a case takes longer."""
LIMITS_S: Mapping[str, float] = {"milp": 1.0, "minlp": 1.0}
"""Time limits of solvers; of the others `LIMIT_S`."""
LIMIT_S = 0.2


class FalseProof(AssertionError):
    """A bound above the cost of a decision, or a claim of optimality with a better decision at hand."""


@dataclass(frozen=True)
class Costs:
    """Costs of decisions that a method found, or that were made for the comparison."""

    source: str
    cost: FloatArray


def proofs(rng: random.Random) -> Try:
    """A random case, solved by all that are quick and some that are slow."""
    case = random_case(rng, rng.choices(tuple(SHARES), tuple(SHARES.values()))[0])
    problem, _ = case.made()
    names = [name for name in registry.names("solvers") if registry.serves("solvers", name, problem)]
    return _try_of(replace(case, methods=[name for name in names if rng.random() < SLOW.get(name, 1.0)]))


def _try_of(case: Case) -> Try:
    code = f"from fuzz.proofs import examine; counts.update(examine({FILE!r}))"
    return Try(code=code, files={FILE: case.content}, limit_s=30.0, smaller=_smaller)


def _smaller(made: Try) -> Iterator[Try]:
    return map(_try_of, smaller_cases(Case(**made.files[FILE])))


def examine(file: Path | str) -> Counter[str]:
    """Solve the case of a file, and compare all claims with all costs.

    Returns
    -------
    Counter of str
        Of the problem's ``instances`` and ``comparisons``, and of each prover's instances and proved optima.

    Raises
    ------
    FalseProof
        If a claim is false.
    OffloadError
        If the case is refused.
    """
    case = Case.read(file)
    problem, instance = case.made()
    counts, claims, costs = Counter({f"{case.problem}: instances": 1}), dict[str, Solutions](), list[Costs]()
    names = case.methods or [name for name in registry.names("solvers") if registry.serves("solvers", name, problem)]
    for name in names:
        try:
            options = {"time_limit_s": LIMITS_S.get(name, LIMIT_S), **OPTIONS.get(name, {})}
            solver = registry.solver(name, problem, **options)
            found = solver.run(problem, instance, seed=0)
        except Unsupported:
            continue
        except BrokenProof as error:
            raise FalseProof(f"{name}: {error}") from error
        costs.append(Costs(name, found.objective))
        if solver.proves:
            claims[name] = found
            counts[f"{case.problem}: {name}"] += 1
            counts[f"{case.problem}: {name}, optimal"] += int(found.status[0] == Status.OPTIMAL)
        if "grid_bound" in found.details:
            _compare(f"{name}'s grid_bound", float(found.details["grid_bound"].sum()), [_on_grid(problem, instance)])
        if found.objective[0] <= min(float(each.cost.min()) for each in costs):
            best = found.decisions
    costs += _others(problem, instance, best)
    for name, found in claims.items():
        counts[f"{case.problem}: comparisons"] += _compare(name, float(found.bound[0]), costs)
    return counts


def table_of_proofs(counts: Mapping[str, int]) -> str:
    """Instances, comparisons, and the provers with their instances and proved optima, by problem, as Markdown."""
    lines = [
        "| problem | instances | comparisons | provers: instances, proved optimal |",
        "|---|---:|---:|---|",
    ]
    for problem in dict.fromkeys(name.split(":")[0] for name in sorted(counts)):
        own = {name.removeprefix(f"{problem}: "): number for name, number in counts.items() if name.startswith(problem)}
        provers = [name for name in own if f"{name}, optimal" in own]
        parts = [f"{name} {own[name]:,}, {own[f'{name}, optimal']:,}" for name in provers]
        sizes = [f"{own.get(name, 0):,}" for name in ("instances", "comparisons")]
        lines.append(f"| {' | '.join([problem, *sizes, '; '.join(parts)])} |")
    return "\n".join(lines)


def _compare(prover: str, bound: float, costs: list[Costs]) -> int:
    """Compare a bound with costs that two computations of them may show; return their number."""
    for each in costs:
        least = float(each.cost.min())
        if np.isnan(bound) or bound > least + 2.0 * ROUNDING * abs(least):
            excess = (bound - least) / abs(least) if least else np.inf
            raise FalseProof(f"{prover}: bound {bound!r} above {least!r} of {each.source} by {excess:.1e}")
    return sum(int(np.isfinite(each.cost).sum()) for each in costs)


def _others(problem: Problem[Any], instance: Instances, best: Decisions) -> list[Costs]:
    """Costs of decisions near the best one, and of all assignments with what the problem allocates to them."""
    evaluate = partial(_evaluated, problem, instance)
    near = evaluate(perturbed(problem, instance, best, PERTURBATIONS, np.random.default_rng(0)))
    made = [Costs("a decision near the best", near)]
    if isinstance(problem, AssignmentProblem) and problem.horizon == 1:
        every = np.array(list(product(range(problem.servers + 1), repeat=problem.tasks)))
        copies = instance.take(np.zeros(len(every), dtype=np.int64))
        made.append(Costs("an assignment", evaluate(problem.allocate(copies, every))))
    return made


def _evaluated(problem: Problem[Any], instance: Instances, decisions: Decisions) -> FloatArray:
    """Costs of decisions for one instance, infinite of those that are infeasible."""
    outcome = problem.evaluate(instance.take(np.zeros(decisions.count, dtype=np.int64)), decisions)
    return np.where(outcome.feasible & np.isfinite(outcome.cost), outcome.cost, np.inf)


def _on_grid(problem: Problem[Any], instance: Instances, levels: int = 5) -> Costs:
    """Costs of random decisions on the grid of `grid-milp`."""
    rng, shape = np.random.default_rng(1), (PERTURBATIONS, *instance["task_bits"].shape[1:])
    cpu = rng.integers(0, levels, shape) / (levels - 1)
    decisions = {
        "server": rng.integers(0, problem.decision_fields["server"].high + 1, shape),
        "ratio": rng.integers(0, levels, shape) / (levels - 1),
        "cpu_hz": cpu * problem.decision_fields["cpu_hz"].high,
    }
    return Costs("a decision on the grid", _evaluated(problem, instance, Decisions(decisions)))


if __name__ == "__main__":
    print(dict(examine(sys.argv[1])))
