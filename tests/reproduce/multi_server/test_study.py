"""Scenarios, seeds and trainings that several artefacts share."""

from __future__ import annotations

import pytest

from offloadopt import registry
from offloadopt.reproduce.multi_server.study import AS_TRAINED, DIRS, IMITATION, LEARNED, SHIFTS

from toys.tiny_papers.multi_server import STUDY, TINY


def test_shifted_tests_change_the_channel_alone() -> None:
    scenario = STUDY.layout(1)
    tests = {test["name"]: test for test in STUDY.tests(1, scenario)}
    assert set(tests) == {AS_TRAINED, *SHIFTS}
    assert tests[AS_TRAINED]["scenario"] == scenario
    for name, shift in SHIFTS.items():
        changed = {key for key, value in tests[name]["scenario"].items() if value != scenario[key]}
        assert changed == set(shift(1))
    assert len({test["seed"] for test in tests.values()}) == 1


def test_each_replicate_has_its_own_layout_and_seeds() -> None:
    layouts = [STUDY.layout(replicate)["layout_seed"] for replicate in STUDY.replicates]
    assert layouts == [1, 2]
    seeds = [of(replicate) for of in (STUDY.test_seed, STUDY.expert_seed) for replicate in layouts]
    assert len({*layouts, *seeds}) == 6


@pytest.mark.parametrize("method", LEARNED)
def test_a_share_of_a_budget_is_that_share_of_the_learners_steps(method: str) -> None:
    whole, half = (STUDY.learned(method, 1, STUDY.layout(1), share) for share in (1.0, 0.5))
    learner = whole.parameters["learner"]
    assert whole.parameters["steps"] is None
    settings = learner["settings"]
    steps = settings["gradient_steps"] if "gradient_steps" in settings else settings["pretraining"] + settings["slots"]
    assert half.parameters["steps"] == round(0.5 * steps)
    assert half.parameters["learner"] == learner
    assert ("demonstrations" in whole.parameters) == (method == IMITATION)


def test_published_dirs_has_the_papers_settings_but_for_the_changes() -> None:
    from offloadopt.learners.dirs.dirs import PAPER

    settings = STUDY.published_dirs(refinement="none")["settings"]
    expected = {**PAPER, **TINY.dirs, "refinement": "none"}
    found = registry.learner(DIRS, **expected).model_dump(mode="json")
    assert settings == found
