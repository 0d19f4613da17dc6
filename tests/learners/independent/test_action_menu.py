"""Menus of all combinations of an agent's levels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from offloadopt.errors import Unsupported
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.independent.dqn import Dqn, QNetworks


def test_whole_numbers_are_all_on_the_menu(aiming: Any) -> None:
    problem = aiming(integer=True)
    agents = QNetworks(Dqn(), problem, seeded_generator(0))
    aim = agents.decode(np.arange(25)[:, None, None].repeat(2, axis=1))["aim"]
    assert aim.dtype == np.int64
    assert sorted(map(tuple, aim[:, 0])) == sorted(itertools.product([-1, 0, 1, 2, 3], repeat=2))


def test_a_menu_that_no_network_can_answer_is_refused(aiming: Any) -> None:
    with pytest.raises(Unsupported, match="10000 combinations of an agent's decisions; allowed: at most 4096"):
        Dqn(levels=100).fit(aiming())
