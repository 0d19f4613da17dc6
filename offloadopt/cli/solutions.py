"""Solutions as JSON for programs and as tables for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from offloadopt.cli.terminal import note, print_table
from offloadopt.core import Instances, IntArray, Problem, Solutions
from offloadopt.structures.assignment import PricedAssignmentProblem

SHOWN = 20
"""Rows of the table; programs get all of them."""
TABLES = 3
"""Instances whose tasks are listed."""


def solutions_json(
    problem: Problem[Any],
    solver: str,
    solutions: Solutions,
    others: Mapping[str, Solutions],
    instances: Instances | None,
) -> dict[str, Any]:
    """Gather what ``solve --json`` prints.

    With ``others`` the document tells their objectives; with ``instances`` each result holds its own. A number that is
    not known is null.
    """
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
            "metrics": {name: _finite(values[index]) for name, values in solutions.metrics.items()},
            "decision": {name: array[index].tolist() for name, array in solutions.decisions.items()},
        }
        if instances is not None:
            result["instance"] = {name: array[index].tolist() for name, array in instances.items()}
        results.append(result)
    scenario = problem.scenario.model_dump(mode="json")
    found: dict[str, Any] = {"problem": problem.name, "scenario": scenario, "solver": solver, "results": results}
    if others:
        found["against"] = {name: [_finite(cost) for cost in other.objective] for name, other in others.items()}
    return found


def print_solutions(
    problem: Problem[Any],
    instances: Instances,
    solutions: Solutions,
    others: Mapping[str, Solutions],
    *,
    hindsight: bool = False,
) -> None:
    """Print what was proved and decided for each instance, and what it saves against other solvers.

    Parameters
    ----------
    problem, instances, solutions
    others : mapping of str to Solutions
        Of the same instances, by the solvers to compare with.
    hindsight : bool
        Whether the solver knows nature's draws of later slots; said where there are any.
    """
    count, shown = len(solutions.objective), solutions.take(slice(SHOWN))
    columns = (shown.status_names, shown.objective, shown.bound, shown.gap, shown.seconds)
    rows = [
        (str(index), status, _number(cost), _number(bound), _number(gap, ".2g"), _number(seconds, ".2g"))
        for index, (status, cost, bound, gap, seconds) in enumerate(zip(*columns, strict=True))
    ]
    print_table(["index", "status", "objective", "bound", "gap", "seconds"], rows, text_columns=2)
    if count > SHOWN:
        print(f"... and {count - SHOWN} more; --json prints all of them\n")
    if hindsight and problem.horizon > 1:
        print(f"in hindsight: all {problem.horizon} slots of nature are known to the solver\n")
    solved = np.flatnonzero(np.isfinite(solutions.objective))
    if len(solved):
        found = solutions.take(solved)
        _print_decisions(problem, found, solved)
        _print_metrics(problem, solutions, others)
        if others:
            _print_savings(solutions, others)
        if isinstance(problem, PricedAssignmentProblem) and "prices" in found.details:
            _print_prices(problem, instances.take(solved), found)
    if len(solved) < count:
        note(f"no feasible solution for {count - len(solved)} of {count} instances")


def _print_decisions(problem: Problem[Any], found: Solutions, numbers: IntArray) -> None:
    """Who does what: the tasks of the first instances, or their counts; of several instances the whole as well."""
    for row, number in enumerate(numbers[:TABLES]):
        table = found.table(row)
        if len(table):
            print(f"who does what{f' in instance {number}' if len(numbers) > 1 else ''}\n{table}\n")
    if len(numbers) > 1 or not len(found.table(0)):
        if len(numbers) > 1:
            print(f"all {len(numbers)} instances together")
        print("\n".join(problem.describe(found.decisions)))


def _print_metrics(problem: Problem[Any], solutions: Solutions, others: Mapping[str, Solutions]) -> None:
    """Mean metrics over the instances that each solver solved, beside each other."""
    every = {"this solution": solutions, **others}
    names = problem.main_metrics or tuple(solutions.metrics)
    if not names:
        return
    solved = {name: np.isfinite(each.objective) for name, each in every.items()}
    rows = [
        (metric, *(_number(np.mean(each.metrics[metric][solved[name]])) if solved[name].any() else "–"
                   for name, each in every.items()))
        for metric in names
    ]  # fmt: skip
    print_table(["metric" if len(solutions.objective) == 1 else "metric, mean", *every], rows)


def _print_savings(solutions: Solutions, others: Mapping[str, Solutions]) -> None:
    """Mean costs of other solvers, and how far they lie above the solution's, over the instances that all solved."""
    solved = np.isfinite([solutions.objective, *(other.objective for other in others.values())]).all(axis=0)
    if not solved.any():
        note("no instance was solved by all solvers")
        return
    cost = float(solutions.objective[solved].mean())
    rows = [("this solution", f"{cost:.6g}", "")]
    for name, other in others.items():
        mean = float(other.objective[solved].mean())
        rows.append((name, f"{mean:.6g}", f"{(mean - cost) / abs(cost):+.2%}" if cost else "-"))
    print_table(["solver", "mean cost", "above this solution"], rows)


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
