"""The commands that work: solve, demos, train, compare. Each names its objects, calls one function and prints."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from offloadopt import api, registry
from offloadopt.cli.curves import curves
from offloadopt.cli.options import (
    Changes,
    Fill,
    Input,
    Json,
    Options,
    Overwrite,
    Preset,
    ProblemName,
    RelativeGap,
    Seed,
    SolverName,
    TimeLimit,
    fields,
    limits,
    make_problem,
    make_solver,
    take_instances,
    with_options,
)
from offloadopt.cli.solutions import print_solutions, solutions_json
from offloadopt.cli.terminal import INTERRUPTED, note, print_json
from offloadopt.cli.verify import check_certificate_path
from offloadopt.core import FloatArray, Instances, Interrupted, Learner, Problem, Progress, Solutions, Solver
from offloadopt.errors import InvalidInput, NoSolution
from offloadopt.pictures.panels import check_plot_path
from offloadopt.progress import progress

if TYPE_CHECKING:
    from offloadopt.evaluation import Report


COLUMNS = (
    "name",
    "mean_cost",
    "gap_mean",
    "gap_low",
    "gap_high",
    "gap_median",
    "gap_worst",
    "optimal_share",
    "feasible_share",
    "decision_ms_median",
    "decision_ms_p99",
    "metrics",
)


class Backend(StrEnum):
    """Where worker processes run."""

    LOKY = "loky"
    RAY = "ray"


def solve(
    problem_name: ProblemName,
    solver_name: SolverName = "exact",
    preset: Preset = None,
    changes: Changes = None,
    options: Options = None,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, show_default="1, or all", help="Instances to draw, or to take from --input."),
    ] = None,
    seed: Seed = 0,
    relative_gap: RelativeGap = None,
    time_limit: TimeLimit = None,
    input_files: Input = None,
    fill: Fill = False,
    as_json: Json = False,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Solve by this solver too, and print what the solution saves; repeatable."),
    ] = None,
    with_instances: Annotated[
        bool, typer.Option("--with-instances", help="Put each instance beside its result in the JSON.")
    ] = False,
    plot_file: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw one instance's solution (.png, .html)."),
    ] = None,
    plot_row: Annotated[
        int | None,
        typer.Option("--plot-row", metavar="N", min=0, show_default="0", help="Number of the instance that is drawn."),
    ] = None,
    certificate_file: Annotated[
        Path | None,
        typer.Option(
            "--certificate", metavar="FILE", help="Write a proof of the bounds (.jsonl), for `offloadopt verify`."
        ),
    ] = None,
    export_file: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE", help="Write the first instance's model (.lp, .mps, .nl), solve nothing."
        ),
    ] = None,
) -> int:
    """Solve instances and say how good each answer is proved to be."""
    problem = make_problem(problem_name, preset, changes, input_files)
    if with_instances and not as_json:
        raise InvalidInput("--with-instances is for programs; allowed: together with --json")
    if plot_file is None and plot_row is not None:
        raise InvalidInput(f"--plot-row = {plot_row}; allowed: together with --plot")
    if plot_file is not None:
        check_plot_path(plot_file)
        if export_file is not None:
            raise InvalidInput("--plot and --export were both given; allowed: one of them, as --export solves nothing")
    if certificate_file is not None:
        check_certificate_path(certificate_file, problem)
        if export_file is not None:
            raise InvalidInput("--certificate and --export were both given; allowed: one of them")
    if export_file is not None:
        instances = take_instances(problem, input_files, count, seed, default=1, fill=fill)
        from offloadopt.solvers.models.solver import export

        print(f"{export(problem, instances, export_file)}: {export_file}")
        return 0
    solver = make_solver(solver_name, problem, options, relative_gap, time_limit)
    rivals = {name: make_solver(name, problem, None, None, time_limit) for name in against or ()}
    instances = take_instances(problem, input_files, count, seed, default=1, fill=fill)
    drawn = plot_row or 0
    if drawn and drawn >= instances.count:
        raise InvalidInput(f"--plot-row = {drawn}; allowed: 0 to {instances.count - 1}")
    with progress(f"solving with {solver_name}", instances.count * (1 + len(rivals))) as advance:
        solutions, interrupted = _run(solver, problem, instances, seed, advance)
        others = {}
        for name, rival in rivals.items() if not interrupted else ():
            other, interrupted = _run(rival, problem, instances, seed, advance)
            if interrupted:
                break
            others[name] = other
    if as_json:
        print_json(solutions_json(problem, solver_name, solutions, others, instances if with_instances else None))
    else:
        print_solutions(problem, instances, solutions, others, hindsight=solver.hindsight)
    if plot_file is not None and drawn >= len(solutions.objective):
        note(f"no picture: instance {drawn} was not begun")
    elif plot_file is not None:
        solutions.save_plot(plot_file, drawn)
        note(f"picture of instance {drawn}: {plot_file}")
    if certificate_file is not None and not interrupted:
        api.certify(solutions, certificate_file, time_limit_s=time_limit, display=True)
        note(f"certificate: {certificate_file}; check it with offloadopt verify {certificate_file}")
    if interrupted:
        missing = instances.count - len(solutions.objective)
        others_are = "the others have the best decision and the bound found until Ctrl-C"
        note(f"not all instances are finished: {f'the last {missing:,} were not begun' if missing else others_are}")
    return INTERRUPTED if interrupted else _status(solutions.objective)


def _run(
    solver: Solver, problem: Problem[Any], instances: Instances, seed: int, progress: Progress
) -> tuple[Solutions, bool]:
    """Run a solver: its solutions, or those found until Ctrl-C, and whether it was interrupted."""
    try:
        return solver.run(problem, instances, seed=seed, progress=progress), False
    except Interrupted as stopped:
        return stopped.solutions, True


def demos(
    problem_name: ProblemName,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the demonstrations go.")],
    solver_name: SolverName = "exact",
    preset: Preset = None,
    changes: Changes = None,
    options: Options = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Instances to draw and solve.")] = 4096,
    seed: Seed = 0,
    relative_gap: RelativeGap = None,
    time_limit: TimeLimit = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that solve side by side.")] = 1,
    backend: Annotated[Backend, typer.Option(help="This machine's processes, or a Ray cluster.")] = Backend.LOKY,
    overwrite: Overwrite = False,
) -> int:
    """Write an expert's solutions as a dataset; the same call continues an interrupted one."""
    problem = make_problem(problem_name, preset, changes)
    solver = make_solver(solver_name, problem, options, relative_gap, time_limit)
    collected = api.collect(
        problem,
        solver,
        count=count,
        folder=out,
        seed=seed,
        workers=workers,
        backend=backend.value,
        overwrite=overwrite,
        display=True,
    )
    statuses = collected.solutions.status_names
    tally = ", ".join(f"{statuses.count(name)} {name}" for name in sorted(set(statuses)))
    print(f"{out}: {len(statuses)} demonstrations ({tally})")
    return _status(collected.solutions.objective)


