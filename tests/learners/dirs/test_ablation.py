"""What the variants have in common, and what each changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Demonstrations, relative_gap
from offloadopt.learners.dirs.ablation import (
    AS_TRAINED,
    BATCH_SIZE,
    VARIANTS,
    AblationSettings,
    ablation_gaps,
    agent_view,
)

SMALL = AblationSettings(hidden=(9, 7), demonstrations=300, gradient_steps=60)


@pytest.fixture(scope="module")
def problem() -> Any:
    return registry.problem("multi_server", "heterogeneous", users=6, servers=2)


def test_the_variant_as_trained_is_plain_imitation(problem: Any) -> None:
    """The same training by the learner `imitation`, measured by hand."""
    held_out = problem.sample(50, 8)
    more = replace(SMALL, demonstrations=400)
    gaps = ablation_gaps(problem, held_out, variants={"some": SMALL, "more": more}, seed=2)

    exact = registry.solver("exact", problem)
    instances = problem.sample(300, 2)
    solutions = exact.run(problem, instances)
    experts = Demonstrations(instances, problem.observe(instances, problem.reset(instances)), solutions)
    learner = registry.learner("imitation", hidden=(9, 7), l2=5e-4, gradient_steps=60)
    found = learner.fit(problem, demonstrations=experts, seed=2).run(problem, held_out)
    np.testing.assert_array_equal(gaps["some"], relative_gap(found.objective, exact.run(problem, held_out).bound))
    assert (gaps["more"] != gaps["some"]).any()


def test_every_variant_is_trained_and_measured(problem: Any) -> None:
    variants = {
        name: replace(
            variant,
            demonstrations=variant.demonstrations // 128,
            gradient_steps=variant.gradient_steps // 300,
            hidden=(9, 7),
        )
        for name, variant in VARIANTS.items()
    }
    variants["capacity: four times as wide"] = replace(SMALL, hidden=(36, 28))
    # Lévy search is perfect on so few tasks.
    quality = "quality of labels: 1,024 by Lévy search"
    variants[quality] = replace(variants[quality], expert="greedy")
    done: list[int] = []
    gaps = ablation_gaps(problem, problem.sample(40, 8), variants=variants, progress=done.append)
    assert list(gaps) == list(VARIANTS)
    assert sum(done) == sum(variant.gradient_steps for variant in variants.values()) * BATCH_SIZE * problem.num_agents
    assert len({gap.tobytes() for gap in gaps.values()}) == len(VARIANTS)
    for gap in gaps.values():
        assert (gap > -1e-6).all()


def test_each_variant_changes_one_thing() -> None:
    few = VARIANTS["number of labels: 1,024"]
    for name, variant in VARIANTS.items():
        base = few if name.startswith("quality") else AS_TRAINED
        changed = [field for field in vars(variant) if getattr(variant, field) != getattr(base, field)]
        assert len(changed) == (0 if variant is base else 1), name


def test_an_agent_that_sees_all_sees_every_servers_view() -> None:
    view = torch.arange(12.0).reshape(2, 2, 3)
    assert agent_view(view, SMALL) is view
    wide = agent_view(view, replace(SMALL, global_view=True))
    assert wide[1].tolist() == [[6.0, 7.0, 8.0, 9.0, 10.0, 11.0]] * 2
