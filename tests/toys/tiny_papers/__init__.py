"""The papers' reproductions in their smallest sizes, made once for all test files and processes."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from offloadopt.reproduce.artefact import Artefact, Paper
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.runner import reproduce


def artefact(made: Paper, name: str) -> Artefact:
    """The artefact of a paper with this name."""
    return next(found for found in made.artefacts if found.name == name)


def judged(artefact: Artefact, rows: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    """The verdict of each claim of an artefact from the rows of its table."""
    return {claim.claim: claim.holds for claim in artefact.claims(pd.DataFrame(rows))}


def verdicts(artefact: Artefact, rows: Sequence[Mapping[str, Any]]) -> list[bool | None]:
    """The verdicts of an artefact's claims in their order."""
    return [claim.holds for claim in artefact.claims(pd.DataFrame(rows))]


def reproduce_once(paper: Paper, names: Sequence[str], factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """The folder and the claims of a reproduction that takes half a minute: the first process that asks makes it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, claims = base / f"reproduction-{paper.name}", base / f"reproduction-{paper.name}.claims"
    with (base / f"reproduction-{paper.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not claims.exists():
            claims.write_bytes(pickle.dumps(reproduce(paper, names, folder, workers=1)))
    return folder, pickle.loads(claims.read_bytes())
