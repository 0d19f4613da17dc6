"""Table III: DIRS, Actor-Critic and DDPG with equal numbers of samples, and with equal time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval, ascending
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.multi_server.study import AS_TRAINED, DIRS, MultiServerStudy
from offloadopt.reproduce.summary import summarised, values

SAMPLES, SECONDS, NONE = "equal samples", "equal seconds", "none"
ACTOR_CRITIC, DDPG = "actor-critic", "ddpg-sb3"
LEARNERS: Mapping[str, tuple[str, plots.Style]] = {
    DIRS: ("DIRS", plots.Style("DIRS", plots.BLUE, "", "o")),
    ACTOR_CRITIC: ("Actor-Critic", plots.Style("Actor-Critic", plots.VERMILION, "", "s")),
    DDPG: ("DDPG", plots.Style("DDPG", plots.PURPLE, "", "^")),
}
PUBLISHED = {
    "train_cpu_s": (2970.84, 3482.72, 3823.15),
    "decision_s": (0.0165, 0.0195, 0.0192),
    "reward": (0.0348, 0.0309, 0.0317),
}
"""Published values of DIRS, Actor-Critic and DDPG."""
NEAR = 0.01
"""A reward this close to the published one, relative to it, counts as the same."""


@dataclass(eq=False)
class LearnersTable(Artefact):
    """Training time, time of a single decision, and reward on held-out instances.

    Equal samples: each learner is trained on as many instances as DIRS, demonstrations included. Equal seconds: each
    trains for as long as DIRS, demonstrations included; learners of Stable-Baselines3 then use more instances. Training
    time is the processor's, because trainings share the cores; wall time stands beside it.
    """

    study: MultiServerStudy
    name = "table-3"
    keys = ("budget", "method")

    def plan(self) -> Iterable[Unit]:
        """Two trainings of each learner, and the optimum."""
        study, dirs = self.study, self.study.published_dirs()
        samples = int(dirs["settings"]["demonstrations"] + dirs["settings"]["slots"])
        baselines = {ACTOR_CRITIC: study.learner("a2c-sb3"), DDPG: study.learner("ddpg-sb3")}
        for replicate in study.replicates:
            scenario = study.layout(replicate)
            yield study.learned(DIRS, replicate, scenario)
            for name, learner in baselines.items():
                yield study.trained(replicate, scenario, learner, samples, method=name)
            parameters = {
                "scenario": scenario,
                "leader": dirs,
                "followers": baselines,
                "seed": replicate,
                "tests": study.tests(replicate, scenario),
            }
            yield Unit(measurements.train_for_equal_time, parameters, {REPLICATE: replicate})
            yield study.rules(replicate, scenario)

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each training; the optimum and the rules are not trained."""
        if "solvers" in unit.parameters:
            for method, numbers in result.items():
                yield {"budget": NONE, "method": method, **numbers}
            return
        alone = "method" in unit.labels
        trained = {unit.labels["method"]: result} if alone else result
        for method, found in trained.items():
            yield {
                "budget": SAMPLES if alone else SECONDS,
                "method": method,
                "train_cpu_s": found["spent"]["cpu_seconds"],
                "train_wall_s": found["spent"]["seconds"],
                "samples": found["samples"],
                "decision_s": found["decision_s"],
                **found["tests"][AS_TRAINED],
            }

    def draw(self, frame: DataFrame) -> Figure:
        """Three panels; published numbers are hollow."""
        summary = summarised(frame, self.keys).set_index(list(self.keys))
        figure, axes = plots.panels(3)
        shown = (
            ("train_cpu_s", 1.0, "training time (processor), s"),
            ("decision_s", 1e3, "time of a decision, ms"),
            ("reward", 1.0, "mean reward, 1 / cost"),
        )
        entries = [(budget, name) for budget in (SAMPLES, SECONDS) for name in LEARNERS]
        for ax, (number, scale, label) in zip(axes, shown, strict=True):
            rows = [(f"{LEARNERS[name][0]}, {budget}", LEARNERS[name][1]) for budget, name in entries]
            plots.dots(ax, rows, [summary.loc[[entry]].iloc[0] for entry in entries], number, scale)
            published = [scale * value for value in PUBLISHED[number]]
            for rows_of_budget in (range(3), range(3, 6)):
                look: dict[str, Any] = {"ls": "", "marker": "o", "ms": 6, "mfc": "none", "color": plots.VERMILION}
                ax.plot(published, list(rows_of_budget), label="as published", **look)
            if number == "reward":
                for method, color, line in ((measurements.OPTIMUM, plots.BLACK, "--"), ("local", plots.GREY, "-.")):
                    text = "certified optimum" if method == measurements.OPTIMUM else "Local"
                    mean = values(frame, number, budget=NONE, method=method).mean()
                    ax.axvline(mean, color=color, ls=line, lw=1.4, label=text)
            else:
                plots.logarithmic(ax, "x")
            if ax is not axes[0]:
                ax.set_yticklabels([])
            plots.finish(ax, label, "")
        plots.legend(figure, axes)
        return figure

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
        """The three orders, and the level of DIRS's reward."""
        by_reward, by_training = (ACTOR_CRITIC, DDPG, DIRS), (DIRS, ACTOR_CRITIC, DDPG)
        by_inference = (DIRS, DDPG, ACTOR_CRITIC)
        reward = Interval.of(values(frame, "reward", budget=SAMPLES, method=DIRS))
        optimum = Interval.of(values(frame, "reward", budget=NONE, method=measurements.OPTIMUM))
        published = PUBLISHED["reward"][0]
        return [
            self._order(frame, SAMPLES, "reward", "average reward", by_reward),
            self._order(frame, SECONDS, "reward", "average reward", by_reward),
            Claim(
                "The average reward of DIRS has the published level",
                "Table III",
                f"{published:.4f}",
                f"{reward.text(form='.4f')}; certified optimum {optimum.text(form='.4f')}",
                reward.within(published * (1 - NEAR), published * (1 + NEAR)),
                f"the mean lies within {100 * NEAR:g} % of the published one",
            ),
            self._order(frame, SAMPLES, "train_cpu_s", "training time", by_training, " s"),
            self._order(frame, SAMPLES, "decision_s", "inference time", by_inference, " s"),
        ]

    def _order(
        self, frame: DataFrame, budget: str, number: str, word: str, order: Sequence[str], unit: str = ""
    ) -> Claim:
        names = [LEARNERS[name][0] for name in order]
        published = dict(zip(LEARNERS, PUBLISHED[number], strict=True))
        found = [values(frame, number, budget=budget, method=name) for name in order]
        means = ", ".join(f"{name} {Interval.of(each).mean:.3g}" for name, each in zip(names, found, strict=True))
        holds, differences = ascending(names, found)
        return Claim(
            f"Order of {word}, {budget}: {' < '.join(names)}",
            "Table III",
            ", ".join(f"{LEARNERS[name][0]} {published[name]:g}{unit}" for name in order),
            f"{means}{unit} ({differences})",
            holds,
            "each mean paired difference of neighbours in this order is above 0; false if one is not",
        )
