"""`offloadopt list` names everything that is registered."""

from __future__ import annotations

from types import ModuleType

from offloadopt import registry

from toys.command_line import Run


def test_list_names_everything_registered(run: Run) -> None:
    found = run("list", "--json").json
    for group, entries in found.items():
        assert [entry["name"] for entry in entries] == list(registry.names(group))
        assert all(entry["summary"] for entry in entries)
    solvers = {entry["name"]: entry for entry in found["solvers"]}
    assert (solvers["exhaustive"]["proves"], solvers["levy"]["proves"]) == (True, False)
    assert solvers["levy"]["serves"] == ["multi_server", "partial_mobile"]


def test_list_shows_plugins_and_survives_a_broken_one(run: Run, toy: ModuleType) -> None:
    ran = run("list", "--json")
    assert "queues" in [entry["name"] for entry in ran.json["problems"]]
    solvers = {entry["name"]: entry for entry in ran.json["solvers"]}
    assert solvers["foresight"]["summary"] == toy.HindsightData.__doc__.partition("\n")[0]
    assert "missing" not in solvers
    assert "solver 'missing'" in ran.err


def test_list_shows_presets_to_people(run: Run) -> None:
    assert "task_spread=0.5, load=1.0" in run("list").out
