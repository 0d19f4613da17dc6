"""Artefacts that the paper does not have."""

from __future__ import annotations

from pathlib import Path

from offloadopt.reproduce import paper


def test_real_places_join_the_generalisation_only_where_they_are_named(real_places: tuple[Path, Path]) -> None:
    users, sites = real_places
    labels = [
        {unit.labels["scenario"] for unit in artefact.units}
        for made in (paper("multi_server", "full"), paper("multi_server", "full", users, sites))
        for artefact in made.choose(["generalisation"])
    ]
    assert labels == [{"paper", "heterogeneous"}, {"paper", "heterogeneous", "melbourne"}]
