"""Proofs of lower bounds for assignments with congested servers, in integers.

Every assignment costs ``sum_i c[i, a_i] + sum_j L_j^2 / F_j`` with the servers' loads ``L_j``. Three arguments prove
that no assignment costs less than a bound:

* **Prices of servers.** For any ``v >= 0``, ``L^2 / F >= 2 v L - F v^2``: each task takes its best option at costs
  ``c_ik + 2 s_i v_k``. An option with which this bound reaches the one that is to be proved is removed. With equal
  loads ``s``, a server's term is the least ``s^2 n^2 / F - 2 s v n`` over whole numbers ``n`` of tasks: that is more.
* **Prices of tasks.** For any ``u``, each task takes ``min(u_i, c_i0)``, and each server the set of tasks of least
  ``(L0 + s(S))^2 / F - sum_S (u_i - c_ij)``. That no set costs less than stated is checked by sets of one half of the
  tasks beside sets of the other half.
* **Branches.** The children of a node divide all options of one task among them.

Costs are integers in units of ``2^-(load_bits + price_bits)``, loads of ``2^-load_bits``, prices of servers of
``2^-price_bits``. Costs and loads are rounded down, what is subtracted is rounded up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any

MOST_SETS = 2_000_000
"""Largest number of sets of one half of the tasks that are compared."""
BLOCK = 48
"""Number of sets, of neighbouring loads, that are first compared together."""


class Rejected(ValueError):
    """A certificate that proves nothing; the message is one line."""


@dataclass(frozen=True)
class Numbers:
    """An instance in integers: option costs (none where there is no option), loads, servers' speeds, digits."""

    cost: list[list[int | None]]
    load: list[int]
    capacity: list[Fraction]
    load_bits: int
    price_bits: int

    @classmethod
    def rounded(
        cls, cost: Sequence[Sequence[Fraction | None]], squared_load: Sequence[Fraction], capacity: list[Fraction],
        load_bits: int, price_bits: int,
    ) -> Numbers:  # fmt: skip
        """Round costs and loads down."""
        unit: int = 1 << load_bits + price_bits
        costs = [[None if c is None else c.numerator * unit // c.denominator for c in row] for row in cost]
        loads = [isqrt((s.numerator << 2 * load_bits) // s.denominator) for s in squared_load]
        return cls(costs, loads, capacity, load_bits, price_bits)

    def rounded_up(self, cost: Fraction) -> int:
        """A cost in units of the option costs."""
        return -((-cost.numerator << self.load_bits + self.price_bits) // cost.denominator)

    def crowded(self, j: int, load: int) -> int:
        """Cost of a load on server j, rounded down."""
        f = self.capacity[j]
        return (load * load * f.denominator << self.load_bits + self.price_bits) // (f.numerator << 2 * self.load_bits)

    def price_term(self, j: int, v: int) -> int:
        """``F v^2`` of server j, rounded up."""
        f = self.capacity[j]
        return -(-(f.numerator * v * v << self.load_bits + self.price_bits) // (f.denominator << 2 * self.price_bits))


@dataclass(frozen=True)
class Part:
    """The assignments of a node: options of each open task; cost and servers' loads of the tasks that are decided."""

    options: Mapping[int, list[int]]
    cost: int
    load: list[int]

    def decide(self, numbers: Numbers, options: Mapping[int, list[int]]) -> Part:
        """Keep the given options, and decide the tasks that have one."""
        still, cost, load = dict[int, list[int]](), self.cost, list(self.load)
        for i, kept in options.items():
            if len(kept) > 1:
                still[i] = kept
                continue
            own = numbers.cost[i][kept[0]]
            assert own is not None
            cost += own
            if kept[0]:
                load[kept[0] - 1] += numbers.load[i]
        return Part(still, cost, load)


def whole(numbers: Numbers) -> Part:
    """All assignments."""
    options = {i: [k for k, c in enumerate(row) if c is not None] for i, row in enumerate(numbers.cost)}
    if not all(options.values()):
        raise Rejected("a task has no option")
    return Part(options, 0, [0] * len(numbers.capacity))


def by_server_prices(numbers: Numbers, part: Part, v: Sequence[int], bound: int) -> Part | None:
    """Remove the options of all assignments that cost at least ``bound`` at prices ``v``; none if these are all."""
    total, removable = part.cost, dict[int, list[tuple[int, int]]]()
    for i, options in part.options.items():
        twice, row = 2 * numbers.load[i], numbers.cost[i]
        priced = [(_known(row[k]) + (twice * v[k - 1] if k else 0), k) for k in options]
        least = min(priced)[0]
        total += least
        removable[i] = [(cost - least, k) for cost, k in priced]
    loads = {numbers.load[i] for i in part.options}
    equal = not any(part.load) and len(loads) == 1
    for j, price in enumerate(v):
        if equal:
            total += _least_whole(numbers, j, next(iter(loads)), price, len(part.options))
        else:
            total += 2 * price * part.load[j] - numbers.price_term(j, price)
    missing = bound - total
    if missing <= 0:
        return None
    kept = {i: [k for above, k in options if above < missing] for i, options in removable.items()}
    return part.decide(numbers, kept)


def _known(cost: int | None) -> int:
    assert cost is not None
    return cost


def _least_whole(numbers: Numbers, j: int, load: int, v: int, most: int) -> int:
    """Least ``s^2 n^2 / F - 2 s v n`` over whole numbers ``n`` of tasks of one load, rounded down."""
    best = int(min(most, max(0, numbers.capacity[j] * v * 2**numbers.load_bits / (load * 2**numbers.price_bits))))
    return min(numbers.crowded(j, load * n) - 2 * load * v * n for n in (best, min(best + 1, most)))


def by_task_prices(numbers: Numbers, part: Part, u: Mapping[int, int], least: Sequence[int]) -> int:
    """Bound all assignments of a part at prices ``u`` of tasks; no set of server j may cost less than ``least[j]``."""
    total, known = part.cost + sum(least), set[Any]()
    for i, options in part.options.items():
        total += min(u[i], _known(numbers.cost[i][0])) if 0 in options else u[i]
    for j in range(len(numbers.capacity)):
        items = [
            (numbers.load[i], u[i] - _known(numbers.cost[i][j + 1]))
            for i, options in part.options.items()
            if j + 1 in options
        ]
        useful = [(load, earned) for load, earned in items if earned > 0]
        key = numbers.capacity[j], part.load[j], least[j], tuple(useful)
        if key not in known:
            _check_sets(numbers, j, useful, part.load[j], least[j])
            known.add(key)
    return total


def _marginal_cost(numbers: Numbers, j: int, items: list[tuple[int, int]], fixed: int) -> int:
    """Half of the cost of more load, in units of prices, where server j has the best parts of tasks; about."""
    f = numbers.capacity[j]
    for ratio, load in sorted(((earned // load, load) for load, earned in items), reverse=True):
        wanted = int(f * ratio * 2**numbers.load_bits / 2 ** (numbers.price_bits + 1))
        if wanted <= fixed:
            break
        if wanted < fixed + load:
            return ratio // 2
        fixed += load
    return int(fixed * 2**numbers.price_bits / (f * 2**numbers.load_bits))


def _check_sets(numbers: Numbers, j: int, items: list[tuple[int, int]], fixed: int, least: int) -> None:
    """Check that no set of tasks ``(load, earnings)`` on server j costs less than ``least``.

    About any price ``v``, a set of load L costs ``sum r_i + (crowded(L) - 2 v L)``, ``r_i = 2 v s_i - p_i``, where the
    second term is convex in L and at least ``-F v^2``: only loads near ``F v`` matter.
    """
    v = _marginal_cost(numbers, j, items, fixed)
    lowest, target = -numbers.price_term(j, v), least - 2 * v * fixed
    room = target - lowest
    terms = sorted((2 * v * load - earned, load) for load, earned in items)
    free = sum(min(r, 0) for r, _ in terms)
    if free >= room:
        return
    f, shift = numbers.capacity[j], 2 * numbers.load_bits
    unit = numbers.load_bits + numbers.price_bits
    width = isqrt((f.numerator * (room - free) << shift) // (f.denominator << unit) + 1) + 1
    middle = (f.numerator * v << numbers.load_bits) // (f.denominator << numbers.price_bits)
    low, high = middle - width - fixed, middle + width + 1 - fixed
    halves = terms[::2], terms[1::2]
    best = [sum(min(r, 0) for r, _ in half) for half in halves]
    first, second = (_sets(half, room - other, high) for half, other in zip(halves, reversed(best), strict=True))
    second.sort()
    loads = [load for load, _ in second]
    blocks = [
        (loads[a], loads[min(a + BLOCK, len(loads)) - 1], min(r for _, r in second[a : a + BLOCK]))
        for a in range(0, len(loads), BLOCK)
    ]
    starts = [block[0] for block in blocks]

    def convex(load: int) -> int:
        return numbers.crowded(j, load) - 2 * v * load

    for load, r in first:
        here, wanted = fixed + load, target - r
        left = max(0, bisect_right(starts, low - load) - 1)
        for block in range(left, bisect_right(starts, high - load)):
            start, end, smallest = blocks[block]
            if smallest + lowest >= wanted:
                continue
            nearest = here + start if here + start > middle + 1 else here + end if here + end < middle else None
            if nearest is not None and smallest + convex(nearest) >= wanted:
                continue
            a = block * BLOCK
            for other, more in second[a : a + BLOCK]:
                if more + lowest < wanted and more + convex(here + other) < wanted:
                    raise Rejected(f"a set of tasks on server {j + 1} costs less than stated")


def _sets(terms: list[tuple[int, int]], room: int, most: int) -> list[tuple[int, int]]:
    """Loads and terms of all sets with a load of at most ``most`` whose terms can stay below ``room``."""
    rest = [0]
    for r, _ in reversed(terms):
        rest.append(rest[-1] + min(r, 0))
    rest.reverse()
    found = [(0, 0)]
    for number, (r, load) in enumerate(terms):
        limit = room - rest[number + 1]
        found += [(there + load, total + r) for there, total in found if there + load <= most and total + r < limit]
        if len(found) > MOST_SETS:
            raise Rejected("too many sets of tasks to compare")
    return [(load, total) for load, total in found if total < room] or [(0, 0)]


@dataclass
class Tree:
    """The nodes read so far: their parts, None where closed, and what their children cover of a task's options."""

    numbers: Numbers
    bound: int
    parts: list[Part | None]
    branched: dict[int, tuple[int, set[int]]]

    @classmethod
    def root(cls, numbers: Numbers, bound: int, v: Sequence[int]) -> Tree:
        """Begin with the prices of servers."""
        if len(v) != len(numbers.capacity) or not all(type(price) is int and price >= 0 for price in v):
            raise Rejected("the root's prices are not whole numbers of at least 0, one for each server")
        part = by_server_prices(numbers, whole(numbers), v, bound)
        return cls(numbers, bound, [part], {})

    def branch(self, parent: int, task: int, options: Iterable[int]) -> None:
        """Add a child that leaves a task with some of its options."""
        above = self.parts[parent]
        if above is None:
            raise Rejected("a node that is closed has a child")
        known, covered = self.branched.setdefault(parent, (task, set()))
        if known != task or task not in above.options:
            raise Rejected("the children of a node do not divide the options of one open task")
        chosen = set(options)
        covered |= chosen
        kept = [k for k in above.options[task] if k in chosen]
        self.parts.append(above.decide(self.numbers, {**above.options, task: kept}) if kept else None)

    def close(self, node: int, u: Sequence[int], least: Sequence[int]) -> None:
        """Close a node by prices of its open tasks, in their order."""
        part = self.parts[node]
        if part is None:
            return
        if len(u) != len(part.options) or len(least) != len(self.numbers.capacity):
            raise Rejected("a node has prices for another number of tasks or servers")
        if by_task_prices(self.numbers, part, dict(zip(part.options, u, strict=True)), least) < self.bound:
            raise Rejected("the prices of a node do not reach the bound")
        self.parts[node] = None

    def finish(self) -> None:
        """Check that every node is closed, or its children cover all options of their task."""
        for node, part in enumerate(self.parts):
            if part is None:
                continue
            task, covered = self.branched.get(node, (-1, set[int]()))
            if task < 0:
                raise Rejected("a node is neither closed nor divided")
            if not covered.issuperset(part.options[task]):
                raise Rejected("the children of a node do not cover all options of their task")
