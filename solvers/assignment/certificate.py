"""Certificates of bounds for `offloadopt.certificates`, found anew for the decision of any solver.

Root prices of the servers, as whole multiples of a power of two, remove most options; `branch_and_price` proves the
rest. Whatever solver found the decision, the proof aims at its claimed gap, at least `LEAST_GAP`. If a search ends
before, the certificate proves the bound that was reached.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from math import frexp
from typing import Any

import numpy as np

from offloadopt.certificates.assignment import Numbers, Part, Tree, by_server_prices, whole
from offloadopt.certificates.checker import PROBLEMS, VERSION, option_table
from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, Instances, IntArray, Progress, Solutions
from offloadopt.errors import InvalidInput
from offloadopt.solvers.assignment.branch_and_price.column_generation import set_bounds
from offloadopt.solvers.assignment.branch_and_price.search import BranchAndPrice
from offloadopt.solvers.assignment.core_milp import CoreCosts
from offloadopt.solvers.assignment.dual_bound import find_prices
from offloadopt.solvers.assignment.equal_tasks import MAX_MATRIX_ENTRIES, assign_to_positions, useful_positions
from offloadopt.structures.assignment import PricedAssignmentProblem

LEAST_GAP = 1e-7
"""Smallest gap that a certificate aims at, relative to the cost."""
PRICE_DIGITS, LOAD_DIGITS = 30, 45
"""Binary digits of a mean price and of a mean load."""
SPARE, MOST_SPARE = 0.1, 1e-6
"""Part of the gap, up to one of this size, that a proof has to spare, so that the checker has fewer sets to compare."""
NODE_LIMIT = 300
"""Largest number of nodes of one search."""
TRIALS = 4
"""Number of bounds that are tried, each one that the search before it reached."""


def certificate(solutions: Solutions, limit_s: float | None = None, progress: Progress | None = None) -> bytes:
    """Prove the bounds of solutions of an assignment problem with congested servers, in the format of the checker.

    Parameters
    ----------
    solutions : Solutions
        Of any solver or policy, each feasible and with a bound.
    limit_s : float, optional
        Time limit for the proof of one instance; a proof that is cut off shows the bound that it reached.
    progress : Progress, optional

    Raises
    ------
    InvalidInput
        If the problem has another structure, or a row has no feasible decision or no bound.
    """
    problem, instances = solutions.problem, solutions.instances
    if not isinstance(problem, PricedAssignmentProblem) or instances is None or problem.horizon > 1:
        name = "solutions without their problem" if problem is None else problem.name
        raise InvalidInput(f"{name}: no certificate; allowed: assignments with congested servers, such as multi_server")
    if not (np.isfinite(solutions.objective) & np.isfinite(solutions.bound)).all():
        raise InvalidInput("a certificate needs a feasible decision and a bound for each instance")
    known = problem.name in PROBLEMS and type(problem).__module__ == f"offloadopt.problems.{problem.name}.problem"
    heading = {
        "offloadopt_certificate": VERSION,
        "problem": problem.name if known else None,
        "scenario": problem.scenario.model_dump(mode="json"),
        "instances": instances.count,
    }
    lines = [heading]
    assignments = problem.assignment(solutions.decisions)
    for row in range(instances.count):
        one = instances.take([row])
        claims = {
            "instance": row,
            "assignment": assignments[row].tolist(),
            "cost": float(solutions.objective[row]),
            "claimed_bound": float(solutions.bound[row]),
            "data": _data(problem, one, heading),
        }
        lines += _instance_records(heading, claims, Deadline(limit_s))
        if progress is not None:
            progress(row + 1)
    body = b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines)
    return body + json.dumps({"sha256": sha256(body).hexdigest()}).encode() + b"\n"


def _data(problem: PricedAssignmentProblem[Any], one: Instances, heading: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays that a problem's equations need, or a table of option costs."""
    if heading["problem"]:
        return {name: one[name][0].tolist() for name in PROBLEMS[problem.name].ARRAYS}
    costs = problem.costs(one)
    options = [[c if np.isfinite(c) else None for c in row] for row in costs.option_cost[0].tolist()]
    return {"option_cost": options, "load": costs.load[0].tolist(), "capacity": costs.capacity[0].tolist()}


