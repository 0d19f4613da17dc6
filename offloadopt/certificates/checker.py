"""The checker of certificates: reads a file and says what it proves. Nothing here trusts a solver.

A certificate is a file of JSON lines: a heading; for each instance its data and claims, and then the nodes of its proof
(see `assignment`); a last line with the digest of all others. Where the data are those of a problem that `PROBLEMS`
knows, its option costs are enclosed from its equations, and the paper's problem is what is proved; where they are a
table of option costs, it is that table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from math import isfinite, isqrt
from pathlib import Path
from typing import Any, BinaryIO

from offloadopt.certificates import multi_server
from offloadopt.certificates.assignment import Numbers, Rejected, Tree

VERSION = 1
PROBLEMS: dict[str, Any] = {"multi_server": multi_server}
"""Problems whose equations are enclosed here."""
SAME = Fraction(1, 10**9)
"""Relative difference of a claimed cost and the enclosed one that is due to rounding."""
MOST_BYTES = 1 << 28
"""Largest length of a line."""
MOST_BITS = 4096
"""Largest number of binary digits after the point."""
OptionTable = tuple[list[list[Fraction | None]], list[Fraction], list[Fraction]]
"""Lower bounds of option costs ``[tasks][servers + 1]``, squared loads ``[tasks]``, and servers' speeds."""


@dataclass(frozen=True)
class Verdict:
    """What a certificate proves of one instance.

    Attributes
    ----------
    instance : int
    of : str
        ``problem`` or ``table``.
    bound, cost : Fraction
        Proved lower bound, and upper bound of what the assignment costs.
    claimed_cost, claimed_bound : float
        What the solver said.
    nodes : int
        Number of nodes of the proof.
    """

    instance: int
    of: str
    bound: Fraction
    cost: Fraction
    claimed_cost: float
    claimed_bound: float
    nodes: int

    @property
    def gap(self) -> float:
        """The proved gap, relative to the bound's magnitude; infinite where the bound is 0."""
        return float((self.cost - self.bound) / abs(self.bound)) if self.bound else float("inf")

    @property
    def claimed_gap(self) -> float:
        """The gap that the solver claimed."""
        bound = abs(self.claimed_bound)
        return max(0.0, (self.claimed_cost - self.claimed_bound) / bound) if bound else float("inf")


def check(
    path: Path | str, instances: Mapping[str, Any] | None = None, scenario: Mapping[str, Any] | None = None
) -> Iterator[Verdict]:
    """Check a certificate; yield what it proves of each instance.

    Parameters
    ----------
    path : path
    instances : mapping, optional
        Arrays ``[count, ...]`` as nested lists; the certificate must be about these.
    scenario : mapping, optional
        Its fields as in JSON; the certificate must be about this one.

    Raises
    ------
    Rejected
        If the file proves less than it says.
    """
    lines = _lines(path)
    about = _next(lines)
    if about.get("offloadopt_certificate") != VERSION:
        raise Rejected("not a certificate of a version that this checker knows")
    for name, value in (scenario or {}).items():
        if name not in about["scenario"] or about["scenario"][name] != value:
            raise Rejected(f"its scenario has another {name}")
    record = _next(lines)
    for number in range(_whole(about, "instances")):
        if record.get("instance") != number:
            raise Rejected(f"instance {number} is missing")
        try:
            verdict, record = _check_instance(about, record, lines, instances)
        except Rejected as fault:
            raise Rejected(f"instance {number}: {fault}") from fault
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError, OverflowError) as fault:
            raise Rejected(f"instance {number}: malformed ({type(fault).__name__}: {fault})") from fault
        yield verdict
    if record:
        raise Rejected("there is more than the heading says")


def heading(path: Path | str) -> dict[str, Any]:
    """Read the first line: problem, scenario and number of instances."""
    with _open(path) as file:
        return _parsed(file.readline(MOST_BYTES))


def line(verdict: Verdict) -> str:
    """What a certificate proves of one instance, in one line."""
    what = "the problem's equations" if verdict.of == "problem" else "a table of option costs"
    return (
        f"instance {verdict.instance}: cost {float(verdict.cost):.9g}, proved bound {float(verdict.bound):.9g}, "
        f"gap proved {verdict.gap:.2g}, claimed {verdict.claimed_gap:.2g} ({verdict.nodes:,} nodes, from {what})"
    )


def _lines(path: Path | str) -> Iterator[dict[str, Any]]:
    """Read the records; the last one holds the digest of all bytes before it."""
    digest, before = sha256(), b""
    with _open(path) as file:
        for line in iter(lambda: file.readline(MOST_BYTES), b""):
            if before:
                digest.update(before)
                yield _parsed(before)
            before = line
    if _parsed(before or b"{}").get("sha256") != digest.hexdigest():
        raise Rejected("the digest in the last line is not that of the lines before it: damaged or cut off")


