"""Edge inference with a digital twin: placement of users' tasks, and shares of servers' CPU and bandwidth.

Yuan, Tian, Huang, Deng, Kang, Li, Duan: "A GAN-enhanced multi-agent deep reinforcement learning for digital twin-driven
edge inference and heterogeneous resource co-optimization", Chinese Journal of Computers 48(8), 2025,
doi:10.11897/SP.J.1016.2025.01763. Equation and table numbers are the paper's.

In every slot each user has a few tasks, and decides for each where it is computed (C1), on which share of that CPU and,
if offloaded, over which share of the server's band. Choices of the model where the paper is silent or gives no
well-posed problem (for values see `scenario`):

====================  ===============================================================================================
what                  choice and reason
====================  ===============================================================================================
tasks                 one to four a user and slot, each an image batch for one of Table 2's twelve models, all equally
                      likely. The number differs, so that there are four places, and ``present`` says which hold a
                      task: always the first ones. Places without a task have nothing to decide and cost nothing
C2 to C4              decisions are shares of a CPU or band; what adds up to more than 1 is cut pro rata. So they hold,
                      and learners act within a box
C5, C6                a task that would miss the limit, or for which the battery does not suffice once the user's tasks
                      before it have been served, is not begun: it *fails*, costs ``failure_cost`` and drains nothing.
                      So every decision is possible, one judge serves optimum and learners, and (12), which lacks a
                      penalty, gets one. A failure costs more than any task sensibly served: none fails on purpose
normalisation of (8)  by the time and energy of an average task alone on an average user's CPU, the same for all
battery               drained by the user's CPU and transmitter; by servers' CPUs, as C5 has it literally, with
                      ``server_drains``. Nothing recharges it within an episode
what varies           gains and tasks slot by slot; the rest is a layout, fixed unless ``layout_seed`` is none
twin                  CPUs, bands, gains and distances as the twin knows them: the real ones times ``1 + bias +
                      deviation x normal``, at least a tenth. Without bias (6) and (7) hold up to errors squared. As
                      decisions are shares, a plan for the twin is carried out as it is, on what is really there (4)
====================  ===============================================================================================

``paper-literal`` has the powers of Table 1 in kW, one kappa, and servers that drain batteries. It is easy: sending an
image costs far more energy than local computing, and all tasks are local at the optimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offloadopt.core import (
    FEASIBILITY_TOLERANCE,
    ArrayField,
    Batch,
    Decisions,
    FloatArray,
    Instances,
    Observation,
    Outcome,
    State,
)
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.problems.twin_inference import sampling
from offloadopt.problems.twin_inference.scenario import TwinInferenceScenario
from offloadopt.quantities import Bits, Cycles, Hertz, Joules, Metres, PowerGain, Watts
from offloadopt.structures.actions import Allowed
from offloadopt.structures.inference import CostWeights, InferenceProblem
from offloadopt.traces.locations import complete_distances
from offloadopt.traces.requests import Requests


class TwinInference(InferenceProblem[TwinInferenceScenario]):
    """Where each task of each user is computed, and on which shares of CPU and band.

    Instance arrays, per slot ``[count, horizon, ...]`` (without a slot axis where the horizon is 1): ``present``,
    ``bits``, ``cycles [users, places]`` (what stands in places without a task counts for nothing), ``gain [users,
    servers]``; per instance ``user_hz``, ``power_w``, ``start_j [users]``, ``server_hz``, ``bandwidth_hz [servers]``,
    ``distance_m [users, servers]``; and what the twin knows instead, as far as it differs: ``twin_user_hz``,
    ``twin_server_hz``, ``twin_bandwidth_hz``, ``twin_gain``, ``twin_distance_m``. Decision arrays ``[count, horizon,
    users, places]``: ``server`` (0 = own CPU, j = server j), ``cpu_share``, ``bandwidth_share``.

    Metrics are sums over tasks: counts (``tasks``, ``offloaded``, ``failures``, of these ``late``), ``time_s`` (a
    failed task waits until its limit), ``energy_j`` of (3), ``drained_j`` of batteries.
    """

    name = "twin_inference"
    scenario_type = TwinInferenceScenario
    main_metrics = ("tasks", "offloaded", "failures", "late", "time_s", "energy_j", "drained_j")
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "paper": ("present", "bits", "cycles", "battery", "cpu", "server_cpu", "server_band"),
        "full": ("present", "bits", "cycles", "battery", "cpu", "server_cpu", "server_band", "power", "rate", "slots"),
    }

    # --------------------------------------------------------------------------------------------------------- sizes

    @property
    def places(self) -> int:
        """Largest number of tasks of a user in a slot."""
        return self.scenario.tasks_max

    @property
    def servers(self) -> int:
        """Number of servers."""
        return self.scenario.servers

    @cached_property
    def instance_fields(self) -> Mapping[str, ArrayField]:
        """Tasks, links and resources, and the twin's values of them."""
        s = self.scenario
        tasks, links = (s.users, self.places), (s.users, s.servers)
        real = {
            "gain": ArrayField.of(PowerGain, links, low=0.0).named("fading of each link's power", "users", "servers"),
            "user_hz": ArrayField.of(Hertz, (s.users,), per_slot=False).named("CPU of each user", "users"),
            "server_hz": ArrayField.of(Hertz, (s.servers,), per_slot=False).named("CPU of each server", "servers"),
            "bandwidth_hz": ArrayField.of(Hertz, (s.servers,), per_slot=False).named("band of each server", "servers"),
            "distance_m": ArrayField.of(Metres, links, per_slot=False).named("length of each link", "users", "servers"),
        }
        twin = {
            f"twin_{name}": replace(field, optional=True, about=f"{field.about}, as the digital twin knows it")
            for name, field in real.items()
        }
        return {
            "present": ArrayField(tasks, low=0, high=1, integer=True).named(
                "1 where there is a task; a user's first places", "users", "tasks"
            ),
            "bits": ArrayField.of(Bits, tasks).named("size of each task's input", "users", "tasks"),
            "cycles": ArrayField.of(Cycles, tasks).named("CPU cycles of each task", "users", "tasks"),
            "power_w": ArrayField.of(Watts, (s.users,), per_slot=False).named("transmit power of each user", "users"),
            "start_j": ArrayField.of(Joules, (s.users,), low=0.0, per_slot=False).named(
                "energy in each user's battery at the begin", "users"
            ),
            **real,
            **twin,
        }

    @cached_property
    def given_fields(self) -> Mapping[str, ArrayField]:
        """Positions, which give distances; without gains links do not fade."""
        s = self.scenario
        place = ArrayField((s.users, 2), unit="m", per_slot=False, optional=True)
        return {
            "user_m": place.named("where users are; gives distance_m", "users", "x y"),
            "server_m": replace(place, shape=(s.servers, 2)).named("where servers are, likewise", "servers", "x y"),
        }

    def complete(self, arrays: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
        """Compute distances of positions; the mean of the fading is a gain of 1."""
        found = complete_distances(arrays)
        shape = np.shape(found.get("distance_m", ()))
        if "gain" not in found and "user_m" in arrays and len(shape) == 3:
            found["gain"] = np.ones((shape[0], *((self.horizon,) if self.horizon > 1 else ()), *shape[1:]))
        return found

    @cached_property
    def observation_fields(self) -> Mapping[str, ArrayField]:
        """Equation (10), and each user's links; 0 in places without a task."""
        tasks, links, own = (self.num_agents, self.places), (self.num_agents, self.servers), (self.num_agents,)
        return {
            "present": ArrayField(tasks, low=0, high=1, integer=True),
            "bits": ArrayField(tasks, low=0.0, unit="bit"),
            "cycles": ArrayField(tasks, low=0.0, unit="cycle"),
            "battery_j": ArrayField(own, low=0.0, unit="J"),
            "slots_left": ArrayField(own, low=0, high=self.horizon, integer=True),
            "user_hz": ArrayField(own, low=0.0, unit="Hz"),
            "power_w": ArrayField(own, low=0.0, unit="W"),
            "server_hz": ArrayField(links, low=0.0, unit="Hz"),
            "bandwidth_hz": ArrayField(links, low=0.0, unit="Hz"),
            "gain": ArrayField(links, low=0.0),
            "distance_m": ArrayField(links, low=0.0, unit="m"),
        }

    @cached_property
    def cost_weights(self) -> CostWeights:
        """Equation (8), normalised by an average task alone on an average user's CPU."""
        s = self.scenario
        hz = float(np.mean(s.user_hz))
        second_s, joule_j = self.mean_cycles / hz, s.kappa_user * hz**2 * self.mean_cycles
        return CostWeights(
            per_second=s.time_weight / second_s,
            per_joule=s.energy_weight / joule_j,
            failure=s.failure_cost,
            limit_s=s.limit_s,
            server_drains=s.server_drains,
        )

    @cached_property
    def mean_cycles(self) -> float:
        """CPU cycles of an average task."""
        return sampling.mean_cycles(self.scenario, self.requests)

    @cached_property
    def mean_bits(self) -> float:
        """Bits of an average task."""
        return sampling.mean_bits(self.scenario, self.requests)

    # ----------------------------------------------------------------------------------------------------- instances

    @cached_property
    def requests(self) -> Requests | None:
        """The recorded requests, if tasks come from a file."""
        return sampling.recorded_requests(self.scenario)

    def sample(self, count: int, seed: int) -> Instances:
        """Sample tasks and gains slot by slot, a layout, and the twin's errors."""
        self.check_sample(count, seed)
        arrays = sampling.sample_arrays(self.scenario, self.requests, count, seed)
        if self.horizon > 1:
            return Instances(arrays)
        fields = self.instance_fields
        return Instances({name: values[:, 0] if fields[name].per_slot else values for name, values in arrays.items()})

    def twin_instances(self, instances: Instances) -> Instances:
        """Return the instances as the twin knows them; quantities without a twin's value are the real ones."""
        known = {name: values for name, values in instances.items() if not name.startswith("twin_")}
        twin_names = {name: f"twin_{name}" for name in known if f"twin_{name}" in instances}
        return Instances({**known, **{name: instances[twin] for name, twin in twin_names.items()}})

    # ---------------------------------------------------------------------------------------------------- evaluation

    def reset(self, instances: Instances) -> State:
        """Start with the batteries' initial energy."""
        return State(0, Batch({"battery_j": np.array(instances["start_j"], dtype=np.float64)}))

    def observe(self, instances: Instances, state: State) -> Observation:
        """Return the slot's tasks and links, the batteries' energy, and the layout."""
        now, count = self._now(instances, state.slot), instances.count
        there = now["present"] == 1
        links = (count, self.num_agents, self.servers)
        return Observation(
            {
                "present": now["present"],
                "bits": np.where(there, now["bits"], 0.0),
                "cycles": np.where(there, now["cycles"], 0.0),
                "battery_j": state.values["battery_j"],
                "slots_left": np.full((count, self.num_agents), self.horizon - state.slot, dtype=np.int64),
                "user_hz": now["user_hz"],
                "power_w": now["power_w"],
                "server_hz": np.broadcast_to(now["server_hz"][:, None], links),
                "bandwidth_hz": np.broadcast_to(now["bandwidth_hz"][:, None], links),
                "gain": now["gain"],
                "distance_m": now["distance_m"],
            }
        )

    def _now(self, instances: Instances, slot: int) -> Instances:
        """Select one slot of the arrays per slot, and keep the others."""
        if self.horizon == 1:
            return instances
        return Instances(
            {
                name: values[:, slot] if self.instance_fields[name].per_slot else values
                for name, values in instances.items()
            }
        )

    def all_tasks(self, instances: Instances) -> InferenceTasks:
        """Return all tasks, arrays that begin with ``[count, horizon]``."""
        slotted = {
            name: values[:, None] if self.horizon == 1 or not self.instance_fields[name].per_slot else values
            for name, values in instances.items()
        }
        return self._work(slotted)

    def _work(self, now: Mapping[str, NDArray[Any]]) -> InferenceTasks:
        """Compute the tasks' times and energies from instance arrays ``[..., users, places]`` and so on."""
        s = self.scenario
        cycles, user_hz = now["cycles"], now["user_hz"][..., None]
        server_hz, band_hz = now["server_hz"][..., None, None, :], now["bandwidth_hz"][..., None, :]
        received_w = now["gain"] * now["power_w"][..., None] * now["distance_m"] ** -s.path_loss_exponent
        return InferenceTasks(
            present=now["present"] == 1,
            local_s=cycles / user_hz,
            local_j=s.kappa_user * user_hz**2 * cycles,
            server_s=cycles[..., None] / server_hz,
            server_j=s.kappa_server * server_hz**2 * cycles[..., None],
            send_s=now["bits"][..., None] / band_hz[..., None, :],
            snr=received_w / (band_hz * s.noise_w_per_hz),
            power_w=now["power_w"],
        )

    def observed_tasks(self, observation: Observation) -> tuple[InferenceTasks, FloatArray]:
        """Return tasks and batteries' energy; servers' data, equal for all users, come from the first user's row."""
        common = {name: observation[name][:, 0] for name in ("server_hz", "bandwidth_hz")}
        return self._work({**observation, **common}), observation["battery_j"]

    def start_j(self, instances: Instances) -> FloatArray:
        """Return the batteries' initial energy ``[count, users]`` in J."""
        return np.asarray(instances["start_j"])

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        """Evaluate equations (1) to (3) and (8) for given servers and shares, under C2 to C6."""
        weights, battery_j = self.cost_weights, state.values["battery_j"]
        tasks = self._work(self._now(instances, state.slot))
        there, server = tasks.present, decision["server"]
        cpu_share = np.where(there, decision["cpu_share"], 0.0)
        band_share = np.where(there & (server > 0), decision["bandwidth_share"], 0.0)
        here = server[..., None] == np.arange(1, self.servers + 1)  # [count, users, places, servers]

        def scale(share: FloatArray) -> FloatArray:
            """Compute the factor that scales a server's shares to a sum of at most 1."""
            asked = np.einsum("cup,cups->cs", share, here.astype(np.float64))
            return np.asarray(np.einsum("cs,cups->cup", 1.0 / np.maximum(asked, 1.0), here.astype(np.float64)))

        at_home = np.sum(np.where(server == 0, cpu_share, 0.0), axis=-1, keepdims=True)  # C2
        cpu_share = cpu_share * np.where(server == 0, 1.0 / np.maximum(at_home, 1.0), scale(cpu_share))  # C3
        band_share = band_share * scale(band_share)  # C4
        compute_s, send_s, compute_j, send_j = tasks.time_energy(server, cpu_share, band_share)
        time_s = compute_s + send_s  # (2)
        in_time = there & (time_s <= weights.limit_s * (1.0 + FEASIBILITY_TOLERANCE))  # C6
        energy_j = np.where(in_time, compute_j + np.where(in_time, send_j, 0.0), 0.0)  # (3)
        drain_j = energy_j if weights.server_drains else np.where(server == 0, energy_j, np.where(in_time, send_j, 0.0))
        left_j, begun = battery_j, np.zeros_like(in_time)
        for place in range(self.places):  # C5
            needed = drain_j[..., place]
            begun[..., place] = in_time[..., place] & (needed <= left_j + FEASIBILITY_TOLERANCE * battery_j)
            left_j = np.maximum(left_j - np.where(begun[..., place], needed, 0.0), 0.0)

        failed = there & ~begun
        spent_s, spent_j = np.where(begun, time_s, 0.0), np.where(begun, energy_j, 0.0)
        cost = weights.per_second * spent_s + weights.per_joule * spent_j + weights.failure * failed  # (8)
        metrics = {
            "tasks": there,
            "offloaded": begun & (server > 0),
            "failures": failed,
            "late": there & ~in_time,
            "time_s": np.where(failed, weights.limit_s, spent_s),
            "energy_j": spent_j,
            "drained_j": np.where(begun, drain_j, 0.0),
        }
        summed = {name: np.asarray(np.sum(values, axis=(-2, -1), dtype=np.float64)) for name, values in metrics.items()}
        agent_cost = cost.sum(axis=-1)
        following = State(state.slot + 1, Batch({"battery_j": left_j}))
        return following, Outcome(agent_cost.sum(axis=-1), agent_cost, {}, summed)

    # ----------------------------------------------------------------------------------------------------- structure

    def allowed(self, observation: Observation) -> Allowed:
        """Return the allowed servers: any for a task, local alone for places without one."""
        server = np.repeat((observation["present"] == 1)[..., None], self.servers + 1, axis=-1)
        server[..., 0] = True
        return {"server": server}

    def sizes(self, observation: Observation) -> tuple[FloatArray, FloatArray]:
        """Return cycles and bits relative to the scenario's average task."""
        return observation["cycles"] / self.mean_cycles, observation["bits"] / self.mean_bits

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        """Compute features ``[count, users]`` and ``[count, users, places or servers]``, relative to typical values."""
        s = self.scenario
        cpu, band = self.sizes(observation)
        with np.errstate(divide="ignore", invalid="ignore"):
            received_w = observation["gain"] * observation["power_w"][..., None]
            received_w = received_w * observation["distance_m"] ** -s.path_loss_exponent
            snr = received_w / (observation["bandwidth_hz"] * s.noise_w_per_hz)
        return {
            "present": observation["present"].astype(np.float64),
            "bits": band,
            "cycles": cpu,
            "battery": observation["battery_j"] / s.battery_j,
            "cpu": observation["user_hz"] / s.user_hz[1],
            "power": observation["power_w"] / s.power_w[1],
            "server_cpu": observation["server_hz"] / s.server_hz[1],
            "server_band": observation["bandwidth_hz"] / s.bandwidth_hz[1],
            "rate": np.log1p(np.where(np.isfinite(snr), snr, 0.0)) / 10.0,
            "slots": observation["slots_left"] / s.horizon,
        }
