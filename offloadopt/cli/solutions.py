"""Solutions as JSON for programs, and as tables that also tell people how hard the instances were."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from offloadopt import registry
from offloadopt.cli.terminal import note, print_table
from offloadopt.core import Instances, Problem, Solutions
from offloadopt.structures.assignment import AssignmentProblem, PricedAssignmentProblem

NAIVE = ("local", "greedy", "random")
"""Rules that take no optimization; what a solution saves against them is what the instances have to give."""
SHOWN = 20
"""Rows of the table; programs get all of them."""


def solutions_json(
    problem: Problem[Any], solver: str, solutions: Solutions, instances: Instances | None
) -> dict[str, Any]:
    """What ``solve --json`` prints; with ``instances`` each result holds its own. What is not known is null."""
    results = []
    gap = solutions.gap
    for index, status in enumerate(solutions.status_names):
        result = {
            "index": index,
            "status": status,
            "objective": _finite(solutions.objective[index]),
            "bound": _finite(solutions.bound[index]),
            "gap": _finite(gap[index]),
            "seconds": float(solutions.seconds[index]),
            "decision": {name: array[index].tolist() for name, array in solutions.decisions.items()},
        }
        if instances is not None:
            result["instance"] = {name: array[index].tolist() for name, array in instances.items()}
        results.append(result)
    scenario = problem.scenario.model_dump(mode="json")
    return {"problem": problem.name, "scenario": scenario, "solver": solver, "results": results}


def print_solutions(problem: Problem[Any], instances: Instances, solutions: Solutions, seed: int) -> None:
    """Print each solution, then how the tasks were decided and what that saves against naive rules."""
    count, shown = len(solutions.objective), solutions.take(slice(SHOWN))
    columns = (shown.status_names, shown.objective, shown.bound, shown.gap, shown.seconds)
    rows = [
        (str(index), status, _number(cost), _number(bound), _number(gap, ".2g"), _number(seconds, ".2g"))
        for index, (status, cost, bound, gap, seconds) in enumerate(zip(*columns, strict=True))
    ]
    print_table(["index", "status", "objective", "bound", "gap", "seconds"], rows, text_columns=2)
    if count > SHOWN:
        print(f"... and {count - SHOWN} more; --json prints all of them\n")
    solved = np.flatnonzero(np.isfinite(solutions.objective))
    if len(solved) and isinstance(problem, AssignmentProblem):
        _print_shares(problem, solutions.take(solved))
        _print_spread(problem, instances.take(solved), solutions.take(solved), seed)
        if isinstance(problem, PricedAssignmentProblem) and "prices" in solutions.details:
            _print_prices(problem, instances.take(solved), solutions.take(solved))
    if len(solved) < count:
        note(f"no feasible solution for {count - len(solved)} of {count} instances")


def _print_shares(problem: AssignmentProblem[Any], solutions: Solutions) -> None:
    options = problem.assignment(solutions.decisions)
    names = ["local", *(f"server {j}" for j in range(1, problem.servers + 1))]
    shares = [f"{name} {np.mean(options == option):.1%}" for option, name in enumerate(names)]
    print("tasks decided:", ", ".join(shares))


def _print_spread(problem: AssignmentProblem[Any], instances: Instances, solutions: Solutions, seed: int) -> None:
    best = float(solutions.objective.mean())
    rows = [("this solution", f"{best:.6g}", "")]
    for name in NAIVE:
        naive = registry.solver(name, problem).run(problem, instances, seed=seed).objective.mean()
        rows.append((name, _number(naive), f"{naive / best - 1:+.2%}" if np.isfinite(naive) else "infeasible"))
    print_table(["rule", "mean cost", "against this solution"], rows)


def _print_prices(problem: PricedAssignmentProblem[Any], instances: Instances, solutions: Solutions) -> None:
    # A share of the capacity needs no unit, whatever the problem's servers share.
    saved = np.mean(0.01 * problem.costs(instances).capacity * solutions.details["prices"], axis=0)
    servers = [f"server {j} {saving:.3g}" for j, saving in enumerate(saved, start=1)]
    print("1 % more capacity would save about:", ", ".join(servers))


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: Any, form: str = ".6g") -> str:
    """A number for a table; a dash where there is none."""
    return format(float(value), form) if math.isfinite(value) else "–"
