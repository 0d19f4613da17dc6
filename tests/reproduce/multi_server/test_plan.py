"""The tables and figures of DIRS: every number is what the problem says, every verdict what the numbers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offloadopt.errors import InvalidInput, UnknownName
from offloadopt.reproduce import paper
from offloadopt.reproduce.artefact import distinct_units
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers.multi_server import TINY, named


def test_no_method_beats_the_certified_optimum(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    for name in ("fig-9", "fig-10", "table-3", "hard-servers"):
        frame = pd.read_csv(folder / f"{name}-replicates.csv")
        assert (frame["gap"] >= 0).all()
        optimum = frame[frame["method"] == measurements.OPTIMUM]
        assert (optimum["gap"] <= 1e-6).all()
        assert (frame["method"].value_counts().loc[["local", "greedy", "random"]] > 0).all()
        keys = [REPLICATE, "scenario"] if name == "hard-servers" else [REPLICATE]
        if name in ("table-3", "hard-servers"):
            least = optimum.set_index(keys)["cost"]
            others = frame.join(least.rename("least"), on=keys)
            assert (others["cost"] >= others["least"] * (1 - 1e-9)).all()


def test_a_searched_fitness_never_rises_and_stays_above_the_optimum(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    frame = pd.read_csv(folder / "fig-7-replicates.csv").sort_values("generation")
    for _, curve in frame.groupby(["scenario", "method", REPLICATE]):
        assert (np.diff(curve["fitness"]) <= 0).all()
        assert (curve["gap_of_means"] >= -1e-9).all()


def test_trainings_that_several_figures_show_are_done_once() -> None:
    shared = [set(distinct_units([named(name)])) for name in ("fig-5", "fig-6", "fig-8", "table-3", "fig-10")]
    assert len(set.intersection(*shared)) == TINY.replicates


def test_sizes_and_papers_are_known_by_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'full'"):
        paper("multi_server", "ful")
    with pytest.raises(InvalidInput, match="users_file is missing"):
        paper("multi_server", "quick", sites_file=Path("sites.csv"))
    assert paper("multi_server", "quick").shortened
    assert not paper("multi_server", "full").shortened
