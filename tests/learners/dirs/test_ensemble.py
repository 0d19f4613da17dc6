"""The networks, the losses and the vote of one agent per server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Observation
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.dirs.ensemble import (
    VIEW_LIMIT,
    EnsemblePolicy,
    ServerNetworks,
    cross_entropy,
    demonstration_loss,
    server_labels,
    view_tensor,
    vote,
)
from offloadopt.problems.multi_server import MultiServer


def networks_for(servers: int, *sizes: int, seed: int = 0) -> ServerNetworks:
    """Networks with random weights, biases and statistics."""
    generator = seeded_generator(seed)
    networks = ServerNetworks(servers, sizes)
    networks.initialise(generator)
    with torch.no_grad():
        for layer in networks.network.layers:
            layer.bias.normal_(generator=generator)
    networks.standardise(3.0 + 2.0 * torch.randn(50, servers, sizes[0], generator=generator))
    return networks


def policy_for(problem: MultiServer, networks: ServerNetworks) -> EnsemblePolicy:
    return EnsemblePolicy(problem, networks, Origin.of(registry.learner("imitation"), problem))


def observe(problem: Any, count: int, seed: int = 0) -> Observation:
    instances = problem.sample(count, seed)
    return problem.observe(instances, problem.reset(instances))


# ---------------------------------------------------------------------------------------------------------- the vote


def test_the_strongest_vote_wins_and_weak_votes_leave_the_task_local() -> None:
    """Section 4.2 of the model: 0.7, 0.8, 0.2 go to server 2; without a vote of 0.5 the task is local."""
    for_each_task = {
        (0.7, 0.8, 0.2): 2,
        (0.49, 0.3, 0.49999): 0,
        (0.1, 0.2, 0.5): 3,
        (0.9, 0.8, 0.7): 1,
        (0.0, 0.0, 0.0): 0,
    }
    probability = np.array(list(for_each_task)).T[None]
    assert vote(probability).tolist() == [list(for_each_task.values())]


def test_labels_say_which_server_runs_a_task() -> None:
    labels = server_labels(np.array([[0, 2, 1], [2, 2, 0]]), servers=2)
    assert labels.tolist() == [[[0, 0, 1], [0, 1, 0]], [[0, 0, 0], [1, 1, 0]]]


# ------------------------------------------------------------------------------------------------------- the networks


def test_batched_networks_are_one_plain_network_per_server() -> None:
    networks = networks_for(3, 4, 7, 5, 6)
    view = np.random.default_rng(1).normal(3.0, 4.0, (8, 3, 4)).astype(np.float32)
    logits = networks(torch.from_numpy(view)).detach().numpy()
    center, scale = networks.center.numpy(), networks.scale.numpy()
    for server in range(3):
        signal = np.clip((view[:, server] - center[server]) / scale[server], -5.0, 5.0)
        for number, layer in enumerate(networks.network.layers):
            signal = signal @ layer.weight[server].detach().numpy() + layer.bias[server].detach().numpy()
            signal = np.maximum(signal, 0.0) if number < 2 else signal
        np.testing.assert_allclose(logits[:, server], signal, rtol=1e-4, atol=1e-5)


def test_views_are_standardised_by_their_own_mean_and_deviation() -> None:
    view = torch.tensor([[[-60.0, 5.0]], [[-80.0, 5.0]]])
    networks = ServerNetworks(1, (2, 3))
    networks.standardise(view)
    assert networks.center.tolist() == [[-70.0, 5.0]]
    assert networks.scale.tolist() == [[10.0, 1.0]]  # what never varies is not divided by zero
    networks.standardise(torch.full((999, 1, 2), -3076.5265))
    assert networks.scale.tolist() == [[1.0, 1.0]]


def test_a_dead_link_in_a_view_weighs_no_more_than_a_very_weak_one() -> None:
    networks = networks_for(1, 2, 8, 2)
    weak = (networks.center - VIEW_LIMIT * networks.scale)[None]
    assert torch.equal(networks(torch.full((1, 1, 2), -3076.5)), networks(weak))


# --------------------------------------------------------------------------------------------------------- the losses


def test_cross_entropy_is_the_sum_over_tasks() -> None:
    probability = torch.tensor([[[0.7, 0.2, 0.5], [0.9, 0.9, 0.1]]])
    labels = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    found = cross_entropy(torch.logit(probability), labels)
    by_hand = [-np.log(0.7) - np.log(0.8) - np.log(0.5), -np.log(0.1) - np.log(0.9) - np.log(0.9)]
    np.testing.assert_allclose(found.numpy(), [by_hand], rtol=1e-5)


def test_the_demonstration_loss_is_equation_15() -> None:
    networks = networks_for(2, 3, 5, 4)
    rng = np.random.default_rng(2)
    view = torch.from_numpy(rng.normal(3.0, 2.0, (6, 2, 3)).astype(np.float32))
    assignment = rng.integers(0, 3, (6, 4))
    found = demonstration_loss(networks, view, server_labels(assignment, 2), l2=0.03).detach().numpy()

    pi = 1.0 / (1.0 + np.exp(-networks(view).detach().numpy().astype(float)))
    for server in (1, 2):
        total = 0.0
        for demonstration in range(6):
            for task in range(4):
                mine = assignment[demonstration, task] == server
                p = pi[demonstration, server - 1, task]
                total += np.log(p) if mine else np.log(1.0 - p)
        theta = np.concatenate([values[server - 1].detach().numpy().ravel() for values in networks.parameters()])
        assert found[server - 1] == pytest.approx(-total / 6 + 0.03 * (theta.astype(float) ** 2).sum(), rel=1e-5)


def test_the_loss_of_one_agent_moves_no_parameter_of_another() -> None:
    networks = networks_for(3, 4, 6, 5)
    labels = server_labels(np.random.default_rng(0).integers(0, 4, (7, 5)), 3)
    demonstration_loss(networks, torch.randn(7, 3, 4), labels, l2=0.1)[1].backward()
    for parameter in networks.parameters():
        assert parameter.grad is not None
        moved = parameter.grad.flatten(1).abs().sum(dim=1) > 0
        assert moved.tolist() == [False, True, False]


# --------------------------------------------------------------------------------------------------------- the policy


@pytest.mark.parametrize("garbage", [np.nan, 1e300, 0.0])
def test_an_agent_decides_by_its_own_links_alone(garbage: float) -> None:
    problem = registry.problem("multi_server", users=6, servers=3)
    networks = networks_for(3, 6, 8, 8, 6)
    observation = observe(problem, 20)
    networks.standardise(view_tensor(problem, observation))
    policy = policy_for(problem, networks)
    local = policy.probabilities(observation)
    for server in range(3):
        gain = np.full_like(observation["gain"], garbage)
        gain[:, :, server] = observation["gain"][:, :, server]
        noise = np.random.default_rng(0).random((2, 20, 6))
        elsewhere = Observation({"gain": gain, "task_bits": noise[0], "task_cycles": noise[1]})
        np.testing.assert_array_equal(policy.probabilities(elsewhere)[:, server], local[:, server])


def test_a_vote_for_a_link_that_is_not_there_does_not_count() -> None:
    """The strongest voter of task 0 has no link to it: the next one gets it. Task 1 has no link at all."""
    problem = registry.problem("multi_server", users=3, servers=2)
    networks = ServerNetworks(2, (3, 3))
    with torch.no_grad():
        networks.network.last.bias.copy_(torch.tensor([[[5.0, 5.0, 5.0]], [[1.0, 1.0, 1.0]]]))
    instances = problem.sample(1, 0)
    gain = instances["gain"].copy()
    gain[0, 0, 0] = 0.0
    gain[0, 1] = 0.0
    instances = problem.check_instances({**instances, "gain": gain})
    solutions = policy_for(problem, networks).run(problem, instances)
    assert solutions.decisions["server"].tolist() == [[2, 0, 1]]
    assert np.isfinite(solutions.objective).all()


def test_no_instances_get_no_decisions() -> None:
    problem = registry.problem("multi_server", users=3, servers=2)
    policy = policy_for(problem, ServerNetworks(2, (3, 3)))
    assert policy.run(problem, problem.sample(1, 0).take(slice(0))).objective.shape == (0,)


def test_deciding_leaves_torch_as_many_threads_as_it_had() -> None:
    problem = registry.problem("multi_server", users=3, servers=2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        policy_for(problem, ServerNetworks(2, (3, 3))).act(observe(problem, 2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
