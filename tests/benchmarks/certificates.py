"""Certificates of `exact` on multi_server: the gap that they prove, and seconds to write and to check them.

    python tests/benchmarks/certificates.py [--instances 5] [--limit 10]

Sizes and corners are those of `exact_against_general`. Prints a table as Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from exact_against_general import CORNERS, GAP, SIZES, make_instances

import offloadopt
from offloadopt.certificates.checker import check


def measure(size: str, corner: str, count: int, limit: float, folder: Path) -> tuple[float, ...]:
    """Proofs of the gap asked, largest proved gap, median and largest seconds of writing and of checking, kilobytes."""
    problem, instances = make_instances(size, corner, count)
    solutions = offloadopt.solver("exact", problem, relative_gap=GAP, time_limit_s=limit).run(problem, instances)
    gaps, writing, checking, sizes = [], [], [], []
    for row in range(count):
        one, path = solutions.take([row]), folder / "proof.jsonl"
        begin = time.process_time()
        offloadopt.certify(one, path)
        writing.append(time.process_time() - begin)
        begin = time.process_time()
        (verdict,) = check(path)
        checking.append(time.process_time() - begin)
        gaps.append(verdict.gap)
        sizes.append(path.stat().st_size / 1000)
    proved = np.sum(np.array(gaps) <= np.maximum(solutions.gap, GAP) * (1 + 1e-9))
    return (
        float(np.sum(solutions.gap <= GAP)), float(proved), max(gaps), float(np.median(writing)), max(writing),
        float(np.median(checking)), max(checking), float(np.mean(sizes)),
    )  # fmt: skip


def main() -> None:
    """Print a row for each size and corner."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=5)
    parser.add_argument("--limit", type=float, default=10.0)
    given = parser.parse_args()
    print("| size | corner | solved to 1e-6 | certified as claimed | largest proved gap | write, s | check, s | kB |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    with TemporaryDirectory() as folder:
        measure("30x2", "1", 1, given.limit, Path(folder))  # compile outside the measurement
        for size in SIZES:
            for corner in CORNERS:
                solved, proved, gap, write, most_write, read, most_read, kilobytes = measure(
                    size, corner, given.instances, given.limit, Path(folder)
                )
                print(
                    f"| {size} | {corner} | {solved:.0f} of {given.instances} | {proved:.0f} | {gap:.1e} | "
                    f"{write:.2f} (at most {most_write:.2f}) | {read:.2f} ({most_read:.2f}) | {kilobytes:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
