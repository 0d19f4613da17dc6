"""Every `exact` beside SCIP and HiGHS on the same problem's own mathematical model, in one run, one thread each.

    python tests/benchmarks/every_exact_against_general.py --out results/bench [--limit 20] [--only battery_d2d small]

SCIP gets the nonlinear model (`minlp`), HiGHS the linear one with tangents or cuts (`milp`); both are charged the time
in the solver alone, without that of the second run that confirms a bound. A run that has not proved the gap within the
limit counts as the limit, so that its ratio is a lower bound. The small sizes are solved on 30 instances, and the costs
and bounds of all three are compared: the script fails where two proved costs differ by more than 1e-6, or where a bound
lies above another's cost. Every finished measurement is stored; a second call goes on.

Writes ``every_times.csv`` (a row per instance and method) and ``every_table.md`` (geometric means of the ratios).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import offloadopt
from offloadopt.core import Instances
from offloadopt.files import write_atomic
from offloadopt.folders import folder_lock, make_folder

GAP, WITH_MARGIN = 1e-6, 3e-6
"""The gap asked for, and the one that counts as proved: general solvers' bounds pay for their tolerances on top."""
AGREEMENT = 1e-6
GENERAL = {"SCIP": "minlp", "HiGHS": "milp"}
FEW_MODES = {
    "mobile_hz": (1.8e9, 0.8e9), "mobile_v": (1.2, 0.9), "edge_hz": (2.6e9, 1.0e9), "edge_v": (1.3, 1.05),
}  # fmt: skip
SITES = ((200.0, 200.0), (100.0, 100.0), (300.0, 100.0))
FAMILIES: dict[str, dict[str, tuple[int, dict[str, Any]]]] = {
    "multi_server": {
        "small": (30, {"preset": "heterogeneous", "users": 8, "servers": 2}),
        "larger": (3, {"preset": "heterogeneous", "users": 30, "servers": 3, "load": 3.0}),
    },
    "partial_mobile": {
        "small": (30, {"users": 2, "horizon": 1, "sites_m": SITES[:1]}),
        "larger": (3, {"users": 6, "horizon": 1, "sites_m": SITES}),
    },
    "carbon_mimo": {
        "small": (30, {"users": 2, "antennas": 3, "horizon": 4, "buffer_bits": 8e3}),
        "larger": (3, {"users": 5, "horizon": 30}),
    },
    "battery_d2d": {
        "small": (30, {"users": 2, "servers": 1, "horizon": 2, "room_m": 40.0, **FEW_MODES}),
        "larger": (3, {"users": 3, "servers": 1, "horizon": 3}),
    },
    "twin_inference": {
        "small": (30, {"users": 2, "servers": 1, "tasks_max": 1, "horizon": 2, "battery_j": 0.5}),
        "larger": (3, {"users": 4, "servers": 3, "tasks_max": 3, "horizon": 1}),
    },
}
"""By problem and size: the number of instances, and preset and fields of the scenario."""


def solve(method: str, problem: Any, instance: Instances, limit: float) -> dict[str, Any]:
    """Seconds, whether the gap was proved within them, cost and bound."""
    name = GENERAL.get(method, "exact")
    # Half of the time is for the run that confirms the bound.
    given = 2.0 * limit if method in GENERAL else limit
    solutions = offloadopt.solver(name, problem, relative_gap=GAP, time_limit_s=given).run(problem, instance)
    seconds = float(solutions.details.get("solver_seconds", solutions.seconds)[0])
    cost, bound = float(solutions.objective[0]), float(solutions.bound[0])
    proved = seconds <= limit and cost - bound <= WITH_MARGIN * abs(bound)
    return {"seconds": max(seconds if proved else limit, 1e-6), "proved": proved, "cost": cost, "bound": bound}


