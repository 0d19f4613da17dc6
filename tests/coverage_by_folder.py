"""Lines and branches that the tests reach, folder by folder: `coverage json -q -o - | python coverage_by_folder.py`.

Ends with 1 where a folder that must be reached is below the share of branches that is asked for.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import PurePosixPath

ASKED_PERCENT = 92.0
FREE = ("learners", "offloadopt/reproduce", "offloadopt/testing", "offloadopt/traces")
"""Folders that are listed and not judged."""


def folder(path: str) -> str:
    """The folder that a file counts for: its room of the top level or of `offloadopt`."""
    parents = PurePosixPath(path).parts[:-1]
    return "/".join(parents[: 2 if parents[0] == "offloadopt" else 1])


def percent(counts: Counter[str], kind: str) -> float:
    """Share of the lines or branches that were reached, in percent; 100 where there are none."""
    return 100.0 * counts[f"covered_{kind}"] / counts[f"num_{kind}"] if counts[f"num_{kind}"] else 100.0


def main() -> int:
    folders: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for path, measured in json.load(sys.stdin)["files"].items():
        summary = measured["summary"]
        counts = {name: summary[name] for name in ("covered_lines", "num_branches", "covered_branches")}
        folders[folder(path)].update(counts, num_lines=summary["num_statements"])
    print(f"{'folder':<22} {'lines':>6} {'reached':>8} {'branches':>9} {'reached':>8}")
    short = []
    for name, counts in sorted(folders.items()):
        lines, branches = percent(counts, "lines"), percent(counts, "branches")
        print(f"{name:<22} {counts['num_lines']:>6} {lines:>7.1f}% {counts['num_branches']:>9} {branches:>7.1f}%")
        if branches < ASKED_PERCENT and name not in FREE:
            short.append(name)
    if short:
        print(f"fewer than {ASKED_PERCENT:g} % of the branches are reached in: {', '.join(short)}")
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
