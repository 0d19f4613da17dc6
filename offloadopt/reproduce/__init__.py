"""Reproduction of the papers' tables and figures, with a measured verdict on every published claim."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from offloadopt.errors import UnknownName, nearest
from offloadopt.reproduce.artefact import Paper
from offloadopt.reproduce.study import Plan

PAPERS = ("multi_server", "carbon_mimo", "partial_mobile", "battery_d2d", "twin_inference")
"""By the name of the paper's problem; each is a package with a ``PLAN`` in its module ``plan``."""


def paper(name: str, size: str, users_file: Path | None = None, sites_file: Path | None = None) -> Paper:
    """Load the tables and figures of a paper.

    Parameters
    ----------
    name : str
        The problem that the paper poses.
    size : {"quick", "full"}
    users_file, sites_file : path, optional
        CSV files of real users and sites, for papers that can use them.
    """
    if name not in PAPERS:
        raise UnknownName(f"no paper {name!r} to reproduce; {nearest(name, PAPERS)}")
    plan: Plan = import_module(f"offloadopt.reproduce.{name}.plan").PLAN
    return plan.paper(size, users_file, sites_file)
