"""Partial offloading of moving users to servers that may be overloaded: offloading ratio, server and CPU share.

"Research on multi-user computation offloading: a model and a discretised deep deterministic policy gradient", Journal
of Electronics & Information Technology 2024 no. 4. Equations (1) to (25) are missing from the text at hand; the numbers
below are those of its reconstruction, which Table 3's totals support. Choices of the model (for values see `scenario`):

====================  ===============================================================================================
what                  choice and reason
====================  ===============================================================================================
cost                  one minus the utility (15) of a user: ``beta_t T/T0 + beta_e E/E0``, relative to local computing,
                      so that local computing costs 1 and the cost is positive
bandwidth (3)         split equally among the users that send to a server
offloading            a user with a server, a ratio above 0 and CPU above 0 offloads; all others compute locally
overload              requests beyond a server's CPU are cut pro rata, and the server's users share a penalty
====================  ===============================================================================================

Slots are coupled by the observed workload of the last slot alone, so that the optimum is the sum of the slots' optima.

With few users the choice of a server is easy (docs/results/partial_mobile.md); what remains to be learnt are CPU
requests and, where time has most weight, offloading ratios.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Batch, Decisions, FloatArray, Instances, IntArray, Observation, Outcome, State
from offloadopt.errors import InvalidInput
from offloadopt.physics import channel
from offloadopt.physics.task_splitting import Splitting, share_cpu
from offloadopt.pictures import Panel
from offloadopt.problems.partial_mobile import pictures
from offloadopt.problems.partial_mobile.scenario import PartialMobileScenario
from offloadopt.quantities import Bits, Coordinate
from offloadopt.structures.actions import Controls
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.shared_servers import SharedServersProblem
from offloadopt.traces import locations as places

SERVER_FEATURES = ("workload", "workload_hz")
"""Features that are the same for all users."""


class PartialMobile(SharedServersProblem[PartialMobileScenario], AgentProblem[PartialMobileScenario]):
    """Ratio, server and CPU of every user in every slot; see `Splitting` for the cost of a user.

    Instance arrays: ``position_m [count, horizon, users, 2]``, ``task_bits [count, horizon, users]`` (without a slot
    axis where the horizon is 1). Decision arrays: ``server`` (0 = local, j = server j), ``ratio``, ``cpu_hz [count,
    horizon, users]``.

    As an assignment, option j offloads the balanced share to server j, option ``M + j`` everything. The balanced share
    follows the CPU, so that these decisions are tied.
    """

    name = "partial_mobile"
    scenario_type = PartialMobileScenario
    main_metrics = ("time_s", "energy_j", "utility", "overload", "offloaded")
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "paper": ("place", "task", "workload"),
        "full": ("place", "task", "workload", "snr"),
        "unscaled": ("position_m", "task_bits", "workload_hz"),
    }
    ties_decisions = True

    # --------------------------------------------------------------------------------------------------------- sizes

    @property
    def tasks(self) -> int:
        """One task per user and slot."""
        return self.scenario.users

    @property
    def servers(self) -> int:
        """Ways to offload: each server for the balanced share and for everything."""
        return 2 * self.sites

    @property
    def dimensions(self) -> Mapping[str, int]:
        """Users, servers proper, and slots."""
        return {"users": self.tasks, "servers": self.sites, "slots": self.horizon}

    @property
    def option_names(self) -> tuple[str, ...]:
        """Local, then each server for a part of the task, then each server for the whole task."""
        servers = range(1, self.sites + 1)
        return ("local", *(f"server {j} (part)" for j in servers), *(f"server {j} (whole)" for j in servers))

    @property
    def sites(self) -> int:
        """Number of servers proper, M."""
        return len(self.sites_m)

    @cached_property
    def instance_fields(self) -> Mapping[str, ArrayField]:
        """Paths and tasks."""
        users = self.scenario.users
        return {
            "position_m": ArrayField.of(Coordinate, (users, 2)).named("where each user is", "users", "x y"),
            "task_bits": ArrayField.of(Bits, (users,)).named("size of each user's task", "users"),
        }

    @cached_property
    def observation_fields(self) -> Mapping[str, ArrayField]:
        """Positions, tasks, and the servers' workload in the last slot, Algorithm 1's state."""
        workload = ArrayField((self.scenario.users, self.sites), low=0.0, unit="Hz")
        return {**self.instance_fields, "workload_hz": workload}

    @cached_property
    def decision_fields(self) -> Mapping[str, ArrayField]:
        """Server, offloading ratio and CPU of every user."""
        users = self.scenario.users
        return {
            "server": ArrayField((users,), low=0, high=self.sites, integer=True),
            "ratio": ArrayField((users,), low=0.0, high=1.0),
            "cpu_hz": ArrayField((users,), low=0.0, high=self.scenario.cpu_server_hz, unit="Hz"),
        }

    # ----------------------------------------------------------------------------------------------------- instances

    @cached_property
    def _map(self) -> tuple[FloatArray, FloatArray] | None:
        """All users' and sites' positions of the scenario's files, in m."""
        s = self.scenario
        both = places.read_map(s.users_file, s.sites_file)
        if both is None:
            return None
        users, sites = both
        if s.servers_drawn > len(sites):
            raise InvalidInput(f"{s.sites_file} has {len(sites)} places; servers_drawn = {s.servers_drawn}")
        return users, sites

    @cached_property
    def sites_m(self) -> FloatArray:
        """[servers, 2] positions of the servers, in m."""
        if self._map is None:
            return np.asarray(self.scenario.sites_m, dtype=np.float64)
        rng, sites = np.random.default_rng(self.scenario.layout_seed), self._map[1]
        return sites[rng.choice(len(sites), self.scenario.servers_drawn, replace=False)]

    def sample(self, count: int, seed: int) -> Instances:
        """Sample random walks, equation (1), and tasks of uniform size."""
        self.check_sample(count, seed)
        s = self.scenario
        # One stream per array, so that a longer sample begins with the shorter one.
        start, walk, tasks = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3))
        shape = (count, s.horizon, s.users)
        if self._map is None:
            low, high = np.zeros(2), np.full(2, s.area_m)
            first = start.uniform(low, high, size=(count, s.users, 2))
        else:
            users = self._map[0]
            low, high = users.min(axis=0), users.max(axis=0)
            first = users[start.integers(len(users), size=(count, s.users))]
        draws = walk.random((*shape, 2))
        stride = s.speed_max_m_per_s * s.slot_s * draws[..., 0]
        heading = 2.0 * np.pi * draws[..., 1]
        moves = stride[..., None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        position = np.empty((*shape, 2))
        position[:, 0] = first
        for slot in range(1, s.horizon):
            position[:, slot] = np.clip(position[:, slot - 1] + moves[:, slot], low, high)
        bits = tasks.uniform(s.task_bits_min, s.task_bits_max, size=shape)
        return Instances({"position_m": self._slots(position), "task_bits": self._slots(bits)})

    def _slots(self, values: FloatArray) -> FloatArray:
        """Remove the slot axis where there is one slot."""
        return values if self.horizon > 1 else values[:, 0]

    # ---------------------------------------------------------------------------------------------------- evaluation

    def reset(self, instances: Instances) -> State:
        """Start with idle servers."""
        return State(0, Batch({"workload_hz": np.zeros((instances.count, self.sites))}))

    def observe(self, instances: Instances, state: State) -> Observation:
        """Return the slot's positions and tasks, and the last slot's workload."""
        now = instances if self.horizon == 1 else instances.at_slot(state.slot)
        workload = state.values["workload_hz"][:, None]
        everyone = np.broadcast_to(workload, (instances.count, self.num_agents, self.sites))
        return Observation({**now, "workload_hz": everyone})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        """Evaluate equations (3) to (15) for given servers, ratios and CPU."""
        s = self.scenario
        now = self.observe(instances, state)
        asked = np.where(decision["server"] > 0, decision["cpu_hz"], 0.0)
        away = (asked > 0) & (decision["ratio"] > 0)
        server = np.where(away, decision["server"], 0)
        ratio = np.where(away, decision["ratio"], 0.0)
        here = server[..., None] == np.arange(1, self.sites + 1)  # [count, users, sites]
        sharing, workload = here.sum(axis=1), np.sum(np.where(away, asked, 0.0)[..., None] * here, axis=1)  # (4)
        overload = workload > s.cpu_server_hz * (1 + 1e-12)
        cut = s.cpu_server_hz / np.maximum(workload, s.cpu_server_hz)

        link = np.maximum(server - 1, 0)
        of_server = np.take_along_axis(np.maximum(sharing, 1), link, axis=-1)
        tasks = self._splitting(now["task_bits"], self._pick(self._snr(now), link), of_server)
        cpu_hz = np.where(away, asked * np.take_along_axis(cut, link, axis=-1), s.cpu_server_hz)
        time_s, energy_j = tasks.time_energy(ratio, cpu_hz)
        penalty = np.where(away & np.take_along_axis(overload, link, axis=-1), s.overload_penalty / of_server, 0.0)
        relative = s.time_weight * time_s / tasks.local_s + (1 - s.time_weight) * energy_j / tasks.local_j
        cost = relative + penalty
        metrics = {
            "time_s": time_s.sum(axis=-1),
            "energy_j": energy_j.sum(axis=-1),
            "utility": np.sum(1.0 - relative, axis=-1) / (s.users * s.horizon),  # (15): summed over slots, the mean
            "overload": overload.mean(axis=-1) / s.horizon,
            "offloaded": ratio.mean(axis=-1) / s.horizon,
        }
        following = Batch({"workload_hz": workload})
        return State(state.slot + 1, following), Outcome(cost.sum(axis=-1), cost, {}, metrics)

    def _snr(self, observation: Observation | Instances) -> FloatArray:
        """[count, users, sites] signal-to-noise ratio of every link, equation (2)."""
        s = self.scenario
        offset = observation["position_m"][..., None, :] - self.sites_m
        distance = np.hypot(offset[..., 0], offset[..., 1])
        gain = channel.path_gain(distance, s.reference_gain_db, s.path_loss_exponent)
        return np.asarray(gain * (s.power_w / s.noise_w))

    @staticmethod
    def _pick(values: FloatArray, link: IntArray) -> FloatArray:
        """[count, users] of ``values [count, users, sites]``."""
        return np.asarray(np.take_along_axis(values, link[..., None], axis=-1)[..., 0])

    def _splitting(self, bits: FloatArray, snr: FloatArray, sharing: FloatArray | IntArray) -> Splitting:
        """Tasks over links that so many users share; the arrays broadcast."""
        s = self.scenario
        cycles = s.cycles_per_bit * bits
        with np.errstate(divide="ignore"):
            send_s = bits * sharing / channel.shannon_rate(s.bandwidth_hz, snr)  # (3), (7)
        return Splitting(
            local_s=cycles / s.cpu_local_hz,  # (5), (13)
            local_j=s.kappa_local * s.cpu_local_hz**2 * cycles,  # (6), (14)
            send_s=send_s,
            send_j=s.power_w * send_s,  # (8)
            cycles=cycles,
            kappa=s.kappa_server,
            time_weight=s.time_weight,
            cpu_max_hz=s.cpu_server_hz,
        )

    # ----------------------------------------------------------------------------------------------------- structure

    def assignment(self, decisions: Decisions) -> IntArray:
        """Return the option of each user: local, or a server with full or, for any other ratio, balanced offloading."""
        away = (decisions["server"] > 0) & (decisions["ratio"] > 0) & (decisions["cpu_hz"] > 0)
        option = decisions["server"] + np.where(decisions["ratio"] >= 1.0, self.sites, 0)
        return np.asarray(np.where(away, option, 0), dtype=np.int64)

    def allocate(self, observation: Observation | Instances, assignment: IntArray) -> Decisions:
        """Compute the optimal CPU shares of each server's tasks, and the ratios for these shares."""
        server, cpu_hz, tasks = self._shared(observation, assignment)
        ratio = np.where(assignment > self.sites, 1.0, tasks.balanced_ratio(cpu_hz))
        away = (server >= 0) & (cpu_hz > 0)
        return Decisions(
            {
                "server": np.where(away, server + 1, 0),
                "ratio": np.where(away, ratio, 0.0),
                "cpu_hz": np.where(away, cpu_hz, 0.0),
            }
        )

    def _shared(
        self, observation: Observation | Instances, assignment: IntArray
    ) -> tuple[IntArray, FloatArray, Splitting]:
        """Servers (-1: local), optimal CPU, and the tasks on their shared links, all ``[count, users]``."""
        s, snr = self.scenario, self._snr(observation)
        link = np.where(assignment > 0, (assignment - 1) % self.sites, 0)
        # A user without a link computes locally and uses no bandwidth.
        server = np.where((assignment > 0) & (self._pick(snr, link) > 0), link, -1)
        here = server[..., None] == np.arange(self.sites)
        sharing = np.take_along_axis(np.maximum(here.sum(axis=1), 1), link, axis=-1)
        tasks = self._splitting(observation["task_bits"], self._pick(snr, link), sharing)
        cpu_hz = share_cpu(server, assignment > self.sites, tasks.packed(), s.time_weight, s.cpu_server_hz)
        return server, cpu_hz, tasks

    def splitting(self, observation: Observation | Instances) -> Splitting:
        """Return every task on every server with 1, 2, ... users."""
        snr = self._snr(observation)[..., None]
        return self._splitting(observation["task_bits"][..., None, None], snr, np.arange(1, self.tasks + 1))

    def costs(self, observation: Observation | Instances) -> SharedCosts:
        """Return costs evaluated assignment by assignment, as users of a server share its band and CPU."""
        return SharedCosts(self, Observation({name: observation[name] for name in self.instance_fields}))

    def server_view(self, observation: Observation | Instances) -> FloatArray:
        """Return for each option its links' SNR in dB and the tasks' sizes relative to the largest."""
        snr = np.maximum(self._snr(observation), np.finfo(float).tiny)
        decibel = np.tile(10.0 * np.log10(snr).transpose(0, 2, 1), (1, 2, 1))
        size = np.broadcast_to(observation["task_bits"][:, None] / self.scenario.task_bits_max, decibel.shape)
        return np.concatenate([decibel, size], axis=-1)

    def affinity(self, observation: Observation | Instances) -> FloatArray:
        """Return rates without sharing, relative to the best link's."""
        rate = np.log1p(self._snr(observation))
        best = rate.max(axis=-1, keepdims=True)
        return np.tile(np.divide(rate, best, out=np.zeros_like(rate), where=best > 0), (1, 1, 2))

    def nearest(self, observation: Observation | Instances) -> IntArray:
        """Return full offloading to the nearest server."""
        return np.asarray(np.argmax(self._snr(observation), axis=-1) + 1 + self.sites, dtype=np.int64)

    def demand(self, observation: Observation | Instances) -> tuple[FloatArray, FloatArray]:
        """Return tasks' cycles per second of a slot, and the servers' CPU."""
        cycles = self.scenario.cycles_per_bit * observation["task_bits"]
        return cycles / self.scenario.slot_s, np.full(self.servers, self.scenario.cpu_server_hz)

    def panels(self, instances: Instances, decisions: Decisions) -> list[Panel]:
        """Draw who is served where, and the servers over the slots (see `pictures`)."""
        return pictures.panels(self, instances, decisions)

    # ------------------------------------------------------------------------------------------------------- agents

    @cached_property
    def _scale_factors(self) -> tuple[float, float, float]:
        """Algorithm 1's factors of positions, tasks and workloads: one over their largest values."""
        reach = self.scenario.area_m if self._map is None else float(np.abs(self._map[0]).max())
        return 1.0 / reach, 1.0 / self.scenario.task_bits_max, 1.0 / self.scenario.cpu_server_hz

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        """Compute Algorithm 1's state of each user, scaled and in its own units, and the links' SNR in decades."""
        position, bits, workload = (observation[name] for name in ("position_m", "task_bits", "workload_hz"))
        to_place, to_task, to_load = self._scale_factors
        return {
            "place": position * to_place,
            "task": bits * to_task,
            "workload": workload * to_load,
            "snr": np.log10(1.0 + self._snr(observation)),
            "position_m": position,
            "task_bits": bits,
            "workload_hz": workload,
        }

    def global_view(self, observation: Observation, name: str) -> FloatArray:
        """Return all users' features, and those of the servers once: Algorithm 1's state."""
        features = self.features(observation)
        parts = [
            features[each][:, 0] if each in SERVER_FEATURES else features[each] for each in self.view_features(name)
        ]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=-1)

    @cached_property
    def controls(self) -> Mapping[str, Controls]:
        """Controls: the decision itself, or Algorithm 2's requests."""
        return {**super().controls, "requests": RequestControls(self)}


