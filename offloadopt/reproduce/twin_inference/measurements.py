"""Measurements behind the tables and figures: what is averaged and kept of trainings, and the cost of a wrong twin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offloadopt import registry
from offloadopt.core import Instances, Solutions, Status
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.reproduce import training
from offloadopt.reproduce.measurements import Measurements, proved_share
from offloadopt.reproduce.training import Json

BOUND = "bound"
"""Label of the proved lower bound, which assumes that all random quantities are known beforehand."""


class TwinInferenceMeasurements(Measurements):
    """Episodes of `twin_inference`."""

    problem = "twin_inference"
    bound = BOUND

    def averages(self, problem: TwinInference, instances: Instances, solutions: Solutions) -> Json:
        """Mean ``cost`` of an episode over instances, and cost, delay and energy of a task.

        ``delay_s`` is of all tasks; failed ones wait until their limit. Failed tasks spend no energy, so ``energy_j``
        is of finished ones: over all tasks, failing would count as saving. A ratio whose denominator is 0 is left out.
        ``proved`` is the share of instances solved to optimality, if the solver proves bounds.
        """
        outcome = problem.evaluate(instances, solutions.decisions)
        total = {name: float(values.sum()) for name, values in outcome.metrics.items()}
        ratios = {
            "cost_per_task": (float(outcome.cost.sum()), total["tasks"]),
            "delay_s": (total["time_s"], total["tasks"]),
            "energy_j": (total["energy_j"], total["tasks"] - total["failures"]),
            "failed": (total["failures"], total["tasks"]),
            "offloaded": (total["offloaded"], total["tasks"]),
        }
        found = {name: part / whole for name, (part, whole) in ratios.items() if whole > 0}
        return {"cost": float(outcome.cost.mean()), **found, **proved_share(solutions)}

    def bounds(self, problem: TwinInference, instances: Instances, solutions: Solutions) -> dict[str, Json]:
        """Also the mean bound of a task."""
        tasks = float(instances["present"].sum())
        per_task = {"cost_per_task": float(solutions.bound.sum()) / tasks} if tasks > 0 else {}
        return {label: row | per_task for label, row in super().bounds(problem, instances, solutions).items()}

    def learning(self, problem: TwinInference, learner: Mapping[str, Any], curve: Sequence[Json]) -> Json:
        """Learning curve: cost of an episode, critics' loss once they are updated, and all bytes so far.

        If a centre collects the experience, agents exchange nothing. A loss that is not finite is left out.
        """
        found = []
        for point in curve:
            if "episode/objective" not in point:
                continue
            row = {"step": point["step"], "cost": point["episode/objective"]}
            if math.isfinite(point.get("train/critic_loss", math.nan)):
                row["loss"] = point["train/critic_loss"]
            for way in ("sent", "delivered"):
                exchanged = point.get(f"communication/{way}_bytes", 0.0)
                exchanged += point.get(f"communication/weights_{way}_bytes", 0.0)
                row[way] = point.get("communication/collected_bytes") or exchanged
            found.append(row)
        return {"curve": training.thinned(found)}

    def imperfect_twin(
        self,
        scenario: Mapping[str, Any],
        kinds: Mapping[str, Sequence[str]],
        deviations: Sequence[float],
        options: Mapping[str, Any],
        count: int,
        seed: int,
    ) -> Json:
        """Cost of decisions optimised on a twin and evaluated on the true data, relative to the true optimum.

        Parameters
        ----------
        scenario : mapping
            Scenario whose deviations are all replaced.
        kinds : mapping of sequence of str
            Scenario fields that deviate together, by label.
        deviations : sequence of float
        options : mapping
            Of the solver.
        """
        every = sorted({name for names in kinds.values() for name in names})
        exact = {**scenario, **dict.fromkeys(every, 0.0)}
        problem = self.make(exact)
        instances = problem.sample(count, seed)
        optimum = registry.solver("exact", problem, **options).run(problem, instances, seed=seed)
        planner = registry.solver("exact", problem, **options, twin=True)
        rows = []
        for kind, names in kinds.items():
            for deviation in deviations:
                # Reality is drawn from streams of its own, so it is the same whatever the twin's errors.
                wrong = self.make({**exact, **dict.fromkeys(names, deviation)})
                known = wrong.sample(count, seed)
                found = self.averages(wrong, known, planner.run(wrong, known, seed=seed))
                rows.append(
                    {
                        "kind": kind,
                        "deviation": deviation,
                        "cost": found["cost"],
                        "failed": found.get("failed", 0.0),
                        "excess": found["cost"] / float(optimum.objective.mean()) - 1.0,
                        "proved": float(np.mean(optimum.status == Status.OPTIMAL)),
                    }
                )
        return {"rows": rows}


MEASURE = TwinInferenceMeasurements()
