"""Measurements behind the tables and figures: what is averaged and kept of trainings, and imitations of an expert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offloadopt.core import Instances, Solutions
from offloadopt.errors import InvalidInput
from offloadopt.problems.battery_d2d.problem import KINDS, BatteryD2D
from offloadopt.reproduce import training
from offloadopt.reproduce.measurements import Measurements, proved_share
from offloadopt.reproduce.training import Json

BOUND = "hindsight bound"
"""Label of the proved lower bound, which assumes that all random quantities are known beforehand."""
TERMS = ("cost_energy", "cost_failures", "cost_drops", "cost_degradation")
"""Terms of equation (20), in its order."""
SECONDS_PER_YEAR = 365.25 * 24 * 3600
WORN = 0.2
"""Share of its capacity that a battery has lost when it counts as worn out: the usual convention of 80 % left."""


class BatteryD2DMeasurements(Measurements):
    """Episodes and windows of `battery_d2d`."""

    problem = "battery_d2d"
    bound = BOUND

    def draw(self, problem: BatteryD2D, count: int, seed: int, most_tasks: int | None = None) -> Instances:
        """Sample instances, or the first ones that have at most ``most_tasks`` tasks."""
        if most_tasks is None:
            return problem.sample(count, seed)
        many = count
        while many <= 1000 * count:
            instances = problem.sample(many, seed)
            small = np.flatnonzero(instances["arrives"].sum(axis=(1, 2)) <= most_tasks)
            if len(small) >= count:
                return instances.take(small[:count])
            many *= 2
        raise InvalidInput(f"most_tasks = {most_tasks}; allowed: what at least one instance in 1,000 does not exceed")

    def averages(self, problem: BatteryD2D, instances: Instances, solutions: Solutions) -> Json:
        """Mean cost of an episode of the fleet over instances, and its parts; shares are of all tasks.

        ``delay_1_s`` is a finished task's of kind 1, ``finished_j`` the energy of all tasks per finished one. A battery
        life is consumed at the rate at which the fleet's batteries age in the episode, each with the same share:
        ``life_years = devices * horizon * slot_s / degradation`` in years of operation without a pause, and
        ``worn_years`` is the time until `WORN` of the capacity is lost. A ratio whose denominator is 0 is left out.
        ``proved`` is the share of instances solved to optimality, if the solver proves bounds.
        """
        outcome = problem.evaluate(instances, solutions.decisions)
        total = {name: float(values.sum()) for name, values in outcome.metrics.items()}
        count, slot_s = instances.count, problem.scenario.slot_s
        fleet_years = count * problem.devices * problem.horizon * slot_s / SECONDS_PER_YEAR
        found = {name: total[name] / count for name in (*TERMS, "energy_j", "transmit_j", "receive_j", "execute_j")}
        found |= {"cost": float(outcome.cost.mean()), "degradation": total["degradation"] / count}
        ratios = {
            "cost_per_task": (float(outcome.cost.sum()), total["tasks"]),
            "failed": (total["failures"], total["tasks"]),
            "dropped": (total["drops"], total["tasks"]),
            "late": (total["late"], total["tasks"]),
            "finished_j": (total["energy_j"], total["tasks"] - total["failures"]),
            "life_years": (fleet_years, total["degradation"]),
        }
        for kind in range(1, KINDS + 1):
            ratios[f"delay_{kind}_s"] = (total[f"delay_{kind}_s"], total[f"finished_{kind}"])
        found |= {name: part / whole for name, (part, whole) in ratios.items() if whole > 0}
        worn = {"worn_years": WORN * found["life_years"]} if "life_years" in found else {}
        return found | worn | proved_share(solutions)

    def learning(self, problem: BatteryD2D, learner: Mapping[str, Any], curve: Sequence[Json]) -> Json:
        """Cost of an episode of the fleet by the number of agents' decisions, exploration included.

        Learners record an episode's cost, or the mean reward of an agent in the slots of whole episodes. Those of
        Stable-Baselines3 record the reward of each slot, of all agents, and it depends on how empty the batteries are
        already: there the slots of an episode are averaged. A step of a joint learner is a slot of all agents.
        """
        joint = training.decides_jointly(learner["name"])
        found: list[Json] = []
        if training.records_slots(learner["name"]):
            for end in range(problem.horizon, len(curve) + 1, problem.horizon):
                step = (problem.num_agents if joint else 1) * curve[end - 1]["step"]
                rewards = [point["train/reward"] for point in curve[end - problem.horizon : end]]
                found.append({"step": step, "cost": -float(sum(rewards))})
        else:
            slots = problem.horizon * problem.num_agents
            for point in curve:
                if "episode/cost" in point:
                    fleet = -slots * point["train/reward"] if "train/reward" in point else point["episode/objective"]
                    found.append({"step": point["step"], "cost": fleet})
        return {"curve": training.thinned(found)}

    def train_on_demonstrations(
        self,
        scenario: Mapping[str, Any],
        demonstrations: Mapping[str, Any],
        learners: Mapping[str, Mapping[str, Any]],
        seed: int,
        test: Mapping[str, Any],
    ) -> Json:
        """Train several learners on the same demonstrations and test them; results by label.

        Parameters
        ----------
        demonstrations : mapping
            ``solver``, ``options``, ``count``, ``seed``, and ``most_tasks`` of windows.
        learners : mapping of mapping
            ``learner`` and ``steps`` of each.
        test : mapping
            Parameters of `test_policy`.
        """
        problem = self.make(scenario)
        recipe = {name: value for name, value in demonstrations.items() if name != "most_tasks"}
        instances = self.draw(problem, recipe["count"], recipe["seed"], demonstrations.get("most_tasks"))
        experts = training.make_demonstrations(problem, **recipe, instances=instances)
        trained = {
            name: training.train(problem, chosen["learner"], experts, chosen["steps"], seed)
            for name, chosen in learners.items()
        }
        return {name: self.test_policy(found.policy, **test) for name, found in trained.items()}


MEASURE = BatteryD2DMeasurements()
