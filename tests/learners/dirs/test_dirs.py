"""DIRS: its losses against hand-computed numbers, its stages, and what each switch changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations, Observation, Problem
from offloadopt.errors import DamagedFile, InvalidInput, UnknownName
from offloadopt.learners.common import training as course
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.dirs import dirs
from offloadopt.learners.dirs.demonstrations import Examples
from offloadopt.learners.dirs.dirs import PAPER, Dirs, DirsTraining, total_loss
from offloadopt.learners.dirs.ensemble import (
    EnsemblePolicy,
    cross_entropy,
    demonstration_loss,
    server_labels,
    view_tensor,
)

SMALL = {
    "demonstrations": 64,
    "pretraining": 40,
    "slots": 60,
    "batch_size": 32,
    "generations": 5,
    "population": 2,
    "hidden": (9, 7),
}


@pytest.fixture(scope="module")
def problem() -> Any:
    return registry.problem("multi_server", "heterogeneous", users=6, servers=2)


@pytest.fixture(scope="module")
def experts(problem: Problem[Any]) -> Demonstrations:
    instances = problem.sample(64, 0)
    solutions = registry.solver("exact", problem).run(problem, instances)
    return Demonstrations(instances, problem.observe(instances, problem.reset(instances)), solutions)


Curve = list[tuple[int, Mapping[str, float]]]


def fit(problem: Problem[Any], seed: int = 0, curve: Curve | None = None, **options: Any) -> EnsemblePolicy:
    learner = Dirs(**{**SMALL, **options})
    return learner.fit(problem, seed=seed, record=None if curve is None else lambda *point: curve.append(point))


def decisions(*iterations: int) -> list[int]:
    """Decisions of six agents after iterations of `SMALL`: 40 minibatches of 32, then slots."""
    return [6 * (32 * min(done, 40) + max(done - 40, 0)) for done in iterations]


def weights(policy: EnsemblePolicy) -> dict[str, bytes]:
    return {name: array.numpy().tobytes() for name, array in policy.actor.state_dict().items()}


def observe(problem: Any, count: int, seed: int = 9) -> Observation:
    instances = problem.sample(count, seed)
    return problem.observe(instances, problem.reset(instances))


def training_of(problem: Any, own: int = 3, **options: Any) -> DirsTraining:
    """Random networks, and a replay of 5 demonstrations and some own transitions with random labels."""
    view = view_tensor(problem, observe(problem, 5 + own))
    labels = server_labels(np.random.default_rng(1).integers(0, 3, (5 + own, 6)), 2)
    settings = Dirs(**{**SMALL, "replay_size": 8, **options})
    training = DirsTraining(settings, problem, Examples(view[:5], labels[:5], np.zeros(5)), seed=4, done=0)
    for row in range(5, 5 + own):
        training.replay.append(view[row], labels[row])
    return training


# -------------------------------------------------------------------------------------------------------- the losses


def test_the_total_loss_is_the_sum_of_both_parts_means() -> None:
    """Two demonstrations with entropies 2, 4 (agent 1) and 1, 1 (agent 2), an own one: 6 and 10; norms 3, 5."""
    entropy = torch.tensor([[2.0, 1.0], [6.0, 10.0], [4.0, 1.0]])
    demonstrated, norm = torch.tensor([True, False, True]), torch.tensor([3.0, 5.0])
    by_hand = [(3.0 + 0.1 * 3.0) + (6.0 + 0.1 * 3.0), (1.0 + 0.1 * 5.0) + (10.0 + 0.1 * 5.0)]
    np.testing.assert_allclose(total_loss(entropy, demonstrated, norm, 0.1), by_hand, rtol=1e-6)
    without_own = total_loss(entropy[[0, 2]], demonstrated[[0, 2]], norm, 0.1)
    np.testing.assert_allclose(without_own, [3.3, 1.5], rtol=1e-6)
    without_demonstrations = total_loss(entropy[[1]], demonstrated[[1]], norm, 0.0)
    np.testing.assert_allclose(without_demonstrations, [6.0, 10.0], rtol=1e-6)


def test_the_parts_of_the_loss_are_equations_15_and_18(problem: Any) -> None:
    training = training_of(problem)
    agents, replay = training.agents, training.replay
    entropy = cross_entropy(agents.networks(replay.view[:8]), replay.labels[:8])
    found = total_loss(entropy, torch.arange(8) < 5, agents.networks.squared_norm(), 0.02)
    parts = [
        demonstration_loss(agents.networks, replay.view[rows], replay.labels[rows], 0.02)
        for rows in (slice(0, 5), slice(5, 8))
    ]
    np.testing.assert_allclose(found.detach(), (parts[0] + parts[1]).detach(), rtol=1e-6)


@pytest.mark.parametrize("own", [0, 3])
def test_priorities_are_the_change_of_loss_averaged_over_the_agents(problem: Any, own: int) -> None:
    """Losses of every transition before and after the step, written out in NumPy from the networks' outputs."""
    training = training_of(problem, own, batch_size=400)  # so that every transition is in the batch
    agents, replay = training.agents, training.replay

    def losses() -> Any:
        logits = agents.networks(replay.view[: replay.count]).detach().double().numpy()
        pi, a = 1.0 / (1.0 + np.exp(-logits)), replay.labels[: replay.count].double().numpy()
        return -(a * np.log(pi) + (1.0 - a) * np.log(1.0 - pi)).sum(axis=2)

    before = losses()
    training._train(0.0, np.random.default_rng(0))
    change = np.abs((losses() - before).mean(axis=1))
    constant = np.array([0.08] * 5 + [0.02] * own)
    root = np.sqrt(change + constant)
    assert change.min() > 1e-4
    np.testing.assert_allclose(replay.probabilities(), root / root.sum(), rtol=1e-3)


