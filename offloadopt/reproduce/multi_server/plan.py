"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from offloadopt import files
from offloadopt.errors import UnknownName, nearest
from offloadopt.reproduce.artefact import Artefact, Paper
from offloadopt.reproduce.multi_server.accuracy import AccuracyTable
from offloadopt.reproduce.multi_server.extensions import AnytimeFigure, GeneralisationFigure, HardServersFigure
from offloadopt.reproduce.multi_server.learners import LearnersTable
from offloadopt.reproduce.multi_server.search import SearchFigure
from offloadopt.reproduce.multi_server.setting import Setting, Sizes
from offloadopt.reproduce.multi_server.sweeps import ServersFigure, UsersFigure
from offloadopt.reproduce.multi_server.training import AblationFigure, LossFigure, TimeEnergyFigure
from offloadopt.traces import locations as places

FULL = Sizes(
    replicates=5,
    test_instances=500,
    users=(10, 20, 30, 40, 50, 60, 70, 80, 90, 100),
    servers=(2, 4, 6, 8, 10),
    server_hz=(2e9, 5e9, 1e10),
    demonstration_counts=(64, 128, 256, 512),
    accuracy_steps=1000,
    imitation_demonstrations=1000,
    imitation_steps=3000,
    dirs={},
    own_dirs={},
    prices={},
    budget_shares=(0.02, 0.05, 0.1, 0.25, 0.5, 1.0),
    search_instances=200,
    generations=1000,
)
QUICK = Sizes(
    replicates=3,
    test_instances=200,
    users=(10, 100),
    servers=(2, 10),
    server_hz=(2e9, 1e10),
    demonstration_counts=(64, 128, 256, 512),
    accuracy_steps=1000,
    imitation_demonstrations=1000,
    imitation_steps=1000,
    dirs={},
    own_dirs={"demonstrations": 4096, "pretraining": 1500, "slots": 300},
    prices={"gradient_steps": 500},
    budget_shares=(0.1, 1.0),
    search_instances=50,
    generations=300,
)
SIZES = {"quick": QUICK, "full": FULL}
SHORTENED = (
    "3 replicates (layouts and seeds) instead of 5, so most intervals are wide; 200 held-out instances instead of 500",
    "only the end points of figures 9 (10 and 100 users) and 10 (2 and 10 servers)",
    "no servers of 5 GHz among the harder ones",
    "300 generations on 50 instances instead of 1000 on 200 in figure 7",
    "DIRS with this package's defaults: 4,096 demonstrations, 1,500 steps of pre-training and 300 slots; "
    "500 steps of the learner of prices",
)
"""Differences of a quick run. DIRS itself has the paper's 256 demonstrations, 1000 iterations and 3000 slots."""


def make(size: str, users_file: Path | None = None, sites_file: Path | None = None) -> Paper:
    """Build the paper's tables and figures in one size.

    Parameters
    ----------
    size : {"quick", "full"}
    users_file, sites_file : path, optional
        Real places for the preset ``melbourne``, both or none.
    """
    if size not in SIZES:
        raise UnknownName(f"no size {size!r}; {nearest(size, SIZES)}")
    places.require_both(users_file, sites_file)
    setting = Setting(SIZES[size], users_file=users_file, sites_file=sites_file)
    return of_setting(size, setting, SHORTENED if size == "quick" else ())


def of_setting(size: str, setting: Setting, shortened: Sequence[str] = ()) -> Paper:
    """Build all tables and figures of a setting."""
    sizes = setting.sizes
    artefacts: list[Artefact] = [
        AccuracyTable(setting),
        LossFigure(setting),
        TimeEnergyFigure(setting),
        SearchFigure(setting),
        AblationFigure(setting),
        LearnersTable(setting),
        UsersFigure(setting, sizes.users),
        ServersFigure(setting, sizes.servers),
        AnytimeFigure(setting),
        GeneralisationFigure(setting),
        HardServersFigure(setting),
    ]
    of_places = {
        name: None if path is None else {"path": str(path), "sha256": files.sha256(path)}
        for name, path in (("users_file", setting.users_file), ("sites_file", setting.sites_file))
    }
    settings = json.loads(json.dumps({"sizes": asdict(sizes), "base": dict(setting.base), **of_places}))
    return Paper("multi_server", size, settings, shortened, artefacts)
