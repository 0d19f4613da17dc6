"""`offloadopt verify`: what a certificate proves, checked in exact arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from offloadopt.certificates.assignment import Rejected
from offloadopt.certificates.checker import Verdict, check, heading, line
from offloadopt.cli.options import Json, make_problem, take_instances
from offloadopt.cli.terminal import print_json
from offloadopt.core import Problem
from offloadopt.errors import InvalidInput, OffloadError
from offloadopt.structures.assignment import PricedAssignmentProblem


class FalseCertificate(OffloadError):
    """A certificate that does not prove what it says."""


def check_certificate_path(path: Path, problem: Problem[Any]) -> None:
    """Refuse a certificate of another kind of file or problem before anything is solved."""
    if path.suffix != ".jsonl":
        raise InvalidInput(f"--certificate {path}; allowed: a file that ends in .jsonl")
    if not isinstance(problem, PricedAssignmentProblem):
        raise InvalidInput(
            f"--certificate: no certificate of {problem.name}; allowed: problems of congested servers (multi_server)"
        )


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Certificate that `solve --certificate` wrote.")],
    instance_file: Annotated[
        Path | None,
        typer.Option("--instance", metavar="FILE", help="Instances that it must be about, as for `solve --input`."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Check a certificate without trusting any solver, and print the gap that it proves.

    The checker needs nothing but Python's standard library: `python -m offloadopt.certificates FILE` is the same.
    """
    try:
        given = (None, None) if instance_file is None else _given(file, instance_file)
        verdicts = []
        for verdict in check(file, *given):
            verdicts.append(verdict)
            if not as_json:
                print(line(verdict))
    except Rejected as fault:
        raise FalseCertificate(f"{file}: rejected: {fault}") from None
    if as_json:
        print_json([_json(verdict) for verdict in verdicts])
    return 0


def _given(file: Path, instance_file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The user's instances and scenario, as the certificate's problem reads them."""
    about = heading(file)
    if not isinstance(about.get("problem"), str):
        raise InvalidInput(f"{file} is about a table of option costs; allowed: --instance with a problem's certificate")
    problem = make_problem(about["problem"], None, None, [instance_file])
    instances = take_instances(problem, [instance_file], None, 0, default=1, fill=False)
    arrays = {name: array.tolist() for name, array in instances.items()}
    return arrays, problem.scenario.model_dump(mode="json")


def _json(verdict: Verdict) -> dict[str, Any]:
    return {
        "instance": verdict.instance,
        "proved_of": verdict.of,
        "bound": float(verdict.bound),
        "cost": float(verdict.cost),
        "gap": verdict.gap,
        "claimed_gap": verdict.claimed_gap,
        "nodes": verdict.nodes,
    }
