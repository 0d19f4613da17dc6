"""MADDPG-CGAN: communication, synthetic experience, and what trainings reach."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from offloadopt.core import Budget
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import off_policy as joint_learner
from offloadopt.learners.common import training as course
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.maddpg_cgan.maddpg_cgan import MaddpgCgan
from offloadopt.testing import check_learner

from toys.cgan_agents import SMALL, agents_of, experience, inference


def weights(policy: Any) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in policy.actor.state_dict().items()}


class TestTraining:
    @pytest.mark.usefixtures("short_rounds")
    def test_conformance(self, aiming: Any) -> None:
        check_learner(MaddpgCgan(**SMALL), aiming(), steps=200)

    @pytest.mark.usefixtures("short_rounds")
    def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(self) -> None:
        learner = MaddpgCgan(**SMALL)
        one, same, other = (weights(learner.fit(inference(), budget=Budget(steps=400), seed=s)) for s in (3, 3, 4))
        assert one == same != other

    def test_a_killed_training_ends_as_if_it_had_not_been(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(BaseException):
            pass

        reported = 0

        def kill(steps: int) -> None:
            nonlocal reported
            reported += steps
            if reported > 300:
                raise Killed

        monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
        monkeypatch.setattr(joint_learner, "ROUND_SLOTS", 10)  # several rounds, each of two episodes
        learner, problem, budget = MaddpgCgan(**SMALL), inference(), Budget(steps=480)
        whole = weights(learner.fit(problem, budget=budget))
        with pytest.raises(Killed):
            learner.fit(problem, budget=budget, progress=kill, checkpoint=tmp_path / "state")
        found = Checkpoint.of(tmp_path / "state", learner, problem, budget, 0, None)
        assert found is not None
        assert found.read()["agents._steps"] > learner.pretraining_steps
        assert found.read()["agents._slots"] > 0
        assert weights(learner.fit(problem, budget=budget, checkpoint=tmp_path / "state")) == whole

    @pytest.mark.usefixtures("short_rounds")
    def test_bytes_are_of_announcements_and_of_twins_made_known(self) -> None:
        problem, points = inference(), []
        MaddpgCgan(**SMALL, federation=None).fit(
            problem, budget=Budget(steps=660), record=lambda step, found: points.append((step, found))
        )
        agents = agents_of(problem)
        slot = 4 * 3 * agents.interface.action_bytes  # environments x agents' actions reported
        announced = 4 * 4 * agents.relaxed.size  # environments x bytes of a number x numbers in the mean action
        step, found = points[0]
        assert found["communication/sent_bytes"] == step / 12 * (slot + announced)
        assert found["communication/delivered_bytes"] == step / 12 * (slot + 3 * announced)
        actor = sum(weight[0].nbytes for weight in agents.actor.network.parameters())
        known = 3 * (agents.generators.bytes + actor)
        step, found = points[-1]
        # Made known after the head start, and after every round of 10 slots since.
        assert found["communication/sent_bytes"] == step / 12 * (slot + announced) + (1 + step // (12 * 10) - 1) * known

    @pytest.mark.parametrize(("share", "remembered"), [(0.0, False), (0.5, True)])
    def test_foreseen_experience_is_left_out_if_wanted(self, share: float, remembered: bool) -> None:
        problem: Any = inference()
        agents = agents_of(problem, synthetic_fraction=share, pretraining_steps=1)
        batch = experience(problem, agents, 16)
        agents.learn(batch, 0.0, torch.Generator().manual_seed(0))
        for slot in range(4):
            agents.generate(batch.observation, slot, 0.0, torch.Generator().manual_seed(slot))
        assert (agents._synthetic.appended > 0) == remembered
        taught = agents._training_batch(batch, torch.Generator().manual_seed(1))
        real = [bool(torch.equal(taught.action[row], batch.action[row])) for row in range(16)]
        assert real == [True] * (8 if remembered else 16) + [False] * (8 if remembered else 0)

    def test_others_know_twins_and_actors_as_they_were_made_known(self) -> None:
        problem: Any = inference()
        agents = agents_of(problem, pretraining_steps=2, generator_every=1)
        batch = experience(problem, agents, 16)
        for step in range(2):
            agents.learn(batch, 0.0, torch.Generator().manual_seed(step))
        sent = agents.sent

        def stand_in() -> Tensor:
            everything = torch.ones(16, dtype=torch.bool)
            return agents.generators.generate(
                batch.action, everything, torch.Generator().manual_seed(9)
            ).observation.view

        before = stand_in()
        for step in range(3):
            agents.learn(batch, 0.0, torch.Generator().manual_seed(step))
        assert agents.sent == sent
        assert torch.equal(stand_in(), before)
        agents.update_statistics([batch.observation], batch.reward[None], True)
        assert agents.sent > sent
        assert not torch.equal(stand_in(), before)

    def test_rewards_stay_private(self) -> None:
        with pytest.raises(InvalidInput, match="reward = 'team'; allowed"):
            MaddpgCgan(reward="team")

    def test_it_learns_to_aim(self, aiming: Any) -> None:
        problem = aiming(horizon=5)
        settings: Mapping[str, Any] = {
            "hidden": (32,),
            "batch_size": 64,
            "warm_up": 64,
            "gamma": 0.5,
            "tau": 0.05,
            "actor_rate": 5e-3,
            "critic_rate": 1e-2,
            "generator": {"width": 8, "latent": 4, "layers": 1},
            "pretraining_steps": 30,
            "generator_every": 8,
            "lookahead": 2,
        }
        policy = MaddpgCgan(**settings).fit(problem, budget=Budget(steps=12_000))
        test = problem.sample(64, 9)
        cost = policy.run(problem, test).objective.mean() / (5 * 2)
        assert cost < 0.25  # the middle for everything costs 0.6 or more


def test_others_without_masks(aiming: Any) -> None:
    agents = agents_of(aiming())
    made: Tensor | None = agents.generators.generate(
        torch.zeros(4, 2, agents.relaxed.size), torch.ones(4, dtype=torch.bool), torch.Generator()
    ).next_observation.allowed
    assert made is None
