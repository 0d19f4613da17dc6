"""The tables and figures of the papers, made again, with every published claim measured."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from offloadopt.errors import UnknownName, nearest
from offloadopt.reproduce.artefact import Paper

PAPERS = ("multi_server", "carbon_mimo", "partial_mobile", "battery_d2d", "twin_inference")
"""By the name of the paper's problem; each is a package with ``make(size, users_file, sites_file)``."""


def paper(name: str, size: str, users_file: Path | None = None, sites_file: Path | None = None) -> Paper:
    """A paper's artefacts.

    Parameters
    ----------
    name : str
        The problem that the paper poses.
    size : {"quick", "full"}
    users_file, sites_file : path, optional
        Real places, for papers that can use some.
    """
    if name not in PAPERS:
        raise UnknownName(f"no paper {name!r} to reproduce; {nearest(name, PAPERS)}")
    made: Paper = import_module(f"offloadopt.reproduce.{name}").make(size, users_file, sites_file)
    return made
