"""`offloadopt template`: instances to be filled in, their JSON schema, or tables of them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from offloadopt import own_instances
from offloadopt.cli.options import Changes, Preset, ProblemName, Seed, make_problem
from offloadopt.errors import InvalidInput
from offloadopt.own_instances.schema import schema_of


class TableKind(StrEnum):
    """File formats of tables."""

    CSV = "csv"
    PARQUET = "parquet"


def template(
    problem_name: ProblemName,
    preset: Preset = None,
    changes: Changes = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Instances in the template.")] = 1,
    seed: Seed = 0,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema: arrays with meaning, unit, shape and limits.")
    ] = False,
    tables: Annotated[
        Path | None, typer.Option("--tables", metavar="FOLDER", help="Write tables of users, servers, tasks, ... .")
    ] = None,
    kind: Annotated[TableKind, typer.Option("--format", help="File format of the tables.")] = TableKind.CSV,
) -> int:
    """Print instances of a problem as a document to be filled in with your own numbers, for --input.

    Each array stands with its meaning, its unit and its shape; the numbers are drawn as the scenario says.
    """
    problem = make_problem(problem_name, preset, changes)
    if schema and tables is not None:
        raise InvalidInput("--schema and --tables were both given; allowed: one of them")
    if schema:
        print(json.dumps(schema_of(problem), indent=2))
        return 0
    instances = problem.sample(count, seed)
    if tables is None:
        print(own_instances.template(problem, instances), end="")
        return 0
    paths = own_instances.write_tables(problem, instances, tables, f".{kind.value}")
    changed = "".join(f" --set {text}" for text in changes or ())
    scenario = f"{f' --preset {preset}' if preset else ''}{changed}"
    files = " ".join(f"--input {path}" for path in paths)
    print(f"offloadopt solve {problem.name}{scenario} {files}")
    return 0