class RequestControls(Controls):
    """Algorithm 2's coordinates: ratio, CPU as a share of a server's, and a server; without ratio or CPU it is local.

    Parameters
    ----------
    problem : PartialMobile
    """

    def __init__(self, problem: PartialMobile) -> None:
        self._problem = problem
        users = (problem.num_agents,)
        self.fields = {
            "ratio": ArrayField(users, low=0.0, high=1.0),
            "cpu": ArrayField(users, low=0.0, high=1.0),
            "server": ArrayField(users, low=1, high=problem.sites, integer=True),
        }

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """Compute the decision; a local user has server, ratio and CPU 0."""
        ratio, cpu_hz = values["ratio"], values["cpu"] * self._problem.scenario.cpu_server_hz
        away = (ratio > 0) & (cpu_hz > 0)
        chosen = {"server": values["server"], "ratio": ratio, "cpu_hz": cpu_hz}
        return Decisions({name: np.where(away, value, 0) for name, value in chosen.items()})

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Compute the coordinates; a local user requests nothing of the server with the best link."""
        away = (decisions["server"] > 0) & (decisions["ratio"] > 0) & (decisions["cpu_hz"] > 0)
        best = np.argmax(self._problem._snr(observation), axis=-1) + 1
        return {
            "ratio": np.where(away, decisions["ratio"], 0.0),
            "cpu": np.where(away, decisions["cpu_hz"] / self._problem.scenario.cpu_server_hz, 0.0),
            "server": np.where(away, decisions["server"], best),
        }


class SharedCosts:
    """Costs of assignments ``[count, ..., tasks]`` with optimal continuous decisions.

    The structure's `SharedServersCosts` tabulates every link for every number of users: too much for 100 users.
    """

    def __init__(self, problem: PartialMobile, observation: Observation) -> None:
        self.problem = problem
        self.observation = observation

    def cost(self, assignment: IntArray) -> FloatArray:
        """Compute the cost ``[count, ...]`` of assignments ``[count, ..., tasks]``."""
        count, tasks = len(assignment), assignment.shape[-1]
        many = self.observation.take(np.repeat(np.arange(count), int(np.prod(assignment.shape[1:-1]))))
        chosen = assignment.reshape(-1, tasks)
        server, cpu_hz, splitting = self.problem._shared(many, chosen)
        away = (server >= 0) & (cpu_hz > 0)
        costs = np.where(away, splitting.mode_cost(chosen > self.problem.sites, cpu_hz), 1.0)
        return np.asarray(costs.sum(axis=-1)).reshape(assignment.shape[:-1])

    def take(self, rows: Any) -> SharedCosts:
        """Return the selected instances."""
        return SharedCosts(self.problem, self.observation.take(rows))
