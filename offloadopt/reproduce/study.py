"""A paper's study: sizes, seeds, scenarios and methods, and the units that measure and train them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from offloadopt import registry
from offloadopt.errors import InvalidInput, UnknownName, nearest
from offloadopt.reproduce.artefact import TEST, Artefact, Paper, Unit
from offloadopt.reproduce.measurements import Measurements
from offloadopt.reproduce.plots import Style
from offloadopt.reproduce.summary import REPLICATE
from offloadopt.reproduce.training import Json

Chosen = Mapping[str, tuple[str, Mapping[str, Any]]]
"""Registered name and options of each method by its label."""


class Sizes(SimpleNamespace):
    """Sizes of a study by name: replicates, instances, points and lengths of trainings."""

    def replace(self, **changes: Any) -> Sizes:
        """The same sizes with some changed."""
        unknown = set(changes) - set(vars(self))
        if unknown:
            raise TypeError(f"no size {min(unknown)!r}; {nearest(min(unknown), vars(self))}")
        return Sizes(**{**vars(self), **changes})


def sizes(**values: tuple[Any, Any]) -> dict[str, Sizes]:
    """Sizes by name from the value of each in a quick and in a full run."""
    runs = enumerate(("quick", "full"))
    return {run: Sizes(**{name: pair[place] for name, pair in values.items()}) for place, run in runs}


@dataclass(frozen=True)
class Study:
    """Everything that the artefacts of a paper have in common, in one size.

    Attributes
    ----------
    sizes : Sizes
        Numbers of ``replicates`` (seeds of trainings and of held-out instances) and of ``test_instances``; where there
        are learners, ``steps`` of their training by label, without which one is not trained, and ``changes`` of
        their settings; and the sizes of the paper's artefacts.
    base : mapping
        Fields of the scenario that differ from the preset in every artefact.
    """

    sizes: Sizes
    base: Mapping[str, Any] = field(default_factory=dict)

    measure: ClassVar[Measurements]
    """Functions of the units."""
    learners: ClassVar[Chosen] = {}
    styles: ClassVar[Mapping[str, Style]] = {}
    """Of all methods in the order of tables and legends."""
    budgets: ClassVar[str] = "steps"
    """Field of the sizes with the length of each learner's training."""
    has_places: ClassVar[bool] = False
    """Whether ``users_file`` and ``sites_file`` are fields."""

    @property
    def replicates(self) -> range:
        """Numbers of the replicates, which are the seeds of trainings."""
        return range(1, self.sizes.replicates + 1)

    @property
    def settings(self) -> Json:
        """The study as JSON values, which are stored with its results."""
        return {"sizes": vars(self.sizes), "base": dict(self.base)}

    def scenario(self, preset: str = "paper", **changes: Any) -> Json:
        """All fields of a scenario as JSON values."""
        kind = registry.get("problems", self.measure.problem).scenario_type
        return kind.preset(preset, **{**self.base, **changes}).model_dump(mode="json")

    def expert_seed(self, replicate: int) -> int:
        """Seed of the instances in demonstrations."""
        return 1_000_000 + replicate

    def test_seed(self, replicate: int) -> int:
        """Seed of the held-out instances."""
        return 2_000_000 + replicate

    def test(self, replicate: int, scenario: Json, name: str = TEST, count: int | None = None) -> Json:
        """Held-out instances of a scenario, the same for all methods of a replicate."""
        count = self.sizes.test_instances if count is None else count
        return {"name": name, "scenario": scenario, "count": count, "seed": self.test_seed(replicate)}

    def solvers(
        self, replicate: int, scenario: Json, chosen: Chosen, /, *, test: Json | None = None, **labels: Any
    ) -> Unit:
        """Unit that measures solvers on held-out instances, by default those of `test`."""
        test = self.test(replicate, scenario) if test is None else test
        solvers = {label: {"name": name, "options": dict(options)} for label, (name, options) in chosen.items()}
        conditions = {name: value for name, value in test.items() if name != "name"}
        return Unit(self.measure.apply_solvers, {**conditions, "solvers": solvers}, {REPLICATE: replicate, **labels})

    def learner(self, name: str, **settings: Any) -> Json:
        """Registered name and all settings of a learner, so that a changed default gives another unit."""
        return {"name": name, "settings": registry.learner(name, **settings).model_dump(mode="json")}

    def training(
        self,
        replicate: int,
        scenario: Json,
        learner: Json,
        steps: int | None,
        tests: Sequence[Json] | None = None,
        /,
        *,
        demonstrations: Json | None = None,
        parameters: Mapping[str, Any] | None = None,
        **labels: Any,
    ) -> Unit:
        """Unit of one training with its curve and tests.

        Parameters
        ----------
        tests : sequence of mapping, optional
            By default one in the training's scenario.
        demonstrations : mapping, optional
            As `demonstrations` gives them.
        parameters : mapping, optional
            Of `Measurements.beside`.
        labels
            Of the unit, such as the method.
        """
        common = {
            "scenario": scenario,
            "learner": learner,
            "steps": steps,
            "seed": replicate,
            "tests": [self.test(replicate, scenario)] if tests is None else list(tests),
            **({} if demonstrations is None else {"demonstrations": demonstrations}),
        }
        return Unit(self.measure.train, {**common, **(parameters or {})}, {REPLICATE: replicate, **labels})

    def demonstrations(self, replicate: int, solver: str, count: int, **options: Any) -> Json:
        """A solver's solutions that are collected before a training."""
        return {"solver": solver, "options": options, "count": count, "seed": self.expert_seed(replicate)}

    def installed(self) -> Study:
        """Leave out learners that are not registered; some need a package that may not be installed."""
        names = registry.names("learners")
        lengths = getattr(self.sizes, self.budgets, {})
        known = {method: length for method, length in lengths.items() if self.learners[method][0] in names}
        return self if known == lengths else replace(self, sizes=self.sizes.replace(**{self.budgets: known}))

    @property
    def left_out(self) -> Sequence[str]:
        """Artefacts that cannot be made here, in words."""
        return ()

    def in_order(self, methods: Iterable[str]) -> list[str]:
        """Methods in the order of tables and legends."""
        present = set(methods)
        return [method for method in self.styles if method in present]


