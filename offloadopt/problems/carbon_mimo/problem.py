"""Carbon-aware power control of devices with task buffers, MIMO uplink, harvested energy and grid energy.

Zulfiqar, Mirza, Qureshi: "Carbon-aware decentralized dynamic task offloading in MIMO-MEC networks via multi-agent
reinforcement learning", arXiv:2602.18797, 2026. Its text leaves most of the physics to its ancestor, Chen and Wang:
"Decentralized computation offloading for multi-user mobile edge computing: a deep reinforcement learning approach",
EURASIP JWCN 2020:188, arXiv:1812.07394, preset ``ancestor``. Equation numbers are the first paper's.

In every slot each user sets the power of its CPU and of its transmitter. Choices of the model where the papers are
silent or give no well-posed problem (for values see `scenario`):

=====================  ==============================================================================================
what                   choice and reason
=====================  ==============================================================================================
charge                 ``normalised`` divides carbon by that of full power for a slot, waste by ``harvest_max_w`` for a
                       slot, lost bits by ``overflow_unit``, a tenth of a kbit: a lost bit then costs more than serving
                       it down to gains of 0.1 per W. Divided by the whole buffer, as would be natural, giving up is
                       optimal at high load. ``literal`` is equation (26) in bits, grams and joules
buffer                 what is left at a slot's end is charged, ``B(t+1)`` for equation (26)'s ``B(t)``: the same sum
                       but for its ends, and the last decision matters
end                    bits left at the end of the horizon cost ``final_weight`` times the carbon of computing them at
                       full CPU power from the grid; otherwise the optimum stops working 50 slots before the end.
                       With ``literal`` and ``ancestor`` they cost nothing
energy                 a power that is set is drawn, bits or no bits (the ancestor's "over-power"). As unused green
                       energy is charged, running idle on it is then right: the paper's model, kept
gain that is known     the SINR per watt that a transmission is sure of: exact under zero forcing; under ``mmse`` and
                       ``mrc``, where it depends on the others' powers, with these at full power
=====================  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np

from offloadopt.core import ArrayField, Batch, Decisions, FloatArray, Instances, Observation, Outcome, State
from offloadopt.errors import Unsupported
from offloadopt.physics import channel, mimo
from offloadopt.physics.device import Device, Service
from offloadopt.pictures import Panel
from offloadopt.problems.carbon_mimo import pictures, sampling
from offloadopt.problems.carbon_mimo.scenario import CarbonMimoScenario
from offloadopt.quantities import Amplitude, Bits, CarbonIntensity, Joules
from offloadopt.structures.backlog import Backlog, BacklogMDP, BacklogProblem, DiscreteDistribution

JOULE_PER_KWH = 3.6e6


class CarbonMimo(BacklogProblem[CarbonMimoScenario]):
    """Power control of ``users`` buffers over ``horizon`` slots.

    Instance arrays: ``channel [count, horizon, users, antennas, 2]`` (amplitude gain, real and imaginary part),
    ``channel_error`` (likewise; with `csi_error` only), ``arrival_bits``, ``harvest_j [count, horizon, users]``,
    ``carbon_g_per_kwh [count, horizon]``, ``start_bits [count, users]``. Decision arrays: ``local_w``, ``offload_w
    [count, horizon, users]``.
    """

    name = "carbon_mimo"
    scenario_type = CarbonMimoScenario
    main_metrics = ("overflow_bits", "buffer_bits", "energy_j", "grid_j", "wasted_j", "carbon_g")
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "paper": ("buffer", "green", "sinr_before"),
        "full": ("buffer", "green", "carbon", "gain"),
        "ancestor": ("buffer", "gain_before", "channel_power"),
    }

    @cached_property
    def instance_fields(self) -> Mapping[str, ArrayField]:
        """Channels, arrivals, harvested energy, the grid's carbon."""
        s = self.scenario
        amplitude = ArrayField.of(Amplitude, (s.users, s.antennas, 2))
        axes, start = ("users", "antennas", "re im"), min(self.capacity_bits, 1e18)
        error = {"channel_error": amplitude.named("error of the receiver's estimate, likewise", *axes)}
        return {
            "channel": amplitude.named("amplitude gain from each user to each antenna of the station", *axes),
            **(error if s.csi_error > 0 else {}),
            "arrival_bits": ArrayField.of(Bits, (s.users,), low=0.0).named("bits that arrive in the slot", "users"),
            "harvest_j": ArrayField.of(Joules, (s.users,), low=0.0).named("energy harvested for the slot", "users"),
            "carbon_g_per_kwh": ArrayField.of(CarbonIntensity, (), low=0.0).named("carbon intensity of the grid"),
            "start_bits": ArrayField.of(Bits, (s.users,), low=0.0, high=start, per_slot=False).named(
                "bits in each buffer at the begin", "users"
            ),
        }

    @cached_property
    def decision_fields(self) -> Mapping[str, ArrayField]:
        """CPU power and transmit power of every user."""
        s = self.scenario
        return {
            "local_w": ArrayField((s.users,), low=0.0, high=s.local_max_w, unit="W"),
            "offload_w": ArrayField((s.users,), low=0.0, high=s.offload_max_w, unit="W"),
        }

    @cached_property
    def observation_fields(self) -> Mapping[str, ArrayField]:
        """Observation of every user at the beginning of a slot."""
        units = {
            "buffer_bits": "bit",
            "green_j": "J",
            "carbon_g_per_kwh": "g/kWh",
            "gain_per_w": "1/W",
            "channel_power_per_w": "1/W",
            "gain_before_per_w": "1/W",
            "sinr_before": "1",
        }
        fields = {name: ArrayField((self.num_agents,), low=0.0, unit=unit) for name, unit in units.items()}
        if not self._decoupled:
            fields["channel_estimate"] = ArrayField((self.num_agents, self.scenario.antennas, 2), unit="1")
        return fields

    @cached_property
    def device(self) -> Device:
        """The users' hardware."""
        s = self.scenario
        return Device(s.slot_s, s.bandwidth_hz, s.kappa, s.cycles_per_bit, s.local_max_w, s.offload_max_w)

    @property
    def quantum_bits(self) -> float:
        """Unit of arrivals in bits."""
        return sampling.quantum_bits(self.scenario)

    @property
    def capacity_bits(self) -> float:
        """Capacity of a buffer in bits, ``inf`` where it is unlimited."""
        return np.inf if self.scenario.buffer_bits is None else self.scenario.buffer_bits

    @property
    def battery_j(self) -> float:
        """Capacity of a battery in J."""
        return self.scenario.battery_j

    # ------------------------------------------------------------------------------------------------------- prices

    @cached_property
    def _full_power_g(self) -> float:
        """Carbon in g of a slot at full power at the scenario's nominal intensity."""
        s = self.scenario
        return s.carbon_g_per_kwh * (s.local_max_w + s.offload_max_w) * s.slot_s / JOULE_PER_KWH

    def grid_price(self, carbon_g_per_kwh: FloatArray) -> FloatArray:
        """Cost of a joule from the grid."""
        s = self.scenario
        if s.charge == "ancestor":
            return np.full(np.shape(carbon_g_per_kwh), 10.0 * s.power_weight / s.slot_s)
        grams = carbon_g_per_kwh / JOULE_PER_KWH
        return np.asarray(s.carbon_weight * grams / (self._full_power_g if s.charge == "normalised" else 1.0))

    @cached_property
    def waste_price(self) -> float:
        """Cost of a joule of green energy that goes unused."""
        s = self.scenario
        if s.charge == "ancestor":
            return 0.0
        return s.loss_weight / (s.harvest_max_w * s.slot_s if s.charge == "normalised" else 1.0)

    @cached_property
    def holding_price(self) -> float:
        """Cost of a bit in the buffer at a slot's end."""
        s = self.scenario
        if s.charge == "ancestor":
            return (1.0 - s.power_weight) / self.quantum_bits
        return 0.0 if s.buffer_bits is None else s.buffer_weight / s.buffer_bits

    @cached_property
    def overflow_price(self) -> float:
        """Cost of a lost bit."""
        s = self.scenario
        if s.charge == "ancestor":
            return 0.0
        return s.loss_weight / (s.overflow_unit * self.quantum_bits if s.charge == "normalised" else 1.0)

    @cached_property
    def final_price(self) -> float:
        """Cost of a bit that is left at the end: computing it at full CPU power, from the grid."""
        s = self.scenario
        if s.charge != "normalised":
            return 0.0
        full_w = np.asarray(s.local_max_w)
        joule_per_bit = float(s.slot_s * full_w / self.device.local_bits(full_w))
        return s.final_weight * float(self.grid_price(np.asarray(s.carbon_g_per_kwh))) * joule_per_bit

    # ----------------------------------------------------------------------------------------------------- instances

    def sample(self, count: int, seed: int) -> Instances:
        """Sample Rayleigh fading with path loss of moving users, Poisson arrivals, harvest and the grid's carbon."""
        self.check_sample(count, seed)
        return sampling.sample_instances(self.scenario, count, seed)

    # ---------------------------------------------------------------------------------------------------- evaluation

    def reset(self, instances: Instances) -> State:
        """Start with the initial buffers; gains of the whole horizon are computed in one batch."""
        known = self._estimate(instances)
        power = np.sum(np.abs(known) ** 2, axis=-1) / self.scenario.noise_w
        none = np.zeros((instances.count, self.num_agents))
        values = {"buffer_bits": instances["start_bits"], "battery_j": none, "sinr_before": none}
        return State(0, Batch({**values, "gain_per_w": self._gain(known), "channel_power_per_w": power}))

    def observe(self, instances: Instances, state: State) -> Observation:
        """Return buffers, energy, the slot's channel and the last slot's SINR."""
        slot, values = state.slot, state.values
        carbon = instances["carbon_g_per_kwh"][:, slot, None]
        gain = values["gain_per_w"]
        known = {} if self._decoupled else {"channel_estimate": self._estimate_parts(instances, slot)}
        return Observation(
            {
                **known,
                "buffer_bits": values["buffer_bits"],
                "green_j": instances["harvest_j"][:, slot] + values["battery_j"],
                "carbon_g_per_kwh": np.broadcast_to(carbon, values["buffer_bits"].shape),
                "gain_per_w": gain[:, slot],
                "channel_power_per_w": values["channel_power_per_w"][:, slot],
                "gain_before_per_w": gain[:, slot - 1] if slot > 0 else np.zeros_like(gain[:, 0]),
                "sinr_before": values["sinr_before"],
            }
        )

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        """One slot of service, arrivals, energy and carbon; amounts in bit, J and g.

        Numbered are the paper's two equations that its text gives; the physics is the ancestor's.
        """
        s, d, slot, values = self.scenario, self.device, state.slot, state.values
        local_w, offload_w, before = decision["local_w"], decision["offload_w"], values["buffer_bits"]
        sinr = self._sinr(instances, state, offload_w)
        # tau f / L with f = (p_l / kappa)^(1/3), and tau W log2(1 + psi): bits
        served = np.minimum(d.local_bits(local_w) + d.offload_bits(sinr), before)
        waiting = before - served + instances["arrival_bits"][:, slot]
        buffer = np.minimum(waiting, self.capacity_bits)
        lost = waiting - buffer  # (10)

        energy = s.slot_s * (local_w + offload_w)  # J; green first, then the grid
        green = instances["harvest_j"][:, slot] + values["battery_j"]
        grid = np.maximum(energy - green, 0.0)
        battery = np.minimum(np.maximum(green - energy, 0.0), s.battery_j)
        wasted = np.maximum(green - energy, 0.0) - battery
        carbon = instances["carbon_g_per_kwh"][:, slot, None]

        cost = self.holding_price * buffer + self.grid_price(carbon) * grid + self.waste_price * wasted  # (26)
        cost += self.overflow_price * lost
        terminal_cost = self.final_price * buffer if slot + 1 == s.horizon else np.zeros_like(buffer)
        cost += terminal_cost
        metrics = {
            "arrived_bits": instances["arrival_bits"][:, slot],
            "served_bits": served,
            "overflow_bits": lost,
            "buffer_bits": buffer / s.horizon,  # summed over slots: the mean
            "energy_j": energy,
            "grid_j": grid,
            "wasted_j": wasted,
            "carbon_g": carbon * grid / JOULE_PER_KWH,
        }
        following = {**values, "buffer_bits": buffer, "battery_j": battery, "sinr_before": sinr}
        summed = {name: np.sum(amount, axis=-1) for name, amount in metrics.items()}
        return State(slot + 1, Batch(following)), Outcome(np.sum(cost, axis=-1), cost, {}, summed, terminal_cost)

    def panels(self, instances: Instances, decisions: Decisions) -> list[Panel]:
        """Draw buffers, energy and carbon (see `pictures`)."""
        return [*super().panels(instances, decisions), *pictures.panels(self, instances, decisions)]

    def _estimate(self, instances: Instances) -> mimo.Channel:
        """Return the receiver's channel estimates ``[count, horizon, users, antennas]``."""
        known = _complex(instances["channel"])
        return known + _complex(instances["channel_error"]) if self.scenario.csi_error > 0 else known

    def _estimate_parts(self, instances: Instances, slot: int) -> FloatArray:
        """Return the receiver's channel estimates in a slot, ``[count, users, antennas, 2]``."""
        channel = instances["channel"][:, slot]
        return channel + instances["channel_error"][:, slot] if self.scenario.csi_error > 0 else channel

    def _gain(self, known: mimo.Channel) -> FloatArray:
        """Compute the SINR per watt that is guaranteed if the channel estimate is exact."""
        s = self.scenario
        if s.detector == "zero-forcing":
            return mimo.zero_forcing_gain(known, s.noise_w)
        full = np.full(known.shape[:-1], s.offload_max_w)
        return mimo.detected_sinr(s.detector, known, known, full, s.noise_w) / s.offload_max_w

    def _sinr(self, instances: Instances, state: State, offload_w: FloatArray) -> FloatArray:
        """Compute the SINR after detection in the slot."""
        s = self.scenario
        if self._decoupled:
            return np.asarray(offload_w * state.values["gain_per_w"][:, state.slot])
        now = Instances(
            {name: instances[name][:, state.slot] for name in ("channel", "channel_error") if name in instances}
        )
        return mimo.detected_sinr(s.detector, _complex(now["channel"]), self._estimate(now), offload_w, s.noise_w)

    # ----------------------------------------------------------------------------------------------------- structure

    @property
    def _decoupled(self) -> bool:
        """Whether users' SINRs are independent of the other users' powers."""
        return self.scenario.detector == "zero-forcing" and self.scenario.csi_error == 0

    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        """Compute shares of buffer, harvest and target SINR as in the paper, and gains on a logarithmic scale."""
        s = self.scenario
        scale = s.buffer_bits if s.buffer_bits is not None else 100.0 * self.quantum_bits

        def decades(gain_per_w: FloatArray) -> FloatArray:
            return np.asarray(np.log10(1.0 + s.offload_max_w * gain_per_w))

        return {
            "buffer": observation["buffer_bits"] / scale,
            "green": observation["green_j"] / (s.harvest_max_w * s.slot_s + s.battery_j),
            "carbon": observation["carbon_g_per_kwh"] / s.carbon_g_per_kwh,
            "sinr_before": np.clip(observation["sinr_before"] / s.sinr_target, 0.0, 1.0),
            "gain": decades(observation["gain_per_w"]),
            "gain_before": decades(observation["gain_before_per_w"]),
            "channel_power": decades(observation["channel_power_per_w"]),
        }

    def buffer_bits(self, observation: Observation) -> FloatArray:
        """Return the buffers in bits."""
        return np.asarray(observation["buffer_bits"])

    def serve(self, local_w: FloatArray, offload_w: FloatArray) -> Decisions:
        """Return decisions with both powers clipped to their limits."""
        s = self.scenario
        return Decisions(
            {"local_w": np.clip(local_w, 0.0, s.local_max_w), "offload_w": np.clip(offload_w, 0.0, s.offload_max_w)}
        )

    def powers(self, decisions: Decisions) -> tuple[FloatArray, FloatArray]:
        """Return CPU power and transmit power in W."""
        return decisions["local_w"], decisions["offload_w"]

    def service(self, observation: Observation) -> Service:
        """Return the service options of the slot; with a battery green energy is free, as it can be kept."""
        return self._service(
            observation["gain_per_w"], observation["green_j"], self.grid_price(observation["carbon_g_per_kwh"])
        )

    def _service(self, gain_per_w: FloatArray, green_j: FloatArray, grid_price: FloatArray) -> Service:
        green_price = np.full((), 0.0 if self.scenario.battery_j > 0 else -self.waste_price)
        return Service(self.device, np.asarray(gain_per_w), np.asarray(green_j), green_price, grid_price)

    def uplink(self, instances: Instances) -> mimo.Uplink | None:
        """Return the users' channels unless zero forcing with perfect channel knowledge decouples them."""
        if self._decoupled:
            return None
        s = self.scenario
        return mimo.Uplink(s.detector, _complex(instances["channel"]), self._estimate(instances), s.noise_w)

    def estimated_uplink(self, observation: Observation) -> mimo.Uplink | None:
        """Return the base station's channel estimates in the slot."""
        if self._decoupled:
            return None
        known = _complex(observation["channel_estimate"])
        return mimo.Uplink(self.scenario.detector, known, known, self.scenario.noise_w)

    def backlog(self, instances: Instances, gain_per_w: FloatArray | None = None) -> Backlog:
        """Return the backlog problems of single users; zero forcing with perfect channel knowledge decouples users."""
        s = self.scenario
        if gain_per_w is None:
            if not self._decoupled:
                why = f"detector {s.detector}" if s.detector != "zero-forcing" else f"csi_error = {s.csi_error:g}"
                raise Unsupported(
                    f"{why}: one user's power disturbs the others, and their buffers cannot be solved apart"
                )
            gain_per_w = self._gain(self._estimate(instances))
        harvest = instances["harvest_j"]
        grid_price = self.grid_price(instances["carbon_g_per_kwh"])[..., None]
        green_price = 0.0 if s.battery_j > 0 else self.waste_price
        return Backlog(
            service=self._service(gain_per_w, harvest, grid_price),
            start_bits=instances["start_bits"],
            arrival_bits=instances["arrival_bits"],
            capacity_bits=self.capacity_bits,
            holding_price=self.holding_price,
            overflow_price=self.overflow_price,
            final_price=self.final_price,
            fixed_cost=green_price * harvest.sum(axis=1),
            battery_j=self.battery_j,
            waste_price=self.waste_price,
        )

    def mdp(self) -> BacklogMDP:
        """Return the MDP of one user: Poisson arrivals and harvest, Rayleigh fading at a fixed distance."""
        s = self.scenario
        for name, allowed in (
            ("users", s.users == 1),
            ("detector", s.detector == "zero-forcing"),
            ("csi_error", s.csi_error == 0),
            ("distance_m", s.distance_m is not None),
            ("arrival_quanta_to", s.arrival_quanta_to is None),
            ("solar_place", s.solar_place is None),
            ("battery_j", s.battery_j == 0),
            ("carbon_by_hour", s.carbon_by_hour is None),
        ):
            if not allowed:
                raise Unsupported(
                    f"{name} = {getattr(s, name)}: the law of the future is known for one user at a fixed distance_m "
                    "under zero forcing, with constant means of arrivals, harvest and carbon and without a battery"
                )
        distance = np.asarray(s.distance_m, dtype=np.float64).reshape(1)
        gain = channel.path_gain(distance, s.reference_gain_db, s.path_loss_exponent) / s.noise_w
        (arrivals,) = np.asarray(s.arrival_quanta, dtype=np.float64).reshape(1)
        return BacklogMDP(
            horizon=s.horizon,
            device=self.device,
            antennas=s.antennas,
            gain_per_w=float(gain[0]),
            correlation=s.correlation,
            arrivals=DiscreteDistribution(self.quantum_bits, _poisson(float(arrivals))),
            green=DiscreteDistribution(
                sampling.QUANTUM_J_PER_W * s.slot_s, _poisson(s.harvest_w / sampling.QUANTUM_J_PER_W)
            ),
            grid_price=float(self.grid_price(sampling.grid_carbon(s, np.zeros(1)))[0]),
            waste_price=self.waste_price,
            capacity_bits=self.capacity_bits,
            holding_price=self.holding_price,
            overflow_price=self.overflow_price,
            final_price=self.final_price,
        )


def _poisson(mean: float) -> tuple[float, ...]:
    """Compute Poisson probabilities of 0, 1, 2, ... until they stay below 1e-12."""
    count = np.arange(1.0, mean + 9.0 * np.sqrt(mean) + 20.0)
    steps = np.log(mean / count) if mean > 0 else np.full(count.shape, -np.inf)
    probabilities = np.exp(np.concatenate(([0.0], np.cumsum(steps))) - mean)
    probabilities = probabilities[: np.flatnonzero(probabilities >= 1e-12)[-1] + 1]
    return tuple((probabilities / probabilities.sum()).tolist())


def _complex(parts: FloatArray) -> mimo.Channel:
    """View arrays ``[..., 2]`` as complex numbers, without a copy."""
    return np.ascontiguousarray(parts).view(np.complex128)[..., 0]