def train(
    problem_name: ProblemName,
    learner_name: Annotated[str, typer.Option("--learner", metavar="NAME", help="A name from `offloadopt list`.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the policy goes.")],
    demos_folder: Annotated[
        Path | None, typer.Option("--demos", metavar="FOLDER", help="Demonstrations, as `offloadopt demos` wrote them.")
    ] = None,
    preset: Preset = None,
    changes: Changes = None,
    options: Options = None,
    seed: Seed = 0,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, show_default="the learner's own", help="Decisions of single agents in training."
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop training after this many seconds.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write training curves for TensorBoard.")
    ] = None,
    overwrite: Overwrite = False,
) -> int:
    """Train a policy; the same call continues an interrupted training, and leaves a finished one as it is.

    Without --preset and --set, the scenario is the demonstrations' own.
    """
    from offloadopt.datasets import demonstrations

    kind: type[Learner] = registry.get("learners", learner_name)
    learner = kind(**fields(options, "--option", kind))
    if seconds is not None and not seconds > 0:
        raise InvalidInput(f"--seconds {seconds:g}; allowed: more than 0")
    learner.check_demonstrations(demos_folder is not None)
    problem = _problem_to_train(problem_name, preset, changes, demos_folder)
    learner.require(problem)
    experts = None if demos_folder is None else demonstrations.read(demos_folder, problem)
    with curves(tensorboard) as record:
        api.train(
            problem,
            learner,
            demonstrations=experts,
            steps=steps,
            seconds=seconds,
            seed=seed,
            record=record,
            folder=out,
            overwrite=overwrite,
            display=True,
        )
    print(f"{out}: {learner_name} policy for {problem.name}")
    return 0


