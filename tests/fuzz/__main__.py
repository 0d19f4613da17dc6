"""``python -m fuzz --seconds 600 --seed 0``: try all classes for a while, shrink what fails, end with a table."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.classes import CLASSES, make
from fuzz.proofs import table_of_proofs
from fuzz.shrink import shrink
from fuzz.worker import Worker, warm_up

TURN_S = 5.0
"""Seconds that a class has at a time."""
MOST_SHOWN = 20_000
"""Characters of a command that are printed: a case of `proofs` is to be complete."""
SHRINK_S = 60.0
"""Most seconds that are spent on making one failure small."""


@dataclass
class Tally:
    """What a class has cost and found, and what its tries have counted."""

    tries: int = 0
    seconds: float = 0.0
    faults: int = 0
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Extent:
    """How much is tried: seconds of all classes, and the numbers of each class's first try and of that after its last.

    The same seed and numbers give the same tries, so that a long run can go on where another one ended.
    """

    seconds: float
    begin: int = 0
    end: float = math.inf


def fuzz(
    extent: Extent, seed: int, names: Sequence[str], report: Callable[[dict[str, Tally]], object]
) -> dict[str, Tally]:
    """Try classes in turn, the one that had the least time first, and print every new fault with its command.

    The tallies so far are reported after each turn.
    """
    tallies = {name: Tally() for name in names}
    seen: set[tuple[str, str]] = set()
    warm_up()
    end = time.monotonic() + extent.seconds
    worker = Worker()
    try:
        while time.monotonic() < end:
            left = [name for name in names if extent.begin + tallies[name].tries < extent.end]
            if not left:
                break
            name = min(left, key=lambda n: tallies[n].seconds)
            turn = Extent(min(TURN_S, end - time.monotonic()), extent.begin + tallies[name].tries, extent.end)
            _turn(name, tallies[name], turn, seed, worker, seen)
            report(tallies)
    except KeyboardInterrupt:
        print("interrupted: the table is that of the tries until now", flush=True)
    finally:
        worker.close()
    return tallies


def _turn(name: str, tally: Tally, turn: Extent, seed: int, worker: Worker, seen: set[tuple[str, str]]) -> None:
    """Run tries of a class for a while; faults that look like earlier ones are counted and not shown again."""
    begin, number = time.monotonic(), turn.begin - 1
    while time.monotonic() < begin + turn.seconds and number + 1 < turn.end:
        number += 1
        made = make(name, seed, number)
        fault = worker.run(made)
        tally.tries += 1
        tally.counts.update(worker.counts)
        if fault is None:
            continue
        tally.faults += 1
        kind = (name, " ".join(word for word in fault.split() if not any(sign.isdigit() for sign in word))[:60])
        if kind not in seen:
            seen.add(kind)
            last = time.monotonic() + SHRINK_S
            runs = None if made.check else lambda t, last=last: worker.run(t) if time.monotonic() < last else None
            small = shrink(made, fault, runs) if runs else made
            again = f"PYTHONPATH=tests python -m fuzz --only {name} --seed {seed} --number {number}"
            print(f"{name}: {fault}\n    {again}", flush=True)
            if made.check is None:
                print(f"    {small.command[:MOST_SHOWN]}", flush=True)
    tally.seconds += time.monotonic() - begin


def _one(name: str, seed: int, number: int) -> int:
    made = make(name, seed, number)
    if made.check is None:
        print(made.command)
    worker = Worker()
    fault = worker.run(made)
    worker.close()
    print(fault or "no fault")
    return int(fault is not None)


def table(tallies: dict[str, Tally], seconds: float, seed: int) -> str:
    """Tries, seconds and faults by class, as Markdown."""
    rows = [f"| {name} | {t.tries:,} | {t.seconds:.0f} | {t.faults} |" for name, t in tallies.items()]
    tries, faults = (sum(getattr(t, what) for t in tallies.values()) for what in ("tries", "faults"))
    head = ["| class | tries | seconds | faults |", "|---|---:|---:|---:|"]
    return "\n".join([*head, *rows, f"| all, seed {seed} | {tries:,} | {seconds:.0f} | {faults} |"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and write the table; 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Tries from seeds to break offloadopt.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, help="file for the table")
    parser.add_argument("--only", action="append", choices=sorted(CLASSES), help="a class; repeatable")
    parser.add_argument("--number", type=int, metavar="N", help="run try N of --only alone")
    parser.add_argument("--begin", type=int, default=0, metavar="N", help="number of each class's first try")
    parser.add_argument("--tries", type=int, metavar="N", help="tries of each class at most, within --seconds")
    given = parser.parse_args(arguments)
    names = given.only or list(CLASSES)
    if given.number is not None:
        return _one(names[0], given.seed, given.number)
    begin = time.monotonic()
    last = math.inf if given.tries is None else given.begin + given.tries

    def written(tallies: dict[str, Tally]) -> str:
        """The tables, also in the file for them, so that a run that is killed has left them."""
        text = table(tallies, time.monotonic() - begin, given.seed)
        if counts := sum((tally.counts for tally in tallies.values()), Counter()):
            text += f"\n\n{table_of_proofs(counts)}"
        if given.report is not None:
            given.report.write_text(f"{text}\n")
        return text

    tallies = fuzz(Extent(given.seconds, given.begin, last), given.seed, names, written)
    print(f"\n{written(tallies)}")
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