@dataclass(frozen=True)
class Plan:
    """A paper's artefacts, and its sizes in a quick and in a full run.

    Attributes
    ----------
    study : type of Study
    sizes : mapping
        Of the study by name; the differences of ``"quick"`` from the others are ``shortened``.
    shortened : sequence of str
        In words.
    artefacts : callable
        Makes the artefacts of a study. These plan their units only when they are asked for.
    """

    study: Callable[..., Study]
    sizes: Mapping[str, Sizes]
    shortened: Sequence[str]
    artefacts: Callable[[Any], Sequence[Artefact]]

    def paper(self, size: str, users_file: Path | None = None, sites_file: Path | None = None) -> Paper:
        """Build the paper in one of its sizes; real places are for papers that have them."""
        if size not in self.sizes:
            raise UnknownName(f"no size {size!r}; {nearest(size, self.sizes)}")
        places = {"users_file": users_file, "sites_file": sites_file}
        places = {name: path for name, path in places.items() if path is not None}
        study: Any = self.study
        if places and not study.has_places:
            name = study.measure.problem
            raise InvalidInput(f"users_file and sites_file are for multi_server; {name} has no real places")
        return self.of(size, self.study(self.sizes[size], **places))

    def of(self, size: str, study: Study) -> Paper:
        """Build the paper of a study, without what is not installed."""
        study = study.installed()
        shortened = (*(self.shortened if size == "quick" else ()), *study.left_out)
        settings = json.loads(json.dumps(study.settings))
        return Paper(study.measure.problem, size, settings, shortened, self.artefacts(study))
