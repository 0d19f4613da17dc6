"""Settings that all artefacts share: sizes, scenarios, seeds, and trainings that several of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offloadopt import registry
from offloadopt.problems.multi_server import MultiServerScenario
from offloadopt.reproduce.artefact import REPLICATE, Unit
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.multi_server.measurements import Json
from offloadopt.reproduce.training import own_length

RULES = ("greedy", "random", "local")
SHIFTS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "links 6 dB weaker": lambda replicate: {"reference_gain_db": -36.0},
    "path loss exponent 2.2": lambda replicate: {"path_loss_exponent": 2.2},
    "another layout": lambda replicate: {"layout_seed": 1000 + replicate},
}
"""Changes of the channel statistics after training, by replicate; the allocation knows each link's gain."""
AS_TRAINED = "as trained"
IMITATION, DIRS, OWN_DIRS, PRICES = "imitation", "dirs", "dirs-defaults", "prices"
LEARNED = (IMITATION, DIRS, OWN_DIRS, PRICES)
"""Imitation of exact demonstrations alone; DIRS with the paper's settings; DIRS with this package's defaults; one
equivariant network that observes all links and tasks, without the paper's limit on information."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a reproduction: replicates, instances, training steps and points.

    Attributes
    ----------
    replicates : int
        Layouts 1, 2, ...; each has seeds of its own for nature, demonstrations and training.
    test_instances : int
        Held out, the same for all methods of a replicate.
    users, servers : tuple of int
        Points of figures 9 and 10.
    server_hz : tuple of float
        CPUs of harder servers.
    demonstration_counts : tuple of int
        Of Table II.
    accuracy_steps : int
        Gradient steps in Table II; the paper's 1000 iterations of pre-training.
    imitation_demonstrations, imitation_steps : int
        Of `imitation` where it is compared with DIRS.
    dirs, own_dirs, prices : mapping
        What differs from the paper's settings of DIRS, from this package's defaults, and from those of `prices`.
    budget_shares : tuple of float
        Shares of each learner's full number of steps at which the anytime curve has points.
    search_instances, generations : int
        Of figure 7.
    """

    replicates: int
    test_instances: int
    users: tuple[int, ...]
    servers: tuple[int, ...]
    server_hz: tuple[float, ...]
    demonstration_counts: tuple[int, ...]
    accuracy_steps: int
    imitation_demonstrations: int
    imitation_steps: int
    dirs: Mapping[str, Any]
    own_dirs: Mapping[str, Any]
    prices: Mapping[str, Any]
    budget_shares: tuple[float, ...]
    search_instances: int
    generations: int


@dataclass(frozen=True)
class Setting:
    """Sizes, and the scenario fields that all artefacts change.

    Attributes
    ----------
    base : mapping
        Scenario fields that differ from the preset in every artefact.
    users_file, sites_file : path, optional
        Real places; with them the preset ``melbourne`` is measured too.
    """

    sizes: Sizes
    base: Mapping[str, Any] = field(default_factory=dict)
    users_file: Path | None = None
    sites_file: Path | None = None

    @property
    def replicates(self) -> range:
        """Numbers of the replicates, which are the seeds of layouts and trainings."""
        return range(1, self.sizes.replicates + 1)

    def demonstration_seed(self, replicate: int) -> int:
        """Seed of the instances in demonstrations."""
        return 1_000_000 + replicate

    def test_seed(self, replicate: int) -> int:
        """Seed of the held-out instances."""
        return 2_000_000 + replicate

    def scenario(self, replicate: int, preset: str = "paper", **changes: Any) -> Json:
        """All fields of a replicate's scenario as JSON values."""
        values = {**self.base, "layout_seed": replicate, **changes}
        return MultiServerScenario.preset(preset, **values).model_dump(mode="json")

    def learner(self, name: str, **settings: Any) -> Json:
        """Name and all settings of a learner, so that a changed default gives another unit."""
        return {"name": name, "settings": registry.learner(name, **settings).model_dump(mode="json")}

    def rules(self, replicate: int, scenario: Json, solvers: Sequence[str] = RULES) -> Unit:
        """Unit of the certified optimum and simple rules on the held-out instances."""
        parameters = {
            "scenario": scenario,
            "solvers": list(solvers),
            "count": self.sizes.test_instances,
            "seed": self.test_seed(replicate),
        }
        return Unit(measurements.apply_rules, parameters, {REPLICATE: replicate})

    def tests(self, replicate: int, scenario: Json) -> list[Json]:
        """Held-out instances of a policy's own scenario, and of shifted ones."""
        trained = MultiServerScenario(**scenario)
        scenarios = {AS_TRAINED: scenario} | {
            name: trained.replace(**shift(replicate)).model_dump(mode="json") for name, shift in SHIFTS.items()
        }
        return [
            {"name": name, "scenario": test, "count": self.sizes.test_instances, "seed": self.test_seed(replicate)}
            for name, test in scenarios.items()
        ]

    def training(
        self,
        replicate: int,
        scenario: Json,
        learner: Json,
        *,
        demonstrations: int | None = None,
        steps: int | None = None,
        seconds: float | None = None,
    ) -> Unit:
        """Unit of one training with its curve and tests; ``demonstrations`` are exact and collected beforehand."""
        experts = None
        if demonstrations is not None:
            experts = {"solver": "exact", "count": demonstrations, "seed": self.demonstration_seed(replicate)}
        parameters = {
            "scenario": scenario,
            "learner": learner,
            "demonstrations": experts,
            "budget": {"steps": steps, "seconds": seconds},
            "seed": replicate,
            "tests": self.tests(replicate, scenario),
        }
        return Unit(measurements.train, parameters, {REPLICATE: replicate})

    def learned(self, method: str, replicate: int, scenario: Json, share: float = 1.0) -> Unit:
        """A training of one of `LEARNED`, or of the given share of its steps."""
        learner = {
            IMITATION: lambda: self.learner("imitation", gradient_steps=self.sizes.imitation_steps),
            DIRS: self.published_dirs,
            OWN_DIRS: lambda: self.learner("dirs", **self.sizes.own_dirs),
            PRICES: lambda: self.learner("prices", **self.sizes.prices),
        }[method]()
        demonstrations = self.sizes.imitation_demonstrations if method == IMITATION else None
        steps = None
        if share < 1.0:
            steps = max(1, round(share * own_length(registry.learner(learner["name"], **learner["settings"]))))
        return self.training(replicate, scenario, learner, demonstrations=demonstrations, steps=steps)

    def published_dirs(self, **changes: Any) -> Json:
        """DIRS with the paper's settings, or an ablation of it."""
        from offloadopt.learners.dirs.dirs import PAPER

        return self.learner("dirs", **{**PAPER, **self.sizes.dirs, **changes})
