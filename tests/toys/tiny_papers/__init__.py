"""The papers' reproductions in their smallest sizes, made once for all test files and processes."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from offloadopt.core import Problem
from offloadopt.reproduce.artefact import Artefact, Paper
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.runner import reproduce
from offloadopt.solvers.lyapunov import DriftPlusPenalty


def of(name: str) -> ModuleType:
    """The module of a paper."""
    return import_module(f"toys.tiny_papers.{name}")


def artefact(made: Paper, name: str) -> Artefact:
    """The artefact of a paper with this name."""
    return next(found for found in made.artefacts if found.name == name)


def judged(artefact: Artefact, rows: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    """The verdict of each claim of an artefact from the rows of its table."""
    return {claim.claim: claim.holds for claim in artefact.claims(pd.DataFrame(rows))}


def verdicts(artefact: Artefact, rows: Sequence[Mapping[str, Any]]) -> list[bool | None]:
    """The verdicts of an artefact's claims in their order."""
    return [claim.holds for claim in artefact.claims(pd.DataFrame(rows))]


def untuned(rule: DriftPlusPenalty, problem: Problem[Any]) -> tuple[float, float]:
    """The weight at which rules begin to tune it; tuning takes longer than a small reproduction."""
    return rule.v or rule.reference_v(problem, problem.sample(1, 0)), 0.0


def reproduce_once(name: str, factory: pytest.TempPathFactory) -> tuple[Path, list[Claim]]:
    """The folder and the claims of a reproduction that takes seconds: the first process that asks makes it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, claims = base / f"reproduction-{name}", base / f"reproduction-{name}.claims"
    names = getattr(of(name), "SHOWN", [])
    with (base / f"reproduction-{name}.lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not claims.exists():
            patch.setattr(DriftPlusPenalty, "tuned", untuned)
            patch.setattr("offloadopt.reproduce.runner.DPI", 20)  # a third of the time goes into pixels
            for change in getattr(of(name), "SHORTER", {}).items():
                patch.setattr(*change)
            claims.write_bytes(pickle.dumps(reproduce(of(name).tiny(), names, folder, workers=1)))
    return folder, pickle.loads(claims.read_bytes())
