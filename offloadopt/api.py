"""The front door: solve, certify, collect, train and compare, each in one call."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from numpy.typing import ArrayLike

from offloadopt import registry
from offloadopt.core import (
    Batch,
    Budget,
    Demonstrations,
    Instances,
    Interrupted,
    Learner,
    Method,
    Policy,
    Problem,
    Progress,
    Record,
    Solutions,
    Solver,
)
from offloadopt.errors import InvalidInput, UnknownName, nearest, require_whole, shown
from offloadopt.files import write_atomic
from offloadopt.magnitudes import unusual_array

if TYPE_CHECKING:
    from offloadopt.evaluation import Report

Compared = Method | str | Path | tuple[str, Mapping[str, Any]]
"""What `compare` accepts as a method."""
ALLOWED_METHODS = "a name, a pair of name and options, the folder of a policy, a solver, a policy"
COMPARED = ("exact", "lyapunov", "levy", "greedy", "local", "random")
"""Methods that `compare` takes where none is named: those of them that serve the problem."""


def available(problem: Problem[Any] | None = None) -> dict[str, list[str]]:
    """List the names of problems, solvers and learners.

    Parameters
    ----------
    problem : Problem, optional
        With it, only methods that serve this problem as it is (see `offloadopt.registry.serves`).

    Returns
    -------
    dict
        Names by group: ``"problems"`` (only without a problem), ``"solvers"``, ``"learners"``.
    """
    if problem is None:
        return {group: list(registry.names(group)) for group in ("problems", "solvers", "learners")}
    _check_problem(problem)
    return {
        group: [name for name in registry.names(group) if registry.serves(group, name, problem)]
        for group in ("solvers", "learners")
    }


def solve(
    problem: Problem[Any],
    instances: Instances | Mapping[str, ArrayLike],
    solver: str | Solver = "exact",
    *,
    seed: int = 0,
    display: bool = False,
    **options: Any,
) -> Solutions:
    """Solve instances, by default to the strongest proof there is for the problem.

    Parameters
    ----------
    problem : Problem
    instances : Instances, or mapping of str to array [count, ...]
        Sampled by ``problem.sample``, or the user's own arrays.
    solver : str or Solver
        A name of `available`, or a solver. ``"exact"`` knows the whole instance: where there is a horizon, all of
        nature (hindsight), so that its bound holds for every method.
    seed : int
        Of whatever the solver draws.
    display : bool
        Whether progress is shown on stderr.
    options
        Fields of the solver, for example ``relative_gap`` or ``time_limit_s``; only together with a name.

    Returns
    -------
    Solutions
        ``print(solutions)`` says what was proved and decided. Ctrl-C ends the search early, with a warning: finished
        instances have their proofs, the others the best decision and the bound found until then.
    """
    _check_problem(problem)
    require_whole("seed", seed)
    made = _solver(problem, solver, options)
    if not isinstance(instances, Mapping):
        raise InvalidInput(f"instances = {instances!r:.60}; allowed: Instances, or arrays by name")
    checked = instances if isinstance(instances, Instances) else problem.check_instances(instances)
    unusual = None if isinstance(instances, Instances) else unusual_array(problem, checked)
    if unusual is not None:
        warnings.warn(unusual, stacklevel=2)
    with _shown(display, f"solving with {made.name}", checked.count) as progress:
        try:
            return made.run(problem, checked, seed=seed, progress=progress)
        except Interrupted as stopped:
            warnings.warn("interrupted: the solutions are those found until Ctrl-C", stacklevel=2)
            return stopped.solutions


def collect(
    problem: Problem[Any],
    solver: str | Solver = "exact",
    *,
    count: int,
    folder: Path | str,
    seed: int = 0,
    workers: int = 1,
    backend: str = "loky",
    overwrite: bool = False,
    display: bool = False,
    **options: Any,
) -> Demonstrations:
    """Solve ``count`` sampled instances and keep them as demonstrations; continue where an earlier call stopped.

    Parameters
    ----------
    problem : Problem
    solver : str or Solver
        The expert.
    count, folder, seed, workers, backend, overwrite
        As in `offloadopt.datasets.demonstrations.collect`.
    display : bool
        Whether progress is shown on stderr.
    options
        Fields of the solver; only together with a name.
    """
    from offloadopt.datasets.demonstrations import collect as collect_demonstrations

    _check_problem(problem)
    _check_folder("folder", folder)
    expert = _solver(problem, solver, options)
    with _shown(display, f"collecting from {expert.name}", count) as progress:
        return collect_demonstrations(
            problem,
            expert,
            count=count,
            seed=seed,
            folder=folder,
            workers=workers,
            backend=backend,
            overwrite=overwrite,
            progress=progress,
        )


def train(
    problem: Problem[Any],
    learner: str | Learner,
    *,
    demonstrations: Demonstrations | Path | str | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    record: Record | None = None,
    folder: Path | str | None = None,
    overwrite: bool = False,
    display: bool = False,
    **options: Any,
) -> Policy:
    """Train a policy.

    Parameters
    ----------
    problem : Problem
    learner : str or Learner
        A name of `available`, or a learner.
    demonstrations : Demonstrations or path, optional
        What an expert decided, or the folder that `collect` wrote.
    steps : int, optional
        Decisions of single agents that training uses, at most; by default the learner's own number.
    seconds : float, optional
        Seconds after which training ends.
    seed : int
    record : callable, optional
        Called with a step and the numbers measured there.
    folder : path, optional
        Folder that the policy is saved in. The same call continues an interrupted training there, and returns the
        policy of a finished one.
    overwrite : bool
        Remove another training or policy that the folder holds.
    display : bool
        Whether progress is shown on stderr.
    options
        Fields of the learner; only together with a name.

    Returns
    -------
    Policy
        ``policy.save(folder)`` keeps one that was trained without a folder.
    """
    _check_problem(problem)
    if isinstance(learner, Learner):
        _no_options(options)
        learner.require(problem)
    else:
        learner = registry.learner(learner, problem, **options)
    require_whole("seed", seed)
    if isinstance(demonstrations, (str, Path)):
        from offloadopt.datasets.demonstrations import read

        demonstrations = read(demonstrations, problem)
    elif demonstrations is not None and not isinstance(demonstrations, Demonstrations):
        raise InvalidInput(f"demonstrations = {shown(demonstrations)}; allowed: Demonstrations, or their folder")
    if folder is not None:
        _check_folder("folder", folder)
    learner.check_demonstrations(demonstrations is not None)
    budget = None if steps is None and seconds is None else Budget(steps, seconds)
    total = learner.default_steps(problem) if steps is None else steps
    with _shown(display, f"training {learner.name}", total) as progress:
        given: dict[str, Any] = {
            "demonstrations": demonstrations,
            "budget": budget,
            "seed": seed,
            "progress": progress,
            "record": record,
        }
        if folder is None:
            return learner.fit(problem, **given)
        from offloadopt.learners.training_folder import train as train_into

        return train_into(learner, problem, folder, overwrite=overwrite, **given)


def certify(
    solutions: Solutions, path: Path | str, *, time_limit_s: float | None = None, display: bool = False
) -> None:
    """Write a certificate of the solutions' bounds, which `offloadopt.certificates` checks in exact arithmetic.

    Parameters
    ----------
    solutions : Solutions
        Of an assignment problem with congested servers (`multi_server`), by any solver or policy that proves bounds.
    path : path
        File of JSON lines.
    time_limit_s : float, optional
        For the proof of one instance; one that is cut off shows the bound that it reached.
    display : bool
        Show progress on stderr.

    Raises
    ------
    InvalidInput
        If no certificate can be written for the problem, or a row has no feasible decision or no bound.
    """
    from offloadopt.solvers.assignment.certificate import certificate

    with _shown(display, "certifying", len(solutions.objective)) as progress:
        write_atomic(path, certificate(solutions, time_limit_s, progress))


def load_instances(
    paths: Path | str | Sequence[Path | str],
    problem: Problem[Any],
    *,
    fill_seed: int | None = None,
    display: bool = False,
) -> Instances:
    """Read a user's own instances; what is wrong is one line that names the file, the array, its shape or its unit.

    Parameters
    ----------
    paths : path or sequence of path
        As in `offloadopt.own_instances.read_instances`: documents as ``offloadopt template`` writes them, arrays,
        tables, shards of demonstrations.
    problem : Problem
    fill_seed : int, optional
        Seed with which arrays that the files do not hold are sampled; without it all must be there.
    display : bool
        Whether an array whose magnitude hints at a wrong unit is told on stderr, in place of a warning.
    """
    from offloadopt.own_instances import read_instances

    _check_problem(problem)
    if fill_seed is not None:
        require_whole("fill_seed", fill_seed)
    instances = read_instances(paths, problem, fill_seed=fill_seed)
    unusual = unusual_array(problem, instances)
    if unusual is not None and display:
        print(f"warning: {unusual}", file=sys.stderr)
    elif unusual is not None:
        warnings.warn(unusual, stacklevel=2)
    return instances


def load_policy(folder: Path | str, problem: Problem[Any]) -> Policy:
    """Read a saved policy for ``problem``."""
    _check_problem(problem)
    _check_folder("folder", folder)
    from offloadopt.learners.common.saved_policy import load_policy as load

    return load(folder, problem)


def compare(
    problem: Problem[Any],
    methods: Mapping[str, Compared] | Sequence[Compared] | None = None,
    instances: Instances | int = 200,
    *,
    seed: int = 1,
    reference: str | None = None,
    paired_with: str | None = None,
    workers: int = 1,
    backend: str = "loky",
    display: bool = False,
) -> Report:
    """Compare methods on the same instances, measured from the best bound that any of them proves.

    Parameters
    ----------
    problem : Problem
    methods : sequence or mapping, optional
        Names of solvers, pairs of a solver's name and its options (``("levy", {"population": 5})``), folders of saved
        policies, solvers, policies; by the name that the report shows, or a sequence of them. By default those of
        `COMPARED` that serve the problem.
    instances : Instances or int
        Instances, or the number of them to be sampled with ``seed``.
    seed : int
    reference, paired_with, workers, backend
        As in `offloadopt.evaluation.compare`.
    display : bool
        Whether progress is shown on stderr.

    Returns
    -------
    Report
        ``print(report)`` shows its table, ``report.save(folder)`` writes pages, pictures and data. Ctrl-C raises
        `offloadopt.evaluation.InterruptedComparison`, whose ``report`` has the methods that were finished.
    """
    from offloadopt.evaluation import compare as compare_methods

    _check_problem(problem)
    given: tuple[object, object] = (methods, instances)  # callers may have no type checker
    if isinstance(given[0], Batch) or not isinstance(given[1], (int, Instances)):
        raise InvalidInput("methods or instances are of a wrong type; allowed: compare(problem, methods, instances)")
    require_whole("seed", seed)
    for name, chosen in (("reference", reference), ("paired_with", paired_with)):
        if chosen is not None and not isinstance(chosen, str):
            raise InvalidInput(f"{name} = {shown(chosen)}; allowed: the name of a method")
    made = make_methods(problem, methods)
    drawn = problem.sample(instances, seed) if isinstance(instances, int) else instances
    with _shown(display, f"comparing {len(made)} methods", drawn.count * len(made)) as progress:
        return compare_methods(
            problem, made, drawn, reference=reference, paired_with=paired_with, seed=seed, workers=workers,
            backend=backend, progress=progress,
        )  # fmt: skip


def make_methods(
    problem: Problem[Any],
    methods: Mapping[str, Compared] | Sequence[Compared] | None = None,
    **options: Any,
) -> dict[str, Method]:
    """Make the methods to be compared, by the name that a report shows.

    Parameters
    ----------
    problem : Problem
    methods : sequence or mapping, optional
        As in `compare`.
    options
        Fields of the solvers that are given by name; a pair's own options come before these.
    """
    if methods is None:
        methods = [name for name in COMPARED if registry.serves("solvers", name, problem)]
    named = methods if isinstance(methods, Mapping) else _named(methods)
    return {name: _method(problem, method, options) for name, method in named.items()}


def _check_problem(problem: object) -> None:
    """Refuse what is no problem, for example its name."""
    if not isinstance(problem, Problem):
        raise InvalidInput(
            f"problem = {problem!r:.60}; allowed: a Problem, for example offloadopt.problem('multi_server')"
        )


def _check_folder(name: str, folder: object) -> None:
    """Refuse what is no path."""
    if not isinstance(folder, (str, Path)):
        raise InvalidInput(f"{name} = {shown(folder)}; allowed: the path of a folder")


def _named(methods: Sequence[Compared]) -> dict[str, Compared]:
    """Methods by name: a solver's own, with the options of a pair, a policy's folder; refuses a name twice."""
    if isinstance(methods, (str, Path, Method)) or not isinstance(methods, Iterable):
        raise InvalidInput(f"methods = {shown(methods)}; allowed: a list of methods, or a mapping of them by name")
    known = registry.names("solvers")
    found: dict[str, Compared] = {}
    for method in methods:
        if isinstance(method, Method):
            name = method.name
        elif isinstance(method, (str, Path)):
            name = str(method) if str(method) in known else Path(method).resolve().name
        elif _is_pair(method):
            given = ",".join(f"{key}={value}" for key, value in method[1].items())
            name = f"{method[0]}:{given}" if given else method[0]
        else:
            raise InvalidInput(f"methods holds {shown(method)}; allowed: {ALLOWED_METHODS}")
        if name in found:
            raise InvalidInput(f"--method {method}: the name {name!r} is taken; allowed: names that differ")
        found[name] = method
    return found


def _is_pair(method: object) -> TypeGuard[tuple[str, Mapping[str, Any]]]:
    """Whether it is a name with options."""
    return (
        isinstance(method, tuple) and len(method) == 2 and isinstance(method[0], str) and isinstance(method[1], Mapping)
    )


def _method(problem: Problem[Any], method: Compared, options: Mapping[str, Any]) -> Method:
    """A method as it is, by its name with options or without, or from the folder of a saved policy."""
    if isinstance(method, Method):
        return method
    known = registry.names("solvers")
    if _is_pair(method):
        name, own = method
        if name not in known:
            raise UnknownName(f"no solver {name!r}; {nearest(name, known)}")
        return registry.solver(name, problem, **{**options, **own})
    if not isinstance(method, (str, Path)):
        raise InvalidInput(f"method {shown(method)}; allowed: {ALLOWED_METHODS}")
    if str(method) in known:
        return registry.solver(str(method), problem, **options)
    if Path(method).is_dir():
        return load_policy(method, problem)
    raise UnknownName(f"no solver and no policy folder {str(method)!r}; {nearest(str(method), known)}")


def _solver(problem: Problem[Any], solver: str | Solver, options: Mapping[str, Any]) -> Solver:
    if isinstance(solver, str):
        return registry.solver(solver, problem, **options)
    if not isinstance(solver, Solver):
        raise InvalidInput(f"solver = {solver!r}; allowed: a name from `available()`, or a Solver")
    _no_options(options)
    solver.require(problem)
    return solver


def _no_options(options: Mapping[str, Any]) -> None:
    if options:
        raise InvalidInput(f"{next(iter(options))} is an option of a name; allowed: set it where the object is made")


@contextmanager
def _shown(display: bool, label: str, total: int) -> Iterator[Progress | None]:
    """Progress on stderr if it is wanted."""
    if not display:
        yield None
        return
    from offloadopt.progress import progress

    with progress(label, total) as advance:
        yield advance