def measure(out: Path, limit: float, only: list[str]) -> pd.DataFrame:
    """Every method on every instance, without what the CSV holds."""
    path = out / "every_times.csv"
    rows = pd.read_csv(path, float_precision="round_trip").to_dict("records") if path.exists() else []
    done = {(row["problem"], row["size"], row["instance"], row["method"]) for row in rows}
    for name, sizes in FAMILIES.items():
        for size, (count, fields) in sizes.items():
            if only and not {name, size} >= set(only):
                continue
            problem = offloadopt.problem(name, **fields)
            instances = problem.sample(count, seed=17)
            for method in ("exact", *GENERAL):
                if (name, size, count - 1, method) not in done:
                    solve(method, problem, problem.sample(1, seed=1), limit)  # compile and import
                for number in range(count):
                    if (name, size, number, method) in done:
                        continue
                    found = solve(method, problem, instances.take([number]), limit)
                    note = "" if found["proved"] else " (limit)"
                    print(f"{name} {size} #{number} {method}: {found['seconds']:.4g} s{note}", flush=True)
                    rows.append({"problem": name, "size": size, "instance": number, "method": method, **found})
                    write_atomic(path, pd.DataFrame(rows).to_csv(index=False).encode())
    return pd.DataFrame(rows)


def faults(frame: pd.DataFrame) -> list[str]:
    """Instances on which two proved costs differ, or a bound lies above a cost."""
    found = []
    for (name, size, number), cell in frame.groupby(["problem", "size", "instance"]):
        costs = cell[cell.proved].cost
        if len(costs) and costs.max() - costs.min() > AGREEMENT * abs(costs.min()):
            found.append(f"{name} {size} #{number}: proved costs {costs.min()!r} and {costs.max()!r}")
        if cell.bound.max() > cell.cost.min() + 1e-9 * abs(cell.cost.min()):
            found.append(f"{name} {size} #{number}: bound {cell.bound.max()!r} above the cost {cell.cost.min()!r}")
    return found


def table(frame: pd.DataFrame, limit: float) -> str:
    """Markdown: median of `exact`, and geometric means of the others' ratios to it, time-outs counted at the limit."""
    lines = [
        "| problem | size | instances | exact, median s | proved | SCIP / exact | HiGHS / exact | proved costs agree |"
    ]
    lines.append("|---" * 8 + "|")
    for (name, size), cell in frame.groupby(["problem", "size"], sort=False):
        wide = cell.pivot(index="instance", columns="method", values="seconds")
        exact = cell[cell.method == "exact"]
        entries = [name, size, str(len(exact)), f"{wide['exact'].median():.2g}", f"{100 * exact.proved.mean():.0f} %"]
        for method in GENERAL:
            if method not in wide:
                entries.append("-")
                continue
            ratio = float(np.exp(np.log(wide[method] / wide["exact"]).mean()))
            late = int((~cell[cell.method == method].proved.astype(bool)).sum())
            bound = "at least " if late and exact.proved.all() else ""
            note = f" ({late} of {len(exact)} at the limit)" if late else ""
            entries.append(f"{bound}{ratio:,.3g}{note}")
        cost, proved = (cell.pivot(index="instance", columns="method", values=each) for each in ("cost", "proved"))
        cost = cost.where(proved.astype(bool)).dropna(thresh=2)  # where two or three have proved their costs
        apart = (cost.max(axis=1) - cost.min(axis=1)) / cost.min(axis=1).abs().clip(lower=1e-12)
        entries.append(f"{int((apart <= AGREEMENT).sum())} of {len(apart)}")
        lines.append("| " + " | ".join(entries) + " |")
    return "\n".join(lines) + f"\n\nLimit {limit:g} s, gap {GAP:g}; ratios are geometric means.\n"


def main() -> None:
    """Measure, check the agreement, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one solve")
    parser.add_argument("--only", nargs="+", default=[], help="a problem, a size, or both")
    options = parser.parse_args()
    with folder_lock(make_folder(options.out)):
        frame = measure(options.out, options.limit, options.only)
        write_atomic(options.out / "every_table.md", table(frame, options.limit).encode())
    print((options.out / "every_table.md").read_text())
    if found := faults(frame):
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
