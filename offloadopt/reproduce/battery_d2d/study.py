"""Methods and sizes of the study, and the trainings that several artefacts need."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.battery_d2d import measurements
from offloadopt.reproduce.study import Chosen, Study, sizes
from offloadopt.reproduce.summary import REPLICATE
from offloadopt.reproduce.training import Json

RMAPPO, MADDPG, PPO = "rMAPPO", "MADDPG", "PPO, full view"
SB3_PPO, SB3_DDPG, SB3_DQN = "SB3 PPO", "SB3 DDPG", "SB3 DQN"
OED, OMD, RANDOM = "all edge (OED)", "all mobile (OMD)", "random"
GREEDY, QUEUE, OPTIMUM = "deadline-greedy", "energy queues", "hindsight optimum"
LEARNERS: Chosen = {
    RMAPPO: ("rmappo", {}),
    MADDPG: ("maddpg", {}),
    PPO: ("ppo", {"view": "full"}),
    SB3_PPO: ("ppo-sb3", {}),
    SB3_DDPG: ("ddpg-sb3", {}),
    SB3_DQN: ("dqn-sb3", {}),
}
"""All but one have the paper's observation. PPO, DDPG and DQN are the implementations of Stable-Baselines3; the first
two decide for all devices at once, and none has masks. The PPO of our own decides device by device without memory."""
RULES: Chosen = {
    OED: ("all-edge", {}),
    OMD: ("all-mobile", {}),
    RANDOM: ("random", {}),
    GREEDY: ("greedy", {}),
    QUEUE: ("lyapunov", {}),
}
"""OED and OMD choose the device among theirs, and the mode, by least expected cost; the last two choose among all."""
PAPER_METHODS = (MADDPG, SB3_PPO, SB3_DDPG, SB3_DQN, OED, OMD, RANDOM)
"""Methods that the paper compares rMAPPO with."""
CAPACITY_J, CHANCE = 500.0, 0.5
"""Capacity and task probability unless a figure varies them: the scenario's own values."""
STYLES = {
    RMAPPO: plots.Style(RMAPPO, plots.BLUE, "-", "o"),
    MADDPG: plots.Style(MADDPG, plots.ORANGE, "-", "^"),
    PPO: plots.Style(PPO, plots.SKY, "-", "s"),
    SB3_PPO: plots.Style(SB3_PPO, plots.SKY, "--", "P"),
    SB3_DDPG: plots.Style(SB3_DDPG, plots.ORANGE, "--", "X"),
    SB3_DQN: plots.Style(SB3_DQN, plots.PURPLE, "--", "d"),
    GREEDY: plots.Style(GREEDY, plots.GREEN, "-.", "v"),
    QUEUE: plots.Style(QUEUE, plots.GREEN, "-", "D"),
    OMD: plots.Style(OMD, plots.VERMILION, "-.", "<"),
    OED: plots.Style(OED, plots.VERMILION, ":", ">"),
    RANDOM: plots.Style(RANDOM, plots.GREY, "-.", "x"),
    OPTIMUM: plots.Style(OPTIMUM, plots.BLACK, "-", "s"),
    measurements.BOUND: plots.Style(measurements.BOUND, plots.BLACK, ":", "|"),
}


@dataclass(frozen=True)
class Point:
    """A point of the figures: preset, battery capacity and task probability."""

    preset: str
    battery_j: float = CAPACITY_J
    task_chance: float = CHANCE

    @property
    def name(self) -> str:
        """Name of the tests at this point."""
        return f"{self.preset}, {self.battery_j:g} J, {self.task_chance:g}"


SIZES = sizes(
    replicates=(2, 5),
    test_instances=(64, 200),
    # ``clipped-delay`` is that of the paper's figures.
    presets=(("clipped-delay",), ("clipped-delay", "paper")),
    # Of Fig. 2.
    capacities_j=((400.0, 500.0, 2000.0), (400.0, 500.0, 800.0, 1200.0, 2000.0)),
    # Of a task, for each device and slot: Fig. 3.
    chances=((0.2, 0.5, 0.9), (0.2, 0.35, 0.5, 0.7, 0.9)),
    # Whether learners are trained at each point of the figures. Otherwise once for each preset, at 500 J and chance
    # 0.5, and the policies are tested everywhere.
    each_point=(False, True),
    steps=(
        {
            RMAPPO: 800_000,
            MADDPG: 200_000,
            PPO: 2_000_000,
            SB3_PPO: 80_000,
            SB3_DDPG: 25_000,
            SB3_DQN: 800_000,
        },
        {
            RMAPPO: 20_000_000,
            MADDPG: 6_000_000,
            PPO: 55_000_000,
            SB3_PPO: 2_000_000,
            SB3_DDPG: 700_000,
            SB3_DQN: 25_000_000,
        },
    ),
    # Fields of the scenario in which the optimum is proved.
    window=({"users": 3, "servers": 1, "horizon": 5}, {"users": 3, "servers": 1, "horizon": 5}),
    # Held-out windows, and the most tasks that one of them may have.
    window_instances=(20, 100),
    window_tasks=(10, 10),
    # Limit of the optimum's search in each.
    window_seconds=(4.0, 60.0),
    # Training steps of rMAPPO there, and windows side by side in them.
    window_steps=(250_000, 5_000_000),
    window_environments=(512, 1024),
    # Episodes of rules, windows of rules, and windows of the optimum that are imitated.
    demonstrations=(64, 500),
    window_demonstrations=(500, 5000),
    optimum_demonstrations=(25, 500),
    # Gradient steps of that.
    imitation_steps=(300, 3000),
    changes=({}, {}),
)