def _open(path: Path | str) -> BinaryIO:
    if Path(path).exists() and not Path(path).is_file():
        raise Rejected("not a regular file")
    return Path(path).open("rb")


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line, parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as fault:
        raise Rejected("a line is no JSON object of finite numbers") from fault
    if not isinstance(record, dict):
        raise Rejected("a line is no JSON object")
    return record


def _no_number(name: str) -> float:
    raise ValueError(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _next(lines: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return next(lines, {})


def _whole(record: Mapping[str, Any], name: str, least: int = 0) -> int:
    value = record[name]
    if type(value) is not int or not least <= value <= 2**40:
        raise Rejected(f"{name} is not a whole number of at least {least}")
    return value


def _check_instance(
    about: Mapping[str, Any], record: dict[str, Any], lines: Iterator[dict[str, Any]], instances: Any
) -> tuple[Verdict, dict[str, Any]]:
    """Check the proof of one instance; return what it proves, and the record after it."""
    bits = _whole(record, "load_bits"), _whole(record, "price_bits")
    if max(bits) > MOST_BITS:
        raise Rejected("more digits than this checker takes")
    data = record["data"]
    if instances is not None:
        _require_same(data, {name: array[record["instance"]] for name, array in instances.items()})
    table = option_table(about, data)
    numbers = Numbers.rounded(*table, *bits)
    upper = assignment_cost(about, data, table, record["assignment"], bits[0])
    claimed, bound = record["cost"], Fraction(record["bound"])
    if not (isfinite(claimed) and abs(upper - Fraction(claimed)) <= SAME * abs(upper)):
        raise Rejected(f"the assignment costs {float(upper):.9g} and not {claimed:.9g}")
    if bound > upper or Fraction(record["claimed_bound"]) > upper + SAME * abs(upper):
        raise Rejected("the bound exceeds the assignment's cost")
    tree = Tree.root(numbers, numbers.rounded_up(bound), record["prices"])
    while "node" in (following := _next(lines)):
        _check_node(tree, following)
    tree.finish()
    of = "problem" if about["problem"] in PROBLEMS else "table"
    return Verdict(record["instance"], of, bound, upper, claimed, record["claimed_bound"], len(tree.parts)), following


def _check_node(tree: Tree, record: Mapping[str, Any]) -> None:
    """Add a node, or close one, as a record says."""
    if "parent" in record:
        if _whole(record, "node") != len(tree.parts):
            raise Rejected("a node is missing")
        tree.branch(_whole(record, "parent"), _whole(record, "task"), record["options"])
    if "task_prices" in record:
        numbers = record["task_prices"], record["least"]
        if not all(type(value) is int for values in numbers for value in values):
            raise Rejected("prices of tasks are not whole numbers")
        tree.close(_whole(record, "node"), *numbers)


def option_table(about: Mapping[str, Any], data: Mapping[str, Any]) -> OptionTable:
    """Bound the option costs of an instance from below."""
    if about["problem"] in PROBLEMS:
        found: OptionTable = PROBLEMS[about["problem"]].table(about["scenario"], data)
        return found
    costs = [[None if cost is None else Fraction(cost) for cost in row] for row in data["option_cost"]]
    return costs, [Fraction(load) ** 2 for load in data["load"]], [Fraction(speed) for speed in data["capacity"]]


def assignment_cost(
    about: Mapping[str, Any], data: Mapping[str, Any], table: OptionTable, assignment: list[int], bits: int
) -> Fraction:
    """Upper bound of what an assignment costs with the best powers and CPU shares."""
    cost, squared_load, capacity = table
    if len(assignment) != len(cost) or not all(type(k) is int and 0 <= k <= len(capacity) for k in assignment):
        raise Rejected("the assignment is not one option for each task")
    if about["problem"] in PROBLEMS:
        chosen = PROBLEMS[about["problem"]].chosen_costs(about["scenario"], data, assignment)
    else:
        chosen = [row[k] for row, k in zip(cost, assignment, strict=True)]
    total, loads = Fraction(0), [Fraction(0)] * len(capacity)
    for k, own, squared in zip(assignment, chosen, squared_load, strict=True):
        if own is None:
            raise Rejected("the assignment takes an option that does not exist")
        total += own
        if k:
            loads[k - 1] += _root_above(squared, bits)
    return total + sum((load * load / speed for load, speed in zip(loads, capacity, strict=True)), Fraction(0))


def _root_above(square: Fraction, bits: int) -> Fraction:
    """Square root, rounded up to so many binary digits after the point."""
    return Fraction(isqrt((square.numerator << 2 * bits) // square.denominator) + 1, 1 << bits)


def _require_same(data: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for name, array in data.items():
        if name not in given or array != given[name]:
            raise Rejected(f"its {name} is not that of the instance given")
