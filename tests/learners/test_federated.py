"""Federated training: one network or many, what passes between agents, and that runs are the same bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from offloadopt import registry
from offloadopt.core import Budget, Problem
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import training as course
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.federated import Federated

SMALL: dict[str, Any] = {"hidden": (8, 6), "num_envs": 4, "warm_up": 10, "batch_size": 16, "buffer_size": 400}
"""Settings for trainings that need not learn."""


SMALL_OF: dict[str, dict[str, Any]] = {
    "maddpg": SMALL,
    "ddpg": {**SMALL, "buffer_size": 2000},
    "dqn": {**SMALL, "buffer_size": 2000, "levels": 3},
    "ppo": {"hidden": (8,), "num_envs": 4, "minibatch_size": 64, "epochs": 1},
}


STEPS = 600
"""Six rounds of 8 slots, and a quarter."""


def mimo(**changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", **{"horizon": 8, "users": 3, "antennas": 4, **changes})


def weights(policy: Any) -> dict[str, bytes]:
    module = policy.actor
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


def agent_parts(policy: Any) -> list[Tensor]:
    module = policy.actor
    return [parameter.detach() for parameter in module.parameters()]


def fit(learner: str, rule: str, problem: Problem[Any], seed: int = 0, **fields: Any) -> Any:
    options = SMALL_OF[learner]
    return Federated(learner=learner, rule=rule, options=options, **fields).fit(
        problem, budget=Budget(steps=STEPS), seed=seed
    )


@pytest.mark.usefixtures("short_rounds")
class TestTrainings:
    @pytest.mark.parametrize("learner", list(SMALL_OF))
    def test_the_same_seed_gives_the_same_bytes(self, learner: str) -> None:
        one, same, other = (weights(fit(learner, "personalised", mimo(), seed, every=2)) for seed in (3, 3, 4))
        assert one == same != other

    @pytest.mark.parametrize("learner", list(SMALL_OF))
    def test_who_averages_after_every_update_ends_with_one_network(self, learner: str) -> None:
        for rule, alike in (("average", True), ("none", False)):
            parts = agent_parts(fit(learner, rule, mimo(), every=1))
            apart = max(float((part - part[:1]).abs().max()) for part in parts)
            assert (apart < 1e-6) == alike, (rule, apart)

    def test_a_centre_has_one_network_and_collects_experience(self) -> None:
        problem, curve = mimo(), []
        policy = Federated(rule="centralised", options=SMALL).fit(
            problem, budget=Budget(steps=STEPS), record=lambda step, found: curve.append((step, found))
        )
        features = problem.view_size(next(iter(problem.views)))  # type: ignore[attr-defined]
        assert len(agent_parts(policy)[0]) == 1
        step, found = curve[-1]
        # A view, two powers and a reward; after each episode of 8 slots another view.
        assert found["communication/collected_bytes"] == 4 * (features * 9 / 8 + 2 + 1) * step

    @pytest.mark.parametrize("learner", ["maddpg", "ppo"])
    def test_a_killed_training_ends_as_if_it_had_not_been(
        self, learner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(BaseException):
            pass

        def kill(steps: int) -> None:
            nonlocal reported
            reported += steps
            if reported > 3 * STEPS // 4:
                raise Killed

        reported = 0
        monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
        federated = Federated(learner=learner, options=SMALL_OF[learner], every=2)
        whole = weights(federated.fit(mimo(), budget=Budget(steps=STEPS)))
        with pytest.raises(Killed):
            federated.fit(mimo(), budget=Budget(steps=STEPS), progress=kill, checkpoint=tmp_path)
        found = Checkpoint.of(tmp_path, federated.wrapped, mimo(), Budget(steps=STEPS), 0, None)
        assert found is not None
        sent = [array for name, array in found.read().items() if name.endswith("exchange.sent")]
        assert sent[0] > 0  # weights had passed
        again = federated.fit(mimo(), budget=Budget(steps=STEPS), checkpoint=tmp_path)
        assert weights(again) == whole

    def test_curves_tell_the_bytes_of_weights(self) -> None:
        curve: list[dict[str, float]] = []
        Federated(options=SMALL, every=2).fit(
            mimo(), budget=Budget(steps=STEPS), record=lambda _, found: curve.append(dict(found))
        )
        sent = [point["communication/weights_sent_bytes"] for point in curve]
        assert sent == sorted(sent)
        assert sent[-1] > 0

    def test_policies_are_saved_as_those_of_the_wrapped_learner(self, tmp_path: Path) -> None:
        problem = mimo()
        policy = fit("maddpg", "personalised", problem)
        policy.save(tmp_path / "policy")
        loaded = load_policy(tmp_path / "policy", problem)
        test = problem.sample(3, 5)
        np.testing.assert_array_equal(policy.run(problem, test).objective, loaded.run(problem, test).objective)


class TestRefusals:
    def test_learners_without_networks_for_each_agent(self) -> None:
        with pytest.raises(InvalidInput, match="learner = 'imitation'; allowed: those with networks for each agent"):
            Federated(learner="imitation").fit(mimo())

    def test_options_that_follow_from_the_rule(self) -> None:
        with pytest.raises(InvalidInput, match="options hold 'shared'; it follows from rule = 'average'"):
            Federated(rule="average", options={"shared": True}).fit(mimo())

    def test_one_network_for_all_has_nothing_to_share(self) -> None:
        with pytest.raises(InvalidInput, match="shared = true; allowed with a federation: false"):
            registry.learner("maddpg", shared=True, federation={"rule": "average"})

    def test_a_literal_rule_without_targets(self) -> None:
        with pytest.raises(InvalidInput, match="literal"):
            Federated(learner="ppo", rule="literal").fit(mimo())
