"""A study makes units that are known by their parameters, and plans nothing that was not asked for."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput, UnknownName
from offloadopt.reproduce import PAPERS
from offloadopt.reproduce.partial_mobile.plan import PLAN
from offloadopt.reproduce.partial_mobile.study import DISCRETE, EXACT, OPTIMUM, SB3_A2C
from offloadopt.reproduce.study import Sizes, sizes
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers.partial_mobile import STUDY, tiny

PLANNED = """
import sys
from offloadopt import reproduce
from offloadopt.settings import Scenario

made, preset = [], Scenario.preset.__func__
Scenario.preset = classmethod(lambda cls, *names, **changes: made.append(1) or preset(cls, *names, **changes))
for name, artefact in zip(sys.argv[1::2], sys.argv[2::2]):
    paper = reproduce.paper(name, "full")
    assert not made, "no scenario is built before an artefact plans its units"
    (chosen,) = paper.choose([artefact])
    units = len(chosen.units)
    rooms = {name.split(".")[2] for name in sys.modules if name.startswith("offloadopt.learners.")}
    print(bool(units), len(made), "torch" in sys.modules, *sorted(rooms))
    made.clear()
"""
PLANS = {
    ("partial_mobile", "grid"): "True 45 False",
    ("carbon_mimo", "lyapunov-v"): "True 5 False",
    ("multi_server", "fig-7"): "True 20 False",
    ("twin_inference", "imperfect-twin"): "True 5 False",
    ("multi_server", "fig-10"): "True 25 True common dirs",
}
"""What planning finds: units, the number of scenarios, torch, and rooms of learners. The last one imports some."""


def test_planning_an_artefact_builds_its_scenarios_and_imports_its_learners_alone() -> None:
    command = [sys.executable, "-c", PLANNED, *(word for names in PLANS for word in names)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert dict(zip(PLANS, said, strict=True)) == PLANS


def test_units_measure_and_train_on_instances_that_no_training_sees() -> None:
    scenario = STUDY.scenario()
    solved = STUDY.solvers(2, scenario, OPTIMUM, weight=0.5)
    assert solved.labels == {REPLICATE: 2, "weight": 0.5}
    assert solved.parameters == {
        "scenario": scenario,
        "solvers": {EXACT: {"name": "exact", "options": {}}},
        "count": STUDY.sizes.test_instances,
        "seed": STUDY.test_seed(2),
    }
    trained = STUDY.training(2, scenario, STUDY.learner("a2c-sb3"), 10, method=SB3_A2C)
    assert trained.parameters["tests"] == [STUDY.test(2, scenario)]
    experts = STUDY.demonstrations(2, "exact", 3, relative_gap=0.1)
    assert experts["options"] == {"relative_gap": 0.1}
    assert len({trained.parameters["seed"], STUDY.test_seed(2), experts["seed"]}) == 3
    for unit in (solved, trained):
        assert json.loads(json.dumps(unit.parameters)) == unit.parameters
        assert pickle.loads(pickle.dumps(unit)).name == unit.name


def test_every_setting_of_a_learner_is_in_its_unit() -> None:
    learner = STUDY.learner("imitation", gradient_steps=7)
    assert learner["settings"] == registry.learner("imitation", gradient_steps=7).model_dump(mode="json")


def test_learners_that_nobody_registered_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert STUDY.installed() is STUDY
    monkeypatch.setattr(registry, "names", lambda group: {"a2c-sb3": ()})
    assert STUDY.installed().sizes.steps == {}


def test_a_plan_has_sizes_and_says_how_the_quick_one_differs() -> None:
    quick, full = PLAN.paper("quick"), PLAN.paper("full")
    assert quick.shortened
    assert not full.shortened
    assert not tiny().shortened
    assert quick.settings["sizes"]["replicates"] == 2
    assert DISCRETE in full.settings["sizes"]["steps"]
    with pytest.raises(UnknownName, match="no size 'ful'; did you mean 'full'"):
        PLAN.paper("ful")


@pytest.mark.parametrize("name", sorted(set(PAPERS) - {"multi_server"}))
def test_real_places_are_for_multi_server_alone(name: str) -> None:
    from offloadopt import reproduce

    with pytest.raises(InvalidInput, match=f"{name} has no real places"):
        reproduce.paper(name, "quick", users_file=Path("users.csv"))


def test_sizes_are_stated_side_by_side_and_changed_by_name() -> None:
    made = sizes(replicates=(2, 5), users=((1, 2), (1, 2, 3)))
    assert vars(made["quick"]) == {"replicates": 2, "users": (1, 2)}
    assert made["full"].replace(replicates=1) == Sizes(replicates=1, users=(1, 2, 3))
    with pytest.raises(TypeError, match="no size 'user'; did you mean 'users'"):
        made["full"].replace(user=(1,))
