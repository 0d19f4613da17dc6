"""Comparison of methods: all decide the same instances, and the problem computes the cost of each decision."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from offloadopt.core import Instances, Method, Problem, Progress, Settings, Solutions, Solver
from offloadopt.errors import InvalidInput, UnknownName, nearest, printable
from offloadopt.evaluation.reference import choose_reference
from offloadopt.evaluation.report import Report
from offloadopt.evaluation.statistics import MethodRun
from offloadopt.parallel import check as check_workers
from offloadopt.parallel import for_each
from offloadopt.progress import by_method

WARM_UP_S = 2.0
"""Time limit in s of the search before those that are timed, where a process solves a part of the instances."""


def compare(
    problem: Problem[Any],
    methods: Mapping[str, Method],
    instances: Instances,
    *,
    reference: str | None = None,
    paired_with: str | None = None,
    seed: int = 0,
    single_decisions: int = 50,
    single_budget_s: float = 10.0,
    bootstrap: int = 2000,
    workers: int = 1,
    backend: str = "loky",
    progress: Progress | None = None,
) -> Report:
    """Compare methods on the same instances.

    Parameters
    ----------
    methods : mapping of str to Method
        By the name to show in the report, without characters that a terminal would obey.
    reference : str, optional
        The method whose bounds the gaps are measured from. Without it, the largest bound that any method proves for an
        instance.
    paired_with : str, optional
        The method that the others' wins and losses are counted against. Without it, the first that proves no bound, or
        the first of all.
    seed : int
        Given to every method, and to the bootstrap.
    single_decisions : int
        How many instances, at most, each method also decides one at a time.
    single_budget_s : float
        Wall-clock budget per method for deciding alone. For a method too slow to decide two instances within it, the
        times of the batch are used: at seconds per instance, the overhead of a call no longer matters.
    bootstrap : int
        Resamples of each interval.
    workers, backend
        Processes in which methods run side by side, and of what kind (`offloadopt.parallel`). A method has one of them,
        or several if it solves instances separately (`Solver.separates`), each for a part of the instances. The report
        is the same but for times, which then are those of a machine with other work.
    progress : callable, optional
        Called with the number of instances decided in the batch since the last call; ``len(methods) * count`` in all.

    Notes
    -----
    Times are the methods' own `Solutions.seconds`: deciding, without scoring. With a horizon they are the time of a
    whole episode. Before anything is timed each method decides one instance, so that no time includes loading
    libraries.

    Raises
    ------
    BrokenProof
        If a method's bound lies above a cost that some method reaches.
    InterruptedComparison
        After Ctrl-C: it holds the report on the methods that had decided all instances.
    """
    _check(problem, methods, instances, reference=reference, paired_with=paired_with)
    methods = {printable(name): method for name, method in methods.items()}
    reference, paired_with = (None if name is None else printable(name) for name in (reference, paired_with))
    for argument, number in (("seed", seed), ("single_decisions", single_decisions), ("bootstrap", bootstrap)):
        if number < 0:
            raise InvalidInput(f"{argument} = {number}; allowed: 0 or more")

    check_workers(workers, backend)
    measure = partial(
        _measure, problem, instances=instances, seed=seed, single_decisions=single_decisions, budget_s=single_budget_s
    )
    units, runs = _units(problem, methods, instances.count, workers), dict[str, MethodRun]()
    workers = min(workers, len(units))
    report = partial(_report, problem, seed=seed, bootstrap=bootstrap, workers=workers)
    try:
        if workers > 1:
            _measure_side_by_side(measure, units, runs, workers, backend, progress)
        else:
            for name, method in methods.items():
                with by_method(name):
                    runs[name] = measure(_Unit(name, method, 0, instances.count), progress=progress)
    except KeyboardInterrupt:
        if not runs:
            raise KeyboardInterrupt from None
        finished = {name: method for name, method in methods.items() if name in runs}
        of, against = (name if name in finished else None for name in (reference, paired_with))
        raise InterruptedComparison(report(finished, runs, of, against)) from None
    return report(methods, runs, reference, paired_with)


@dataclass(frozen=True)
class _Unit:
    """What one process does at a time: a method, by its name, and the instances ``begin`` to ``end - 1``."""

    name: str
    method: Method
    begin: int
    end: int


def _units(problem: Problem[Any], methods: Mapping[str, Method], count: int, workers: int) -> list[_Unit]:
    """Methods, in as many parts as there are workers where instances are solved separately; these, slow ones, first."""
    parts = {
        name: min(workers, count) if isinstance(method, Solver) and method.separates(problem) else 1
        for name, method in methods.items()
    }
    units = list[_Unit]()
    for name in sorted(methods, key=lambda name: -parts[name]):
        ends = np.linspace(0, count, parts[name] + 1).astype(int).tolist()
        units += [_Unit(name, methods[name], begin, end) for begin, end in pairwise(ends)]
    return units


def _measure_side_by_side(
    measure: Callable[[_Unit], MethodRun],
    units: Sequence[_Unit],
    runs: dict[str, MethodRun],
    workers: int,
    backend: str,
    progress: Progress | None,
) -> None:
    """Measure units in processes, and add each method to ``runs`` when all its parts are finished."""
    finished: dict[str, dict[int, MethodRun]] = {}

    def keep(result: tuple[_Unit, MethodRun]) -> None:
        unit, run = result
        parts = finished.setdefault(unit.name, {})
        parts[unit.begin] = run
        if len(parts) == sum(other.name == unit.name for other in units):
            runs[unit.name] = MethodRun.concatenate([parts[begin] for begin in sorted(parts)])
        if progress is not None:
            progress(unit.end - unit.begin)

    for_each(partial(_with_unit, measure), units, keep, workers=workers, backend=backend)


def _with_unit(measure: Callable[[_Unit], MethodRun], unit: _Unit) -> tuple[_Unit, MethodRun]:
    return unit, measure(unit)


def _measure(
    problem: Problem[Any],
    unit: _Unit,
    *,
    instances: Instances,
    seed: int,
    single_decisions: int,
    budget_s: float,
    progress: Progress | None = None,
) -> MethodRun:
    """Let a method decide the unit's instances, and some of them alone."""
    part, whole = unit.end - unit.begin, instances.count
    method = unit.method
    if part < whole:
        instances = instances.take(slice(unit.begin, unit.end))
        _warm_up_briefly(problem, method, instances, seed)
        single_decisions, budget_s = -(-single_decisions * part // whole), budget_s * part / whole
    solutions = _decide(problem, method, instances, seed, progress, warm_up=part == whole > 1)
    slow = single_decisions > 0 and bool(2 * solutions.seconds.mean() > budget_s)
    alone = None if slow else _decide_alone(problem, method, instances, seed, single_decisions, budget_s)
    return _measured(problem, instances, unit.name, method, solutions, alone)


def _warm_up_briefly(problem: Problem[Any], method: Method, instances: Instances, seed: int) -> None:
    """Load libraries and kernels, without the time of a whole search for each part of the instances."""
    if isinstance(method, Solver):
        limit_s = WARM_UP_S if method.time_limit_s is None else min(method.time_limit_s, WARM_UP_S)
        method.replace(time_limit_s=limit_s).run(problem, instances.take([0]), seed=seed)


class InterruptedComparison(KeyboardInterrupt):
    """Ctrl-C ended a comparison early.

    Attributes
    ----------
    report : Report
        On the methods that had decided all instances.
    """

    def __init__(self, report: Report) -> None:
        finished = ", ".join(run.name for run in report.methods)
        super().__init__(f"the report has the methods that were finished: {finished}")
        self.report = report


def _report(
    problem: Problem[Any],
    methods: Mapping[str, Method],
    measured: Mapping[str, MethodRun],
    reference: str | None,
    paired_with: str | None,
    *,
    seed: int,
    bootstrap: int,
    workers: int,
) -> Report:
    """Choose the reference, and gather what was measured, in the order of the methods."""
    runs = [measured[name] for name in methods]
    hindsight = [
        name
        for name, method in methods.items()
        if problem.horizon > 1 and isinstance(method, Solver) and method.hindsight
    ]
    chosen = choose_reference(
        {run.name: run.cost for run in runs}, {run.name: run.bound for run in runs}, reference, hindsight
    )
    if paired_with is None and len(runs) > 1:
        paired_with = next((run.name for run in runs if not run.proves), runs[0].name)
    fields = type(problem.scenario).model_fields
    return Report(
        problem=problem.name,
        scenario=problem.scenario.model_dump(mode="json"),
        scenario_notes={name: field.description or "" for name, field in fields.items()},
        reference=chosen,
        methods=tuple(runs),
        paired_with=paired_with,
        seed=seed,
        bootstrap=bootstrap,
        horizon=problem.horizon,
        main_metrics=problem.main_metrics if runs[0].metrics else (),
        workers=workers,
    )


def _check(problem: Problem[Any], methods: Mapping[str, Method], instances: Instances, **chosen: str | None) -> None:
    """Refuse methods, instances and names of ``chosen`` methods that cannot be compared, before any method runs."""
    if not methods:
        raise InvalidInput("methods is empty; allowed: one method or more")
    if instances.count == 0:
        raise InvalidInput("instances is empty; allowed: one instance or more")
    names: set[str] = set()
    for name, method in methods.items():
        stripped = printable(name).strip()
        if not stripped or stripped in names:
            raise InvalidInput(
                f"method name {name!r} is {'a second one' if stripped else 'blank'}; allowed: distinct names"
            )
        names.add(stripped)
        if isinstance(method, Solver):
            method.require(problem)
    for argument, given in chosen.items():
        if given is not None and given not in methods:
            raise UnknownName(f"{argument} = {given!r} is not compared; {nearest(given, methods)}")


def _measured(
    problem: Problem[Any],
    instances: Instances,
    name: str,
    method: Method,
    solutions: Solutions,
    seconds_alone: Sequence[float] | None,
) -> MethodRun:
    """Charge a method's decisions; the batch's times stand for those of deciding alone where there are none."""
    outcome = problem.evaluate(instances, solutions.decisions)
    return MethodRun(
        name=name,
        settings=method.model_dump(mode="json") if isinstance(method, Settings) else {},
        cost=np.where(outcome.feasible, outcome.cost, np.inf),
        bound=solutions.bound,
        seconds=solutions.seconds,
        seconds_alone=solutions.seconds if seconds_alone is None else np.array(seconds_alone),
        alone_from_batch=seconds_alone is None,
        metrics=outcome.metrics,
    )


def _decide(
    problem: Problem[Any], method: Method, instances: Instances, seed: int, progress: Progress | None, warm_up: bool
) -> Solutions:
    """Decide all instances in one call; report at the end whatever progress the method did not report itself.

    A warm-up decides one of them first, which is not timed.
    """
    reported = 0

    def count(done: int) -> None:
        nonlocal reported
        reported += done
        if progress is not None:
            progress(done)

    if warm_up:
        method.run(problem, instances.take([0]), seed=seed)  # loads libraries, fills caches
    solutions = method.run(problem, instances, seed=seed, progress=count)
    if reported < instances.count:
        count(instances.count - reported)
    return solutions


def _decide_alone(
    problem: Problem[Any], method: Method, instances: Instances, seed: int, limit: int, budget_s: float
) -> list[float]:
    """Measure the seconds of deciding the first instances one at a time, until the budget is spent."""
    times: list[float] = []
    begin = time.perf_counter()
    for row in range(min(limit, instances.count)):
        if times and time.perf_counter() - begin > budget_s:
            break
        times.append(float(method.run(problem, instances.take([row]), seed=seed).seconds[0]))
    return times
