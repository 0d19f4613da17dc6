"""`offloadopt reproduce`: a paper's tables and figures, and what became of its claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offloadopt.cli.options import Json, Overwrite
from offloadopt.cli.terminal import note, print_json, print_table
from offloadopt.errors import InvalidInput
from offloadopt.progress import progress

if TYPE_CHECKING:
    from offloadopt.reproduce.claims import Claim

VERDICTS = {True: "yes", False: "no", None: "too short to tell"}


def reproduce(
    paper_name: Annotated[
        str, typer.Argument(metavar="PAPER", show_default=False, help="The name of the problem that the paper poses.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where tables, pictures and claims go.")],
    artefacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARTEFACT", show_default=False, help="For example table-2, fig-9; without one, all."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Minutes: few repetitions, end points. The default.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Hours: the paper's sizes, five repetitions.")] = False,
    users_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV with real users' places, for artefacts that can use them.")
    ] = None,
    sites_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV with real servers' places, together with --users-file.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes that work side by side.")] = 2,
    as_json: Json = False,
    overwrite: Overwrite = False,
) -> None:
    """Make a paper's tables and figures again; the same call continues an interrupted one."""
    if quick and full:
        raise InvalidInput("--quick and --full were both given; allowed: one of them")
    from offloadopt import reproduce as library
    from offloadopt.reproduce.artefact import distinct_units
    from offloadopt.reproduce.runner import reproduce as run

    paper = library.paper(paper_name, "full" if full else "quick", users_file, sites_file)
    chosen = paper.choose(artefacts or [])
    for line in paper.shortened:
        note(f"shortened: {line}")
    with progress(f"reproducing {paper_name}", len(distinct_units(chosen))) as advance:
        claims = run(
            paper,
            [artefact.name for artefact in chosen],
            out,
            overwrite=overwrite,
            workers=workers,
            progress=advance,
            written=lambda name: note(f"{out / name}.csv, {name}.png"),
        )
    if as_json:
        print_json([claim.row() for claim in claims])
    else:
        print_claims(claims)


def print_claims(claims: list[Claim]) -> None:
    """A table of published claims, and how many of them hold."""
    rows = [(claim.source, claim.claim, claim.paper, claim.measured, VERDICTS[claim.holds]) for claim in claims]
    print_table(["source", "claim", "paper", "measured", "holds"], rows, text_columns=5)
    tally = ", ".join(f"{sum(claim.holds is verdict for claim in claims)} {word}" for verdict, word in VERDICTS.items())
    print(f"{len(claims)} claim{'' if len(claims) == 1 else 's'}: {tally}")