@dataclass(frozen=True)
class BatteryD2DStudy(Study):
    """The study of `battery_d2d`."""

    measure = measurements.MEASURE
    learners = LEARNERS
    styles = STYLES

    def at(self, point: Point) -> Json:
        """Scenario of a point."""
        return self.scenario(point.preset, battery_j=point.battery_j, task_chance=point.task_chance)

    @property
    def common(self) -> Json:
        """The scenario that is used where one is enough."""
        return self.at(Point(self.sizes.presets[0]))

    @property
    def window(self) -> Json:
        """Scenario of the short windows in which the optimum is proved."""
        return self.scenario(self.sizes.presets[0], **self.sizes.window)

    def window_test(self, replicate: int) -> Json:
        """Held-out windows of few enough tasks."""
        test = self.test(replicate, self.window, count=self.sizes.window_instances)
        return {**test, "most_tasks": self.sizes.window_tasks}

    def points(self, preset: str) -> list[Point]:
        """Points of both figures, the common one first."""
        found = [Point(preset)]
        found += [Point(preset, battery_j=capacity) for capacity in self.sizes.capacities_j]
        found += [Point(preset, task_chance=chance) for chance in self.sizes.chances]
        return list(dict.fromkeys(found))

    def agents(self, method: str, scenario: Json, window: bool = False, **settings: Any) -> Json:
        """One of `LEARNERS`; with windows, more environments keep the number of decisions per update."""
        name, own = self.learners[method]
        environments = {"num_envs": self.sizes.window_environments} if window else {}
        changes = {**own, **self.sizes.changes.get(method, {}), **environments}
        return self.fitting(name, scenario, **changes, **settings)

    def fitting(self, name: str, scenario: Json, **settings: Any) -> Json:
        """A learner whose errors go back through pieces of episodes that are not cut by the horizon."""
        made = self.learner(name, **settings)
        if made["settings"].get("chunk"):
            made["settings"]["chunk"] = math.gcd(made["settings"]["chunk"], scenario["horizon"])
        return made

    def learned(
        self, replicate: int, preset: str, points: Iterable[Point] = (), methods: Iterable[str] = tuple(LEARNERS)
    ) -> list[Unit]:
        """Trainings of learners that are tested at some of the points, by default the common one.

        With ``each_point``, learners are trained at each of them, else once at the common one.
        """
        wanted = set(points) or {Point(preset)}
        trained = {point: [point] for point in self.points(preset) if point in wanted}
        if not self.sizes.each_point:
            trained = {Point(preset): self.points(preset)}
        return [
            self.training(
                replicate,
                self.at(point),
                self.agents(method, self.at(point)),
                steps,
                [self.test(replicate, self.at(tested), tested.name) for tested in tests],
                method=method,
                preset=preset,
                point=point.name,
            )
            for point, tests in trained.items()
            for method, steps in self.sizes.steps.items()
            if method in methods
        ]

    def trained_in_windows(self, replicate: int) -> list[Unit]:
        """Training of rMAPPO from scratch in all windows, tested in those with few enough tasks."""
        if RMAPPO not in self.sizes.steps:
            return []
        learner, tests = self.agents(RMAPPO, self.window, window=True), [self.window_test(replicate)]
        return [self.training(replicate, self.window, learner, self.sizes.window_steps, tests, method=RMAPPO)]

    def imitation(self, replicate: int, chosen: Chosen, count: int, window: bool, **labels: Any) -> Unit:
        """Unit of agents that imitate an expert, and of rMAPPO that starts with it, with the same networks."""
        sizes = self.sizes
        ((solver, options),) = chosen.values()
        scenario, test = (self.window, self.window_test(replicate)) if window else (self.common, None)
        after = self.agents(RMAPPO, scenario, window, imitation_steps=sizes.imitation_steps)
        shared = ("view", "controls", "shared", "hidden", "activation", "recurrent", "standardise")
        before = self.fitting("imitation-agents", scenario, **{name: after["settings"][name] for name in shared})
        conditions = {"most_tasks": sizes.window_tasks} if window else {}
        parameters = {
            "scenario": scenario,
            "demonstrations": {**self.demonstrations(replicate, solver, count, **options), **conditions},
            "learners": {
                "before": {"learner": before, "steps": sizes.imitation_steps},
                "after": {"learner": after, "steps": sizes.window_steps if window else sizes.steps[RMAPPO]},
            },
            "seed": replicate,
            "test": test or self.test(replicate, scenario),
        }
        return Unit(self.measure.train_on_demonstrations, parameters, {REPLICATE: replicate, **labels})
