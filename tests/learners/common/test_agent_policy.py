"""Actors: stacked networks answer as each alone."""

from __future__ import annotations

import pytest
import torch

from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.torch_utils import seeded_generator


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_network_of_its_own_answers_as_if_it_were_alone(recurrent: bool) -> None:
    actor = Actor(3, (2, 8, 4), "tanh", recurrent, standardise=False)
    actor.initialise(seeded_generator(0))
    view = torch.randn(5, 6, 3, 2, generator=seeded_generator(1))
    together, _ = actor(view)
    for agent in range(3):
        alone = Actor(1, (2, 8, 4), "tanh", recurrent, standardise=False)
        alone.load_state_dict({name: value[agent : agent + 1] for name, value in actor.state_dict().items()})
        torch.testing.assert_close(alone(view[:, :, agent : agent + 1])[0], together[:, :, agent : agent + 1])