def _instance_records(
    heading: Mapping[str, Any], claims: dict[str, Any], deadline: Deadline
) -> list[dict[str, Any]]:  # fmt: skip
    """Records of one instance: its claims with the root's prices, and the nodes."""
    table = option_table(heading, claims["data"])
    costs, squared_loads, capacity = table
    least = np.array([float(min(c for c in row if c is not None)) for row in costs])
    load, speed = np.sqrt([float(s) for s in squared_loads]), np.array([float(f) for f in capacity])
    load_bits = max(0, LOAD_DIGITS - frexp(load.mean())[1])
    price_bits = max(0, PRICE_DIGITS - frexp(np.sqrt(cost_unit(least, load, speed) / speed.mean()))[1])
    numbers = Numbers.rounded(*table, load_bits, price_bits)
    cost = claims["cost"]
    bound = min(claims["claimed_bound"], cost - LEAST_GAP * abs(cost))
    proof = prove(numbers, np.array(claims["assignment"]), cost, bound, deadline)
    root = {"bound": proof.bound, "load_bits": load_bits, "price_bits": price_bits, "prices": proof.prices}
    return [claims | root, *proof.nodes]


def cost_unit(least: FloatArray, load: FloatArray, capacity: FloatArray) -> float:
    """A mean cost of a task: of its best option, and alone on a server."""
    return float(np.abs(least).mean() + (load**2).mean() / capacity.mean())


@dataclass(frozen=True)
class Proof:
    """Records of the nodes after the root, and what they prove."""

    prices: list[int]
    bound: float
    nodes: list[dict[str, Any]]


def prove(numbers: Numbers, assignment: IntArray, cost: float, bound: float, deadline: Deadline) -> Proof:
    """Prove ``bound`` or, if the search ends before, what it reached.

    Parameters
    ----------
    numbers : Numbers
        The instance as the checker sees it.
    assignment : array [tasks]
        A good assignment.
    cost, bound : float
        Its cost, and the bound to be proved.
    deadline : Deadline
    """
    search = _Search(numbers, assignment)
    for _ in range(TRIALS):
        found = search.run(bound, cost, deadline)
        if isinstance(found, Proof):
            return found
        bound = found
    return search.of_root()


