"""Binary offloading of many devices to several edge servers, with power and CPU allocation.

Jiang, Dong, Wang, Yang, Pan: "Distributed Resource Scheduling for Large-Scale MEC Systems: A Multi-Agent Ensemble Deep
Reinforcement Learning with Imitation Acceleration", IEEE Internet of Things Journal 9(9), 2022, arXiv:2005.12364.

Equation numbers are the paper's. The values that it does not state are explained in `scenario`. The preset ``paper`` is
easy: a fixed assignment that fits the layout is close to the optimum (docs/results/multi_server.md).

The time-varying channel gains are the only random input of the paper; ``heterogeneous`` draws tasks as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from offloadopt.core import ArrayField, Batch, Decisions, FloatArray, Instances, IntArray, Observation, Outcome, State
from offloadopt.errors import InvalidInput
from offloadopt.physics import channel, compute
from offloadopt.pictures import Panel
from offloadopt.problems.multi_server import pictures
from offloadopt.problems.multi_server.scenario import MultiServerScenario
from offloadopt.quantities import Bits, Cycles, Metres, PowerGain
from offloadopt.structures.assignment import PricedAssignment, PricedAssignmentProblem
from offloadopt.traces import locations as places

LINKS_AT_ONCE = 2**22
"""Number of links whose costs are computed together, which bounds the memory of very large instances."""


class MultiServer(PricedAssignmentProblem[MultiServerScenario]):
    """The one-shot MINLP P0, equation (11).

    Instance arrays: ``gain [count, users, servers]`` (linear power gain), ``task_bits``, ``task_cycles [count,
    users]``, optionally ``distance_m [count, users, servers]``. Decision arrays: ``server [count, users]`` (0 = local,
    j = server j), ``cpu_hz``, ``power_w [count, users]`` (a local task: its own CPU, 0 W).
    """

    name = "multi_server"
    scenario_type = MultiServerScenario
    main_metrics = ("time_s", "energy_j", "offloaded")

    # --------------------------------------------------------------------------------------------------------- sizes

    @property
    def tasks(self) -> int:
        """Number of tasks, one per user."""
        return self.scenario.users

    @property
    def servers(self) -> int:
        """Number of edge servers."""
        return self.scenario.servers

    @cached_property
    def instance_fields(self) -> Mapping[str, ArrayField]:
        """Gains, tasks and distances."""
        users, servers = self.scenario.users, self.scenario.servers
        return {
            "gain": ArrayField.of(PowerGain, (users, servers), low=0.0).named(
                "power gain of each link with fading; 0 for no link", "users", "servers"
            ),
            "task_bits": ArrayField.of(Bits, (users,)).named("size of each task's input", "users"),
            "task_cycles": ArrayField.of(Cycles, (users,)).named("CPU cycles of each task", "users"),
            "distance_m": ArrayField.of(Metres, (users, servers), low=0.0, optional=True).named(
                "length of each link, for rules that offload to the nearest server", "users", "servers"
            ),
        }

    @cached_property
    def given_fields(self) -> Mapping[str, ArrayField]:
        """Positions, which give distances; without gains the mean gains at these distances are taken."""
        user = ArrayField((self.scenario.users, 2), unit="m", optional=True)
        server = ArrayField((self.scenario.servers, 2), unit="m", optional=True)
        return {
            "user_m": user.named("where users are; gives distance_m", "users", "x y"),
            "server_m": server.named("where servers are, likewise", "servers", "x y"),
        }

    def complete(self, arrays: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
        """Compute distances of positions, and without gains those without fading, equation (3), at these distances."""
        found = places.complete_distances(arrays)
        if "gain" not in found and "user_m" in arrays:
            s, distance_m = self.scenario, np.asarray(found["distance_m"], dtype=np.float64)
            found["gain"] = channel.path_gain(distance_m, s.reference_gain_db, s.path_loss_exponent)
        return found

    @property
    def observation_fields(self) -> Mapping[str, ArrayField]:
        """Gains and tasks are known when the decision is made; distances matter only through the gains."""
        return {name: spec for name, spec in self.instance_fields.items() if not spec.optional}

    @cached_property
    def decision_fields(self) -> Mapping[str, ArrayField]:
        """Where each task runs, with which CPU and transmit power."""
        users, most_hz = self.scenario.users, max(self.scenario.cpu_local_hz, self.scenario.cpu_server_hz)
        return {
            "server": ArrayField((users,), low=0, high=self.scenario.servers, integer=True),
            "cpu_hz": ArrayField((users,), low=0.0, high=most_hz * (1 + 1e-12), unit="Hz"),
            "power_w": ArrayField((users,), low=0.0, high=self.scenario.power_max_w, unit="W"),
        }

    # ----------------------------------------------------------------------------------------------------- instances

    def sample(self, count: int, seed: int) -> Instances:
        """Sample Rayleigh fading with path loss, equation (3), and tasks."""
        self.check_sample(count, seed)
        s = self.scenario
        # One stream per array, so that a longer sample begins with the shorter one.
        fading, bits, cycles, layout = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
        distance_m = self._distances(count, layout)
        gain = fading.exponential(size=(count, s.users, s.servers))
        gain *= channel.path_gain(distance_m, s.reference_gain_db, s.path_loss_exponent)
        spread = (1 - s.task_spread, 1 + s.task_spread)
        return Instances(
            {
                "gain": gain,
                "task_bits": s.task_bits * bits.uniform(*spread, size=(count, s.users)),
                "task_cycles": s.task_cycles * cycles.uniform(*spread, size=(count, s.users)),
                "distance_m": np.broadcast_to(distance_m, gain.shape),
            }
        )

    def positions(self) -> tuple[FloatArray, FloatArray]:
        """Users ``[users, 2]`` and servers ``[servers, 2]`` of the fixed layout, in m (east, north).

        Raises
        ------
        InvalidInput
            If ``layout_seed`` is none: every instance then has a layout of its own.
        """
        if self.scenario.layout_seed is None:
            raise InvalidInput("layout_seed = None draws a layout per instance; positions need a fixed one")
        users, sites = self._layouts(1, np.random.default_rng(self.scenario.layout_seed))
        return users[0], sites[0]

    def _distances(self, count: int, fresh: np.random.Generator) -> FloatArray:
        """Distances in m: ``[1, users, servers]`` of one layout, ``[count, users, servers]`` of fresh ones."""
        s = self.scenario
        if s.layout_seed is None:
            users, sites = self._layouts(count, fresh)
        else:
            users, sites = self._layouts(1, np.random.default_rng(s.layout_seed))
        return places.distances(users, sites)

    def _layouts(self, layouts: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Users ``[layouts, users, 2]`` and servers ``[layouts, servers, 2]`` in m."""
        s = self.scenario
        if self._recorded_positions is None:
            points = s.area_m * rng.random((layouts, s.users + s.servers, 2))
            return points[:, : s.users], points[:, s.users :]
        users, sites = self._recorded_positions
        return (
            np.stack([users[rng.choice(len(users), s.users, replace=False)] for _ in range(layouts)]),
            np.stack([sites[rng.choice(len(sites), s.servers, replace=False)] for _ in range(layouts)]),
        )

    # ---------------------------------------------------------------------------------------------------- evaluation

    def reset(self, instances: Instances) -> State:
        """Start a one-shot problem, which has no state."""
        return State(0, Batch({}))

    def observe(self, instances: Instances, state: State) -> Observation:
        """Return gains and tasks."""
        return Observation({name: instances[name] for name in self.observation_fields})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        """Evaluate equations (1), (2), (6) to (11) for given servers, CPU shares and powers."""
        s = self.scenario
        server, cpu_hz, power_w = decision["server"], decision["cpu_hz"], decision["power_w"]
        away = server > 0
        link_gain = np.take_along_axis(instances["gain"], np.maximum(server - 1, 0)[..., None], axis=-1)[..., 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            # (2), (8), (9); a link without gain or power takes infinitely long
            rate = channel.shannon_rate(s.bandwidth_hz, power_w * link_gain / (s.noise_w_per_hz * s.bandwidth_hz))
            send_s = np.where(away, instances["task_bits"] / rate, 0.0)
            compute_s = instances["task_cycles"] / np.where(away, cpu_hz, s.cpu_local_hz)
            send_j = np.where(power_w > 0, power_w * send_s, 0.0)
        local_j = compute.cpu_power(s.cpu_local_hz, s.kappa, s.cpu_exponent) * compute_s
        time_s = send_s + compute_s
        energy_j = np.where(away, send_j, local_j)
        # (10); without a price for energy even a link that takes infinitely long costs none
        energy_cost = s.energy_weight * energy_j if s.energy_weight > 0 else 0.0
        user_cost = s.time_weight * time_s + energy_cost

        used_hz = np.stack([np.sum(cpu_hz * (server == j), axis=-1) for j in range(1, s.servers + 1)], axis=-1)
        violations = {
            "server_cpu": np.maximum(used_hz / s.cpu_server_hz - 1.0, 0.0).max(axis=-1),  # (6)
            "local_cpu": np.where(away, 0.0, np.abs(cpu_hz / s.cpu_local_hz - 1.0)).max(axis=-1),
            "local_power": np.where(away, 0.0, power_w / s.power_max_w).max(axis=-1),
        }
        cost = user_cost.sum(axis=-1)  # (11)
        metrics = {
            "time_s": time_s.sum(axis=-1),
            "energy_j": energy_j.sum(axis=-1),
            "offloaded": away.mean(axis=-1),
            "reward": 1.0 / cost,
        }
        return State(1, state.values), Outcome(cost, user_cost, violations, metrics)

    # ----------------------------------------------------------------------------------------------------- structure

    def assignment(self, decisions: Decisions) -> IntArray:
        """Return the servers of tasks, 0 for local."""
        return np.asarray(decisions["server"], dtype=np.int64)

    def allocate(self, observation: Observation | Instances, assignment: IntArray) -> Decisions:
        """The convex resource problem (13): power by `channel.cheapest_power`, CPU by KKT, ``f_i ~ sqrt(cycles_i)``."""
        s = self.scenario
        away = assignment > 0
        link = np.maximum(assignment - 1, 0)
        link_gain = np.take_along_axis(observation["gain"], link[..., None], axis=-1)[..., 0]
        power_w = channel.cheapest_power(
            link_gain / (s.noise_w_per_hz * s.bandwidth_hz), s.time_weight, s.energy_weight, s.power_max_w
        )
        load = np.sqrt(s.time_weight * observation["task_cycles"])
        server_load = np.stack([np.sum(load * (assignment == j), axis=-1) for j in range(1, s.servers + 1)], axis=-1)
        total_load = np.take_along_axis(server_load, link, axis=-1)
        shared_hz = compute.root_share(load, total_load, np.asarray(s.cpu_server_hz))
        return Decisions(
            {
                "server": assignment,
                "cpu_hz": np.where(away, shared_hz, s.cpu_local_hz),
                "power_w": np.where(away, power_w, 0.0),
            }
        )

    def panels(self, instances: Instances, decisions: Decisions) -> list[Panel]:
        """Draw who is served where, and the servers' CPU (see `pictures`)."""
        return pictures.panels(self, instances, decisions, super().panels(instances, decisions))

    def costs(self, observation: Observation | Instances) -> PricedAssignment:
        """P0 with power and CPU shares at their optimum: ``sum c_ij a_ij + sum_j (sum_i s_i a_ij)^2 / F_j``."""
        s = self.scenario
        cycles = observation["task_cycles"]
        local_s = cycles / s.cpu_local_hz
        local_w = compute.cpu_power(s.cpu_local_hz, s.kappa, s.cpu_exponent)
        option_cost = np.empty((len(cycles), s.users, s.servers + 1))
        option_cost[..., 0] = s.time_weight * local_s + s.energy_weight * local_w * local_s
        block = max(1, LINKS_AT_ONCE // max(1, len(cycles) * s.servers))
        for first in range(0, s.users, block):
            some = slice(first, first + block)
            option_cost[:, some, 1:] = self._link_cost(observation["gain"][:, some], observation["task_bits"][:, some])
        return PricedAssignment(
            option_cost=option_cost,
            load=np.sqrt(s.time_weight * cycles),
            capacity=np.full((len(cycles), s.servers), s.cpu_server_hz),
        )

    def _link_cost(self, gain: FloatArray, bits: FloatArray) -> FloatArray:
        """Cost ``[count, users, servers]`` of sending each task at its best power; ``inf`` where a link is missing."""
        s = self.scenario
        snr_per_watt = gain / (s.noise_w_per_hz * s.bandwidth_hz)
        power_w = channel.cheapest_power(snr_per_watt, s.time_weight, s.energy_weight, s.power_max_w)
        with np.errstate(divide="ignore", over="ignore"):
            seconds = bits[..., None] / channel.shannon_rate(s.bandwidth_hz, power_w * snr_per_watt)
            return np.asarray((s.time_weight + s.energy_weight * power_w) * seconds)

    def server_view(self, observation: Observation | Instances) -> FloatArray:
        """The gains of a server's own links in dB (equation (14): ``s_j = {h_1j .. h_Nj}``)."""
        gain = np.maximum(observation["gain"], np.finfo(float).tiny)
        return np.asarray(10.0 * np.log10(gain).transpose(0, 2, 1))

    def affinity(self, observation: Observation | Instances) -> FloatArray:
        """The normalised gains of equation (25)."""
        gain: FloatArray = observation["gain"]
        best = gain.max(axis=-1, keepdims=True)
        return np.asarray(np.divide(gain, best, out=np.zeros_like(gain), where=best > 0))

    def nearest(self, observation: Observation | Instances) -> IntArray:
        """Return the nearest servers, as in the paper's greedy rule; without distances those of the strongest links."""
        if "distance_m" not in observation:
            return np.asarray(np.argmax(observation["gain"], axis=-1) + 1, dtype=np.int64)
        return np.asarray(np.argmin(observation["distance_m"], axis=-1) + 1, dtype=np.int64)

    def demand(self, observation: Observation | Instances) -> tuple[FloatArray, FloatArray]:
        """Cycles within one second: the paper admits by "computational resource" but leaves CPU shares divisible."""
        return observation["task_cycles"] / 1.0, np.full(self.scenario.servers, self.scenario.cpu_server_hz)

    @cached_property
    def _recorded_positions(self) -> tuple[FloatArray, FloatArray] | None:
        """Positions of all users and sites in the scenario's files, in m."""
        s = self.scenario
        both = places.read_map(s.users_file, s.sites_file)
        if both is None:
            return None
        users, sites = both
        for field, wanted, found in (("users", s.users, len(users)), ("servers", s.servers, len(sites))):
            if wanted > found:
                path = s.users_file if field == "users" else s.sites_file
                raise InvalidInput(f"{path} has {found} places; {field} = {wanted} asks for more")
        return users, sites