def compare(
    problem_name: ProblemName,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME[:KEY=VALUE,...]|FOLDER",
            show_default="exact and the common rules that serve the problem",
            help="A solver with options of its own, or a saved policy; repeatable.",
        ),
    ] = None,
    preset: Preset = None,
    changes: Changes = None,
    count: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, show_default="200, or all", help="Instances to draw, or to take from --input."
        ),
    ] = None,
    seed: Seed = 1,
    reference: Annotated[
        str | None, typer.Option(metavar="METHOD", help="The method whose bounds the gaps are measured from.")
    ] = None,
    paired_with: Annotated[
        str | None, typer.Option(metavar="METHOD", help="The method that wins and losses are counted against.")
    ] = None,
    relative_gap: RelativeGap = None,
    time_limit: TimeLimit = None,
    input_files: Input = None,
    fill: Fill = False,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes, in each of which methods run side by side.")
    ] = 1,
    backend: Annotated[Backend, typer.Option(help="This machine's processes, or a Ray cluster.")] = Backend.LOKY,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the report goes.")] = None,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> int:
    """Compare solvers and policies on the same instances; with --out, the same call shows a finished report again.

    The default seed differs from that of `demos`.
    """
    from offloadopt.evaluation import InterruptedComparison, report_folder

    problem = make_problem(problem_name, preset, changes, input_files)
    named = with_options(names, problem) if names else None
    methods = api.make_methods(problem, named, **limits(relative_gap, time_limit))
    instances = take_instances(problem, input_files, count, seed, default=200, fill=fill)
    chosen: dict[str, Any] = {"seed": seed, "reference": reference, "paired_with": paired_with}

    def measured() -> Report:
        try:
            return api.compare(
                problem, methods, instances, workers=workers, backend=backend.value, display=True, **chosen
            )
        except InterruptedComparison as stopped:
            _show_report(stopped.report.to_dict(), stopped.report.summary(), as_json)
            raise

    if out is None:
        report = measured()
        return _show_report(report.to_dict(), report.summary(), as_json)
    inputs = report_folder.comparison_inputs(problem, methods, instances, **chosen)
    with report_folder.report_folder(out, inputs, overwrite=overwrite) as found:
        if found is None:
            report = measured()
            found = report.save(out, inputs)
        else:
            note(f"{out} holds this comparison, complete")
    status = _show_report(found, found["summary"], as_json)
    if not as_json:
        print(f"\nreport: {out / 'report.html'}")
    return status


def _show_report(found: Mapping[str, Any], summary: str, as_json: bool) -> int:
    """Print a report; return 3 if no method has decided some instance feasibly.

    The columns of its JSON are those that ``compare --json`` promises; report.json in the output folder has them all.
    """
    if as_json:
        methods = [{column: row[column] for column in COLUMNS} for row in found["methods"]]
        print_json({**{name: found[name] for name in ("problem", "scenario", "reference")}, "methods": methods})
    else:
        print(summary)
    return NoSolution.exit_status if found["undecided_instances"] else 0


def _status(objective: FloatArray) -> int:
    """The exit status: whether every instance has a feasible solution."""
    return 0 if np.isfinite(objective).all() else NoSolution.exit_status


def _problem_to_train(
    name: str, preset: str | None, changes: list[str] | None, demos_folder: Path | None
) -> Problem[Any]:
    """The problem that the options name, or else the one that was demonstrated."""
    if demos_folder is not None and preset is None and not changes:
        from offloadopt.datasets.demonstrations import Manifest

        manifest = Manifest.read(demos_folder)
        if manifest.problem == name:  # else reading the demonstrations says what is wrong
            kind: type[Problem[Any]] = registry.get("problems", name)
            return kind(kind.scenario_type(**manifest.scenario))
    return make_problem(name, preset, changes)