def test_training_on_own_data_alone_lowers_its_loss(problem: Any) -> None:
    training, rng = training_of(problem, l2=0.0), np.random.default_rng(0)
    training.replay.demonstrations = 0
    first, *_, last = (training._train(0.0, rng) for _ in range(60))
    assert (last < 0.5 * first).all()


# -------------------------------------------------------------------------------------------------------- the stages


def test_slots_are_decided_by_the_agents_and_paid_by_the_problem(problem: Any) -> None:
    """Without pre-training the first ten slots are decided by the untrained networks: all can be done again."""
    curve: Curve = []
    fit(problem, seed=5, curve=curve, imitation=False, slots=20)
    assert [step for step, _ in curve] == [60, 120]  # 10 slots of 6 agents
    untrained = Dirs(**{**SMALL, "imitation": False}).fit(problem, budget=Budget(steps=1), seed=5)
    stream = np.random.SeedSequence(5, spawn_key=(dirs.SLOTS, 0)).spawn(3)[0]
    instances = problem.sample(10, int(stream.generate_state(1, np.uint64)[0]))
    decisions, _ = untrained.act(problem.observe(instances, problem.reset(instances)))
    outcome = problem.evaluate(instances, decisions)
    assert curve[0][1]["episode/cost"] == pytest.approx(outcome.cost.mean() / 6, rel=1e-6)
    for name in ("time_s", "energy_j", "reward", "offloaded"):
        assert curve[0][1][f"episode/{name}"] == pytest.approx(outcome.metrics[name].mean(), rel=1e-6)


def test_every_point_of_the_curves_has_the_same_numbers(problem: Any) -> None:
    curve: Curve = []
    fit(problem, curve=curve, slots=55)
    assert [step for step, _ in curve] == decisions(10, 20, 30, 40, 50, 60, 70, 80, 90)
    metrics = {"cost", "objective", "time_s", "energy_j", "reward", "offloaded"}
    names = {"train/loss_agent_1", "train/loss_agent_2", *(f"episode/{name}" for name in metrics)}
    for _, numbers in curve:
        assert set(numbers) == names
    assert curve[3][1]["train/loss_agent_1"] < curve[0][1]["train/loss_agent_1"]
    curve.clear()
    fit(problem, curve=curve, interval=25)  # after the last training there is no loss to record
    assert [step for step, _ in curve] == decisions(10, 20, 30, 40, 65, 90)


