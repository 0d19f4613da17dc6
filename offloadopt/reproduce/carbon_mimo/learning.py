"""Training curves, inference cost, imitation of two experts, and one user beside its dynamic programme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.carbon_mimo.setting import (
    CADDTO,
    DDPG,
    ENERGY,
    LEARNERS,
    LYAPUNOV,
    PERFECT,
    PPO,
    RULES,
    STYLES,
    Setting,
)
from offloadopt.reproduce.claims import Claim, Interval, all_hold
from offloadopt.reproduce.summary import summarised, values
from offloadopt.reproduce.training import Json, decides_jointly

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

POINTS = 40
"""Points of a training curve; replicates are averaged over the same intervals of steps."""
PUBLISHED_MS, PUBLISHED_BYTES = 0.15, 68 * 1024
CONSTANT = 0.25
"""A time that grows by less than this share over all numbers of users counts as constant."""


class TrainingFigure(Artefact):
    """Mean reward per slot and user during training, over the whole range of loads or at the middle one."""

    name = "training"
    keys = ("method", "step")

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """All trainings."""
        return [unit for replicate in self.setting.replicates for unit in self.setting.shown(replicate)]

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Means over equal intervals of the training."""
        steps = int(unit.parameters["steps"])
        if not result["curve"]:
            return
        found = np.array([(point["step"], mean_reward(point, unit)) for point in result["curve"]])
        place = np.minimum((found[:, 0] - 1) * POINTS // steps, POINTS - 1)
        for number in np.unique(place):
            step = int((number + 1) * steps / POINTS)
            yield {"method": unit.labels["method"], "step": step, "reward": float(found[place == number, 1].mean())}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """A curve for each learner."""
        summary = summarised(frame, self.keys)
        figure, (ax,) = plots.panels(1)
        for method in self.setting.sizes.steps:
            look = STYLES[method]
            style = plots.Style(look.label, look.color, look.line)
            plots.series(ax, summary[summary["method"] == method], "step", "reward", style)
        plots.fit_to_means(ax)
        plots.logarithmic(ax, "x")
        plots.finish(ax, "training steps (slots x users)", "mean reward a slot and user")
        plots.legend(figure, [ax], columns=3)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Whether CADDTO-PPO ends above DDPG."""
        if not {CADDTO, DDPG} <= set(frame["method"]):
            return []
        last = {method: frame[frame["method"] == method]["step"].max() for method in (CADDTO, DDPG)}
        ends = {method: values(frame, "reward", method=method, step=step) for method, step in last.items()}
        step = Interval.of(ends[CADDTO] - ends[DDPG])
        return [
            Claim(
                "CADDTO-PPO converges to a higher reward than DDPG",
                "training figure",
                "higher (curves only)",
                f"CADDTO-PPO - DDPG at the end of training: {step.text(sign='+')}",
                step.above(0.0),
                "the mean paired difference of the last stretch of training is above 0",
            )
        ]


def mean_reward(point: Result, unit: Unit) -> float:
    """Reward per user and slot: the recorded reward (of all users for joint learners), else minus the cost."""
    if "train/reward" not in point:
        return -float(point["episode/cost"])
    joint = decides_jointly(unit.parameters["learner"]["name"])
    return float(point["train/reward"]) / (unit.parameters["scenario"]["users"] if joint else 1)


class InferenceTable(Artefact):
    """Time and memory of a decision on a device against the number of users."""

    name = "inference"
    keys = ("users",)

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """The trainings of CADDTO-PPO, which include the measurement."""
        found = [unit for replicate in self.setting.replicates for unit in self.setting.shown(replicate)]
        return [unit for unit in found if unit.labels["method"] == CADDTO]

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each number of users."""
        yield from result["inference"]

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Time of one device, and of all devices in one batch."""
        summary = summarised(frame, self.keys)
        figure, (ax,) = plots.panels(1)
        plots.series(ax, summary, "users", "device_ms", plots.Style("one device", plots.BLUE, "-", "o"))
        plots.series(ax, summary, "users", "all_ms", plots.Style("all devices at once", plots.GREY, "--", "s"))
        plots.published(ax, y=PUBLISHED_MS)
        plots.logarithmic(ax, "x", "y")
        plots.finish(ax, "users", "time of a decision, ms")
        plots.legend(figure, [ax], columns=3)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Whether the time is constant and short, and the memory small."""
        few, many = min(frame["users"]), max(frame["users"])
        alone = {users: values(frame, "device_ms", users=users) for users in sorted(set(frame["users"]))}
        growth = Interval.of(alone[many] / alone[few])
        worst = max((Interval.of(found) for found in alone.values()), key=lambda interval: interval.mean)
        size = int(frame["bytes"].max())
        return [
            Claim(
                "Inference takes the same time on a device whatever the number of users",
                "architecture profile",
                "O(1) in the number of users",
                f"{growth.text()} times as long with {many} users as with {few}",
                all_hold([growth.below(1.0 + CONSTANT), growth.above(1.0 - CONSTANT)]),
                f"the mean ratio lies within {CONSTANT:g} of 1",
            ),
            Claim(
                "A decision takes less than 0.15 ms and 68 KB",
                "architecture profile",
                "< 0.15 ms, < 68 KB",
                f"{worst.text()} ms at most, {size / 1024:.1f} KiB, on one thread of a CPU",
                all_hold([worst.below(PUBLISHED_MS), size < PUBLISHED_BYTES]),
                "the largest mean over the numbers of users is below 0.15 ms, and the parameters take less than 68 KiB",
            ),
        ]


class ExpertTable(Artefact):
    """Imitation of two experts: the hindsight optimum, which knows the future, and Lyapunov, which does not.

    Decisions in hindsight depend on information that no online policy has; the loss by imitating them is the gap
    between the expert and its imitation, compared with the same gap under Lyapunov.
    """

    name = "experts"
    keys = ("method",)
    experts: ClassVar[Mapping[str, str]] = {measurements.HINDSIGHT: "exact", "lyapunov": "lyapunov"}
    """Registered solvers, by their labels in the table."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """Imitation of both experts with the full view and either controls, and the experts themselves."""
        sizes, found = self.setting.sizes, []
        scenario = self.setting.scenario()
        for replicate in self.setting.replicates:
            tests = [self.setting.test(replicate, scenario, "test")]
            for expert, solver in self.experts.items():
                demonstrations = {
                    "solver": solver,
                    "options": {},
                    "count": sizes.expert_instances,
                    "seed": 1_000_000 + replicate,
                }
                for controls, label in (("energy", f"imitates {expert}"), (None, f"imitates {expert}, two powers")):
                    learner = self.setting.learner("imitation-agents", view="full", controls=controls)
                    found.append(
                        self.setting.training(
                            replicate,
                            scenario,
                            learner,
                            sizes.expert_steps,
                            tests,
                            demonstrations=demonstrations,
                            method=label,
                        )
                    )
            rules = {**PERFECT, LYAPUNOV: RULES[LYAPUNOV]}
            found.append(self.setting.solvers(replicate, scenario, rules))
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each expert, each imitation, and the bound."""
        if unit.function is measurements.train:
            yield {"method": unit.labels["method"], **result["tests"]["test"]}
            return
        for method, numbers in result.items():
            yield {"method": method, **numbers}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw the costs of all methods, one below the other."""
        summary = summarised(frame, self.keys)
        looks = [
            (measurements.BOUND, plots.Style("", plots.BLACK, marker="|")),
            (measurements.HINDSIGHT, plots.Style("", plots.BLACK, marker="s")),
            ("imitates hindsight", plots.Style("", plots.SKY, marker="s")),
            ("imitates hindsight, two powers", plots.Style("", plots.BLUE, marker="o")),
            (LYAPUNOV, plots.Style("", plots.GREEN, marker="D")),
            ("imitates lyapunov", plots.Style("", plots.SKY, marker="s")),
            ("imitates lyapunov, two powers", plots.Style("", plots.BLUE, marker="o")),
        ]
        figure, (ax,) = plots.panels(1)
        plots.dots(ax, looks, list(chosen(summary, looks)), "cost")
        plots.finish(ax, "mean cost a slot and user", "")
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """None: the paper has no imitation."""
        return []


class OneUserTable(Artefact):
    """One user at a fixed distance, for which dynamic programming gives the optimal online policy."""

    name = "one-user"
    keys = ("method",)
    optimum = "dynamic programme"
    powers = "two powers"
    changes: ClassVar[Mapping[str, Json]] = {powers: {"controls": None}}

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """PPO with the full state, with the paper's view, and with two powers; rules, dynamic programme and bound."""
        scenario = self.setting.scenario(users=1, distance_m=60.0, speed_m_per_s=0.0)
        steps, found = self.setting.sizes.one_user_steps, []
        for replicate in self.setting.replicates:
            tests = [self.setting.test(replicate, scenario, "test")]
            for method in (PPO, ENERGY, self.powers):
                name, settings = LEARNERS[ENERGY if method == self.powers else method]
                learner = self.setting.learner(name, **{**settings, **self.changes.get(method, {})})
                found.append(self.setting.training(replicate, scenario, learner, steps, tests, method=method))
            rules = {**PERFECT, self.optimum: ("dynamic-programming", {}), LYAPUNOV: RULES[LYAPUNOV]}
            found.append(self.setting.solvers(replicate, scenario, rules))
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method."""
        if unit.function is measurements.train:
            yield {"method": unit.labels["method"], **result["tests"]["test"]}
            return
        for method, numbers in result.items():
            yield {"method": method, **numbers}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw the costs of all methods, one below the other."""
        summary = summarised(frame, self.keys)
        looks = [
            (measurements.BOUND, plots.Style("", plots.BLACK, marker="|")),
            (self.optimum, plots.Style("", plots.VERMILION, marker="s")),
            (PPO, plots.Style("", plots.SKY, marker="P")),
            (ENERGY, plots.Style("", plots.SKY, marker="s")),
            (self.powers, plots.Style("", plots.BLUE, marker="o")),
            (LYAPUNOV, plots.Style("", plots.GREEN, marker="D")),
        ]
        figure, (ax,) = plots.panels(1)
        plots.dots(ax, looks, list(chosen(summary, looks)), "cost")
        plots.finish(ax, "mean cost a slot", "one user at 60 m")
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """A criterion of our own: the loss by the paper's observation and controls."""
        best = values(frame, "cost", method=self.optimum)
        above = {
            method: Interval.of(values(frame, "cost", method=method) / best - 1.0)
            for method in (PPO, ENERGY, self.powers)
        }
        return [
            Claim(
                "With the full state PPO comes within 3 % of the dynamic programme (our own yardstick)",
                "one user, not in the paper",
                "-",
                f"{above[PPO].text(100, sign='+')} % with the full state, {above[ENERGY].text(100, sign='+')} % with "
                f"the paper's view, {above[self.powers].text(100, sign='+')} % with that view and two powers to set",
                above[PPO].below(0.03),
                "the mean ratio of costs over the replicates is below 1.03",
            )
        ]


def chosen(summary: pd.DataFrame, looks: Sequence[tuple[str, plots.Style]]) -> Iterable[pd.Series]:
    """Select the rows of some methods, in their order."""
    for name, _ in looks:
        yield summary[summary["method"] == name].iloc[0]