class _Search:
    """The search for proofs of one instance, in units near 1."""

    def __init__(self, numbers: Numbers, assignment: IntArray) -> None:
        self.numbers, self.assignment = numbers, assignment
        self.cost_unit, self.load_unit = 2.0 ** -(numbers.load_bits + numbers.price_bits), 2.0**-numbers.load_bits
        self.cost = np.array([[np.inf if c is None else float(c) for c in row] for row in numbers.cost])
        self.cost *= self.cost_unit
        self.load = np.array([float(s) for s in numbers.load]) * self.load_unit
        self.capacity = np.array([float(f) for f in numbers.capacity])
        self.scale = cost_unit(self.cost.min(axis=1), self.load, self.capacity), float(self.capacity.mean())
        core = self._scaled(self.cost, self.load, np.zeros(len(self.capacity)))
        equal = self._equal_prices() if len(set(numbers.load)) == 1 else None
        self.v = np.maximum(find_prices(*core[:3]) * self._price_unit if equal is None else equal, 0.0)
        self.prices = [round(float(v) * 2.0**numbers.price_bits) for v in self.v]

    @property
    def _price_unit(self) -> float:
        return float(np.sqrt(self.scale[0] / self.scale[1]))

    def _scaled(self, cost: FloatArray, load: FloatArray, fixed_load: FloatArray) -> CoreCosts:
        unit, speed = self.scale
        root = np.sqrt(unit * speed)
        return cost / unit, load / root, self.capacity / speed, fixed_load / root

    def _equal_prices(self) -> FloatArray | None:
        """Prices at which an optimal assignment of equal tasks is a best response: shortest paths between options.

        None where the assignment problem is too large.
        """
        load = float(self.load[0])
        counts = useful_positions(self.cost, load, self.capacity)
        if len(self.cost) * (counts.sum() + len(self.cost)) > MAX_MATRIX_ENTRIES:
            return None
        assignment = assign_to_positions(self.cost, load, self.capacity, counts)
        number = np.bincount(assignment, minlength=len(self.capacity) + 1)[1:]
        options = len(self.capacity) + 1
        # What a task of option k would pay at most more for l; and the marginal costs of one task fewer and one more.
        limit = np.full((options, options), np.inf)
        for k in range(options):
            own = self.cost[assignment == k]
            if len(own):
                limit[k] = (own - own[:, k, None]).min(axis=0)
        limit[1:, 0] = np.minimum(limit[1:, 0], load**2 * (2.0 * number + 1.0) / self.capacity)
        price = np.append(0.0, load**2 * (2.0 * number + 1.0) / self.capacity)
        for _ in range(options):
            price = np.minimum(price, (limit + price[None, :]).min(axis=1))
            price[0] = 0.0
        return price[1:] / (2.0 * load)

    def of_root(self) -> Proof:
        """What the servers' prices alone prove."""
        part, high = whole(self.numbers), 1
        while by_server_prices(self.numbers, part, self.prices, high) is None:
            high *= 2
        low = 0
        while by_server_prices(self.numbers, part, self.prices, low) is not None:
            low = 2 * low - 1
        while high - low > 1:
            middle = (low + high) // 2
            if by_server_prices(self.numbers, part, self.prices, middle) is None:
                low = middle
            else:
                high = middle
        return Proof(self.prices, float(np.nextafter(low * self.cost_unit, -np.inf)), [])

    def run(self, bound: float, cost: float, deadline: Deadline) -> Proof | float:
        """Prove a bound; otherwise return one that the search reached."""
        tree = Tree.root(self.numbers, self.numbers.rounded_up(Fraction(bound)), self.prices)
        part = tree.parts[0]
        if part is None:
            return Proof(self.prices, bound, [])
        core, tasks = self._core(part)
        base = part.cost * self.cost_unit
        spare = SPARE * min(cost - bound, MOST_SPARE * abs(cost))
        target = (bound + spare - base) / self.scale[0]
        search = BranchAndPrice(core, self.v / self._price_unit, self._reachable(core, tasks))
        search.upper = (cost - base) / self.scale[0]
        search.search(spare / self.scale[0], NODE_LIMIT, deadline, target=target)
        if search.bound < target:
            return base + search.bound * self.scale[0] - spare
        return Proof(self.prices, bound, list(self._records(tree, search, tasks, bound)))

    def _core(self, part: Part) -> tuple[CoreCosts, list[int]]:
        """The open tasks of a part."""
        tasks = list(part.options)
        cost = np.full((len(tasks), self.cost.shape[1]), np.inf)
        for row, i in enumerate(tasks):
            cost[row, part.options[i]] = self.cost[i, part.options[i]]
        fixed = np.array([float(load) for load in part.load]) * self.load_unit
        return self._scaled(cost, self.load[tasks], fixed), tasks

    def _reachable(self, core: CoreCosts, tasks: list[int]) -> IntArray:
        """The assignment, with other options where its own were removed."""
        own = self.assignment[tasks]
        missing = ~np.isfinite(core[0][np.arange(len(tasks)), own])
        return np.where(missing, np.argmin(core[0], axis=1), own)

    def _records(self, tree: Tree, search: BranchAndPrice, tasks: list[int], bound: float) -> Iterator[dict[str, Any]]:
        """Write the nodes of a search; those that were not branched on with their prices."""
        inner = {node.parent for node in search.nodes}
        for index, node in enumerate(search.nodes):
            record: dict[str, Any] = {"node": index}
            if node.parent >= 0:
                record |= {"parent": node.parent, "task": tasks[node.task], "options": [int(k) for k in node.options]}
                tree.branch(node.parent, tasks[node.task], record["options"])
            part = tree.parts[index]
            if index not in inner and part is not None:
                record |= self._closing(part, dict(zip(tasks, node.price, strict=True)), bound)
            if len(record) > 1:
                yield record

    def _closing(self, part: Part, price: dict[int, float], bound: float) -> dict[str, Any]:
        """Whole prices of the open tasks, and the least cost of sets: what is to spare is divided among the servers."""
        unit = self.scale[0] / self.cost_unit
        core, tasks = self._core(part)
        whole_prices = [round(price[i] * unit) for i in tasks]
        rounded = np.array([float(u) for u in whole_prices]) / unit
        least = set_bounds(core, rounded)
        paid = np.minimum(rounded, core[0][:, 0]).sum()
        spare = max(0.0, part.cost / unit + paid + least.sum() - bound / self.scale[0]) * 0.95
        return {
            "task_prices": whole_prices,
            "least": [int(np.floor((z - spare / len(least)) * unit)) for z in least],
        }