def test_watching_changes_nothing(problem: Any) -> None:
    assert weights(fit(problem, curve=[])) == weights(fit(problem))


def test_the_agents_are_trained_every_interval_and_at_no_other_slot(
    problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    train = DirsTraining._train

    def counted(self: DirsTraining, *given: Any) -> Any:
        trained.append(self.replay.count)
        return train(self, *given)

    monkeypatch.setattr(DirsTraining, "_train", counted)
    fit(problem, slots=60, interval=25, replay_size=1)
    assert trained == [65, 65]
    trained.clear()
    fit(problem, slots=60, interval=7)
    assert trained == list(range(65, 73))


def test_a_budget_is_divided_in_the_proportion_of_the_stages(
    problem: Any, experts: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[int] = []
    meet = DirsTraining._interact
    monkeypatch.setattr(DirsTraining, "_interact", lambda *given: (met.append(given[1].iteration), meet(*given))[1])
    done: list[int] = []
    learner = Dirs(**SMALL)
    budget = Budget(steps=2 * learner.default_steps(problem))
    policy = learner.fit(problem, demonstrations=experts, budget=budget, progress=done.append)
    assert met == list(range(80, 200, 10))
    assert sum(done) == policy.origin.training["steps"] == budget.steps
    assert learner.default_steps(problem) == (40 * 32 + 60) * 6
    assert Dirs(**{**SMALL, "imitation": False}).default_steps(problem) == 60 * 6


def test_training_ends_when_its_seconds_are_over(problem: Any) -> None:
    policy = Dirs().fit(problem, budget=Budget(seconds=1.0))
    assert policy.origin.training["steps"] < Dirs().default_steps(problem)  # type: ignore[operator]
    assert policy.origin.training["demonstrations"] > 0  # type: ignore[operator]


class Clock:
    """Time that passes where a test says so, in place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """An expert that needs 1 s for each instance but 20 s for the tenth, and gradient steps of 0.1 s."""
    clock, solved, made, descend = Clock(), 0, registry.solver, AdamOptimizer.descend

    class Slow:
        def __init__(self, time_limit_s: float) -> None:
            self.limit = time_limit_s

        def run(self, problem: Any, instances: Any, *, seed: int) -> Any:
            nonlocal solved
            for number in range(solved, solved + instances.count):
                clock.now += min(20.0 if number == 9 else 1.0, self.limit)
            solved += instances.count
            return made("greedy", problem).run(problem, instances)

    def solver(name: str, problem: Any = None, **options: Any) -> Any:
        return Slow(options["time_limit_s"]) if name == "expert" else made(name, problem, **options)

    def slowly(*given: Any) -> None:
        clock.now += 0.1
        descend(*given)

    monkeypatch.setattr(dirs, "time", clock)
    monkeypatch.setattr(course, "time", clock)
    monkeypatch.setattr(registry, "solver", solver)
    monkeypatch.setattr(AdamOptimizer, "descend", slowly)
    return clock


@pytest.mark.parametrize(("seconds", "demonstrated"), [(15.0, (6, 8)), (0.5, (1, 1)), (24.0, (10, 10))])
def test_seconds_cover_demonstrations_too_and_half_of_them_is_left_for_training(
    problem: Any, clock: Clock, seconds: float, demonstrated: tuple[int, int]
) -> None:
    policy = Dirs().fit(problem, budget=Budget(seconds=seconds))
    spent = clock.now - 1000.0
    training = policy.origin.training
    assert seconds <= spent <= seconds + 0.2
    fewest, most = demonstrated
    assert fewest <= training["demonstrations"] <= most  # type: ignore[operator]
    minibatch = Dirs().batch_size * problem.num_agents
    # Pre-training has two thirds of the half that is left.
    assert training["steps"] >= int(0.3 * seconds / 0.1) * minibatch  # type: ignore[operator]


def test_a_continued_training_does_not_get_the_seconds_of_its_demonstrations_again(
    problem: Any, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)

    def stop(step: int, _: Mapping[str, float]) -> None:
        if step >= 20:
            raise KeyboardInterrupt

    given: dict[str, Any] = {"budget": Budget(seconds=15.0), "checkpoint": tmp_path / "state"}
    with pytest.raises(KeyboardInterrupt):
        Dirs().fit(problem, record=stop, **given)
    clock.now += 3600.0  # nobody trains
    Dirs().fit(problem, **given)
    # The step that was interrupted before it was kept is done again.
    assert clock.now - 4600.0 == pytest.approx(15.0, abs=0.4)


# ------------------------------------------------------------------------------------------------------- the switches


def labels_learned(problem: Any, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Any, Any]:
    """The costs of what is appended to the replay, and the optimal ones of the same states."""
    found: list[tuple[float, float]] = []
    refine = DirsTraining._refine

    def kept(self: DirsTraining, instances: Any, observation: Any, voted: Any, rng: Any) -> Any:
        refined = refine(self, instances, observation, voted, rng)
        costs = self.problem.costs(instances)
        found.append((float(costs.cost(voted)[0]), float(costs.cost(refined)[0])))
        best.append(registry.solver("exact", self.problem).run(self.problem, instances).objective[0])
        return refined

    best: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr(DirsTraining, "_refine", kept)
        fit(problem, **options)
    return np.array(found), np.array(best)


def test_refinement_makes_the_action_no_dearer_and_the_exact_one_makes_it_optimal(
    problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    levy, best = labels_learned(problem, monkeypatch, refinement="levy")
    assert (levy[:, 1] <= levy[:, 0] + 1e-12).all()
    assert (levy[:, 1] < levy[:, 0] - 1e-6).any()
    exact, best = labels_learned(problem, monkeypatch, refinement="exact")
    np.testing.assert_allclose(exact[:, 1], best, rtol=1e-6)
    none, _ = labels_learned(problem, monkeypatch, refinement="none")
    np.testing.assert_array_equal(none[:, 0], none[:, 1])


def test_each_switch_changes_what_is_learned(problem: Any) -> None:
    switches: list[dict[str, Any]] = [
        {},
        {"imitation": False},
        {"refinement": "none"},
        {"refinement": "exact"},
        {"l2": 0.0},
        {"expert": "greedy"},
        {"beta": 1.1},
        {"priority_exponent": 0.0},
    ]
    learned = [weights(fit(problem, **switch))["network.hidden.0.weight"] for switch in switches]
    assert len(set(learned)) == len(switches)


def test_without_the_regulariser_weights_grow_larger(problem: Any) -> None:
    with_l2, without = (fit(problem, l2=l2, pretraining=300).actor.squared_norm() for l2 in (1e-1, 0.0))
    assert (with_l2 < without).all()


def test_without_imitation_nothing_is_demonstrated(problem: Any, experts: Demonstrations) -> None:
    policy = fit(problem, imitation=False)
    assert policy.origin.training["demonstrations"] == 0
    assert policy.origin.training["expert_gap_mean"] is None
    with pytest.raises(InvalidInput, match="demonstrations were given, but imitation = False"):
        Dirs(imitation=False).fit(problem, demonstrations=experts)


def test_each_stage_alone_learns_to_beat_local_computing() -> None:
    problem: Any = registry.problem("multi_server", users=8, servers=2)
    held_out = problem.sample(300, 3)
    optimum = registry.solver("exact", problem).run(problem, held_out).objective.mean()
    local = problem.costs(held_out).cost(np.zeros((300, 8), dtype=np.int64)).mean()
    options = {"hidden": (80, 60), "batch_size": 128, "generations": 20, "population": 4}
    for stage in (
        {"imitation": False, "slots": 1500},
        {"demonstrations": 2000, "pretraining": 500, "slots": 0},
    ):
        cost = fit(problem, **options, **stage).run(problem, held_out).objective.mean()
        assert cost - optimum < 0.4 * (local - optimum)


def test_the_experts_certified_gap_stands_in_the_policy(problem: Any, tmp_path: Path) -> None:
    """Greedy demonstrations: their gap is known exactly, because the optimum is."""
    policy = fit(problem, expert="greedy", demonstrations=16)
    nature = np.random.SeedSequence(0, spawn_key=(dirs.DEMONSTRATIONS, 0)).spawn(2)[0]
    instances = problem.sample(16, int(nature.generate_state(1, np.uint64)[0]))
    cost = registry.solver("greedy", problem).run(problem, instances).objective
    gap = cost / registry.solver("exact", problem).run(problem, instances).objective - 1.0
    policy.save(tmp_path)
    training = load_policy(tmp_path, problem).origin.training  # type: ignore[attr-defined]
    assert training["expert_gap_mean"] == pytest.approx(gap.mean(), abs=1e-3)
    assert training["expert_gap_worst"] == pytest.approx(gap.max(), abs=1e-3)
    assert training["demonstrations"] == 16
    exact = fit(problem, expert="exact").origin.training
    assert exact["expert_gap_worst"] < 1e-5  # type: ignore[operator]


def test_uncertified_demonstrations_have_no_gap(problem: Any, experts: Demonstrations) -> None:
    greedy = registry.solver("greedy", problem).run(problem, experts.instances)
    given = Demonstrations(experts.instances, experts.observations, greedy)
    training = Dirs(**SMALL).fit(problem, demonstrations=given).origin.training
    assert (training["expert_gap_mean"], training["expert_gap_worst"]) == (None, None)


# ---------------------------------------------------------------------------------------------- what it depends on


def test_the_same_seed_gives_the_same_bytes(problem: Any, tmp_path: Path) -> None:
    saved = {}
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        fit(problem, seed=seed).save(tmp_path / name)
        saved[name] = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
    assert saved["first"] == saved["again"]
    assert saved["first"]["weights.safetensors"] != saved["other"]["weights.safetensors"]


def test_at_inference_an_agent_reads_nothing_but_its_own_column(problem: Any) -> None:
    policy = fit(problem)
    observation = observe(problem, 30)
    local = policy.probabilities(observation)
    rng = np.random.default_rng(0)
    for server in range(2):
        garbage = rng.exponential(size=observation["gain"].shape)
        garbage[:, :, server] = observation["gain"][:, :, server]
        elsewhere = Observation({"gain": garbage, "task_bits": rng.random((30, 6)), "task_cycles": rng.random((30, 6))})
        heard = policy.probabilities(elsewhere)
        np.testing.assert_array_equal(heard[:, server], local[:, server])
        assert (heard[:, 1 - server] != local[:, 1 - server]).any()


def test_a_loaded_policy_decides_as_the_saved_one(problem: Any, tmp_path: Path) -> None:
    policy = fit(problem)
    policy.save(tmp_path)
    instances = problem.sample(50, 1)
    first, second = policy.run(problem, instances), load_policy(tmp_path, problem).run(problem, instances)
    assert first.decisions["server"].tobytes() == second.decisions["server"].tobytes()
    data = bytearray((tmp_path / "weights.safetensors").read_bytes())
    data[-3] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(data)
    with pytest.raises(DamagedFile, match="SHA-256"):
        load_policy(tmp_path, problem)


def test_the_papers_settings_are_those_of_its_section_vi() -> None:
    learner = Dirs(**PAPER)
    assert (learner.hidden, learner.demonstrations, learner.slots, learner.interval) == ((80, 60), 256, 3000, 10)
    assert (learner.replay_size, learner.batch_size, learner.pretraining) == (1024, 256, 1000)
    assert (learner.priority_exponent, learner.demonstration_priority, learner.own_priority) == (0.5, 0.08, 0.02)
    assert (learner.beta, learner.expert, learner.refinement, learner.imitation) == (1.5, "levy", "levy", True)


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("field", "value"), [("refinement", "greedy"), ("beta", 2.5), ("replay_size", 0), ("own_priority", 0.0)]
)
def test_a_wrong_hyper_parameter_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=field):
        Dirs(**{field: value})


def test_a_training_without_any_step_is_refused() -> None:
    with pytest.raises(InvalidInput, match="imitation = False with slots = 0 trains nothing"):
        Dirs(imitation=False, slots=0)


def test_an_unknown_expert_is_refused_before_anything_is_trained(problem: Any) -> None:
    with pytest.raises(UnknownName, match="no solver 'exakt'"):
        Dirs(expert="exakt").fit(problem)
