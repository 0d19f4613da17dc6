"""Certificates that were tampered with, their digest renewed: none may be accepted for more than what is true.

PYTHONPATH=tests python -m toys.tampered_certificates 10000
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import offloadopt
from offloadopt.certificates.assignment import Rejected
from offloadopt.certificates.checker import check
from offloadopt.solvers.assignment.branch_and_price import column_generation

Records = list[dict[str, Any]]
LEAST_RECORDS = 4
"""Heading, claims and at least three nodes."""


def certificates(folder: Path, number: int, users: int, servers: int) -> list[Records]:
    """Certificates with branches: column generation ends too early to close the root."""
    problem, found, seed = offloadopt.problem("multi_server", "heterogeneous", users=users, servers=servers), [], 0
    while len(found) < number:
        solutions = offloadopt.solve(problem, problem.sample(1, seed), "exact")
        with patch.object(column_generation, "ROUNDS", 2):
            offloadopt.certify(solutions, folder / "true.jsonl")
        records = read(folder / "true.jsonl")
        if len(records) > LEAST_RECORDS:
            found.append(records)
        seed += 1
    return found


def read(path: Path) -> Records:
    """The records without the digest."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:-1]]


def write(path: Path, records: Records) -> None:
    """Write records with the digest that belongs to them."""
    body = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    path.write_bytes(body + json.dumps({"sha256": sha256(body).hexdigest()}).encode() + b"\n")


def _bound_raised(rng: random.Random, records: Records) -> None:
    claims = records[1]
    claims["bound"] += (claims["cost"] - claims["bound"]) * rng.uniform(0.5, 3.0)


def _cost_changed(rng: random.Random, records: Records) -> None:
    records[1]["cost"] *= 1.0 + rng.choice((-1, 1)) * 10.0 ** rng.uniform(-8, -1)


def _another_option(rng: random.Random, records: Records) -> None:
    chosen = records[1]["assignment"]
    task = rng.randrange(len(chosen))
    chosen[task] = rng.choice([k for k in range(records[0]["scenario"]["servers"] + 1) if k != chosen[task]])


def _data_changed(rng: random.Random, records: Records) -> None:
    array = records[1]["data"][rng.choice(("task_bits", "task_cycles"))]
    array[rng.randrange(len(array))] *= 1.0 + rng.choice((-1, 1)) * 10.0 ** rng.uniform(-4, 0)


def _scenario_changed(rng: random.Random, records: Records) -> None:
    field = rng.choice(("bandwidth_hz", "power_max_w", "cpu_server_hz", "cpu_local_hz", "time_weight", "kappa"))
    records[0]["scenario"][field] *= rng.uniform(0.1, 0.9)


def _server_price_changed(rng: random.Random, records: Records) -> None:
    prices = records[1]["prices"]
    prices[rng.randrange(len(prices))] += rng.choice((-1, 1)) * rng.randrange(2**25, 2**31)


def _node(rng: random.Random, records: Records) -> dict[str, Any]:
    return rng.choice([record for record in records[2:] if "task_prices" in record])


def _task_price_changed(rng: random.Random, records: Records) -> None:
    prices = _node(rng, records)["task_prices"]
    task = rng.randrange(len(prices))
    prices[task] += int(rng.choice((-1, 1)) * prices[task] * 10.0 ** rng.uniform(-3, 0))


def _least_raised(rng: random.Random, records: Records) -> None:
    least = _node(rng, records)["least"]
    least[rng.randrange(len(least))] += abs(least[0]) // rng.randrange(2, 1000)


def _least_lowered(rng: random.Random, records: Records) -> None:
    least = _node(rng, records)["least"]
    least[rng.randrange(len(least))] -= abs(least[0]) // rng.randrange(2, 1000)


def _node_dropped(rng: random.Random, records: Records) -> None:
    del records[rng.randrange(2, len(records))]


def _option_dropped(rng: random.Random, records: Records) -> None:
    branches = [record for record in records[2:] if record.get("options")]
    if not branches:
        return _node_dropped(rng, records)
    options = rng.choice(branches)["options"]
    del options[rng.randrange(len(options))]
    return None


def _cut_off(rng: random.Random, records: Records) -> None:
    del records[rng.randrange(2, len(records)) :]


def _value_spoiled(rng: random.Random, records: Records) -> None:
    record = rng.choice(records[1:])
    record[rng.choice(list(record))] = rng.choice((None, -1, 2**70, "x", [], {}, 0.5, True))


TAMPERINGS: tuple[Callable[[random.Random, Records], None], ...] = (
    _bound_raised, _cost_changed, _another_option, _data_changed, _scenario_changed, _server_price_changed,
    _task_price_changed, _least_raised, _least_lowered, _node_dropped, _option_dropped, _cut_off, _value_spoiled,
)  # fmt: skip


def outcome(path: Path, records: Records, rng: random.Random) -> tuple[str, str]:
    """Tamper with a copy; return the kind, and ``rejected``, ``same`` if it proves just the same, or ``accepted``."""
    kind = rng.choice(TAMPERINGS)
    tampered: Records = json.loads(json.dumps(records))
    kind(rng, tampered)
    write(path, tampered)
    before = records[1]
    try:
        (verdict,) = check(path, {name: [array] for name, array in before["data"].items()}, records[0]["scenario"])
    except Rejected:
        return kind.__name__, "rejected"
    same = float(verdict.bound) <= before["bound"] and verdict.claimed_cost == before["cost"]
    return kind.__name__, "same" if same else "accepted"


def main(number: int) -> None:
    """Count outcomes by kind."""
    rng, counts = random.Random(0), Counter[tuple[str, str]]()
    with TemporaryDirectory() as folder:
        files = certificates(Path(folder), 8, users=24, servers=4)
        for _ in range(number):
            counts[outcome(Path(folder) / "tampered.jsonl", rng.choice(files), rng)] += 1
    for (kind, result), count in sorted(counts.items()):
        print(f"{kind.strip('_').replace('_', ' '):24} {result:10} {count:,}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
