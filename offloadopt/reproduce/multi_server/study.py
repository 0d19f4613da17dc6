"""Methods and sizes of the study, and the trainings that several artefacts need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offloadopt import registry
from offloadopt.formats.reading import sha256
from offloadopt.problems.multi_server import MultiServerScenario
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Result, Unit
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.study import Study, sizes
from offloadopt.reproduce.training import Json, own_length
from offloadopt.traces import locations

RULES = ("greedy", "random", "local")
RULE_STYLES = {
    "local": plots.Style("Local", plots.GREY, "-.", "D"),
    "random": plots.Style("Random", plots.GREEN, "-.", "v"),
    "greedy": plots.Style("Greedy", plots.ORANGE, "-.", "^"),
}
REFERENCES = {
    measurements.OPTIMUM: plots.Style("certified optimum", plots.BLACK, "--"),
    "local": RULE_STYLES["local"].plain,
}
"""The least and the largest cost, as levels beside curves."""
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

SIZES = sizes(
    replicates=(3, 5),
    test_instances=(200, 500),
    # Points of figures 9 and 10.
    users=((10, 100), (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)),
    servers=((2, 10), (2, 4, 6, 8, 10)),
    # CPUs of harder servers.
    server_hz=((2e9, 1e10), (2e9, 5e9, 1e10)),
    # Of Table II.
    demonstration_counts=((64, 128, 256, 512), (64, 128, 256, 512)),
    # Gradient steps in Table II; the paper's 1000 iterations of pre-training.
    accuracy_steps=(1000, 1000),
    # Of `imitation` where it is compared with DIRS.
    imitation_demonstrations=(1000, 1000),
    imitation_steps=(1000, 3000),
    # What differs from the paper's settings of DIRS, from this package's defaults, and from those of `prices`.
    dirs=({}, {}),
    own_dirs=({"demonstrations": 4096, "pretraining": 1500, "slots": 300}, {}),
    prices=({"gradient_steps": 500}, {}),
    # Shares of each learner's full number of steps at which the anytime curve has points.
    budget_shares=((0.1, 1.0), (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)),
    # Of figure 7.
    search_instances=(50, 200),
    generations=(300, 1000),
)


@dataclass(frozen=True)
class MultiServerStudy(Study):
    """The study of `multi_server`; the number of a replicate is also the seed of its layout.

    Attributes
    ----------
    users_file, sites_file : path, optional
        Real places, both or none; with them the preset ``melbourne`` is measured too.
    """

    users_file: Path | None = None
    sites_file: Path | None = None

    measure = measurements.MEASURE
    has_places = True

    def __post_init__(self) -> None:
        locations.require_both(self.users_file, self.sites_file)

    @property
    def settings(self) -> Json:
        """Also the places, by their digests."""
        places = {
            name: None if path is None else {"path": str(path), "sha256": sha256(path)}
            for name, path in (("users_file", self.users_file), ("sites_file", self.sites_file))
        }
        return {**super().settings, **places}

    def layout(self, replicate: int, preset: str = "paper", **changes: Any) -> Json:
        """Scenario of a replicate."""
        return self.scenario(preset, **{"layout_seed": replicate, **changes})

    def rules(self, replicate: int, scenario: Json, /, **labels: Any) -> Unit:
        """Unit of the certified optimum and simple rules on the held-out instances."""
        return self.solvers(replicate, scenario, {name: (name, {}) for name in RULES}, **labels)

    def tests(self, replicate: int, scenario: Json) -> list[Json]:
        """Held-out instances of a policy's own scenario, and of shifted ones."""
        trained = MultiServerScenario(**scenario)
        shifted = {name: trained.replace(**shift(replicate)).model_dump(mode="json") for name, shift in SHIFTS.items()}
        return [self.test(replicate, test, name) for name, test in {AS_TRAINED: scenario, **shifted}.items()]

    def trained(
        self, replicate: int, scenario: Json, learner: Json, steps: int | None = None, /, **labels: Any
    ) -> Unit:
        """Unit of one training, in the test scenarios of all."""
        return self.training(replicate, scenario, learner, steps, self.tests(replicate, scenario), **labels)

    def learned(self, method: str, replicate: int, scenario: Json, share: float = 1.0, /, **labels: Any) -> Unit:
        """A training of one of `LEARNED`, or of the given share of its steps."""
        sizes = self.sizes
        learner = {
            IMITATION: lambda: self.learner("imitation", gradient_steps=sizes.imitation_steps),
            DIRS: self.published_dirs,
            OWN_DIRS: lambda: self.learner("dirs", **sizes.own_dirs),
            PRICES: lambda: self.learner("prices", **sizes.prices),
        }[method]()
        if method == IMITATION:
            labels["demonstrations"] = self.demonstrations(replicate, "exact", sizes.imitation_demonstrations)
        steps = None
        if share < 1.0:
            steps = max(1, round(share * own_length(registry.learner(learner["name"], **learner["settings"]))))
        return self.trained(replicate, scenario, learner, steps, method=method, **labels)

    def published_dirs(self, **changes: Any) -> Json:
        """DIRS with the paper's settings, or an ablation of it."""
        from offloadopt.learners.dirs.dirs import PAPER

        return self.learner("dirs", **{**PAPER, **self.sizes.dirs, **changes})


def spent(result: Result) -> Json:
    """Columns of the time that a training took: the processor's, because trainings share the cores, and wall time."""
    return {"train_cpu_s": result["spent"]["cpu_seconds"], "train_wall_s": result["spent"]["seconds"]}
