"""`exact` beside general mixed-integer solvers: the same instances, the same gap, one thread each, in one run.

    python tests/benchmarks/exact_against_general.py --out results/bench [--instances 10] [--limit 6] [--sizes 100x10]

SCIP gets the Pyomo model with explicit loads and is charged its own solve time alone; so is HiGHS with outer
approximation and no fixing. cvxpy is charged the time that SCIP reports through it. A run that ends at the limit
without a proof counts as the limit, so that its ratio is a lower bound (no bound at all where `exact` is at the limit
too). Every finished measurement is stored; a second call goes on.

Writes ``times.csv`` (a row per instance), ``table.md`` (geometric-mean ratios with 95 % intervals) and ``times.png``.
"""

from __future__ import annotations

import argparse
import io
import warnings
import zlib
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

import offloadopt
from offloadopt.core import Instances, Status
from offloadopt.files import write_atomic
from offloadopt.folders import FolderFormat

SIZES = ("30x2", "100x5", "100x10", "300x10", "1000x10")
CORNERS = ("0.33", "1", "3", "hard")
GAP = 1e-6
GENERAL = ("SCIP", "HiGHS", "cvxpy-SCIP")
FOLDER = FolderFormat({"times.csv": "size,corner,instance,method,"}, (r"table\.md", r"times\.png"))


def make_instances(size: str, corner: str, count: int) -> tuple[Any, Instances]:
    """``heterogeneous`` at a load; the hard corner has identical servers (also in gain) and links 10 dB weaker."""
    users, servers = map(int, size.split("x"))
    load = 1.0 if corner == "hard" else float(corner)
    weaker = {"reference_gain_db": -40.0} if corner == "hard" else {}
    problem = offloadopt.problem("multi_server", "heterogeneous", users=users, servers=servers, load=load, **weaker)
    drawn = problem.sample(count, seed=zlib.crc32(f"{size} {corner}".encode()))
    if corner == "hard":
        drawn = Instances({**drawn, "gain": np.broadcast_to(drawn["gain"][..., :1], drawn["gain"].shape)})
    return problem, drawn


def solve(method: str, problem: Any, instance: Instances, limit: float) -> tuple[float, bool, float]:
    """Seconds, whether the gap was proved, and the cost found."""
    if method == "cvxpy-SCIP":
        return solve_by_cvxpy(problem, instance, limit)
    name = {"exact": "exact", "SCIP": "minlp", "HiGHS": "milp"}[method]
    # Half of a general solver's time is for the run that confirms its bound, which is not charged.
    given = limit if name == "exact" else 2.0 * limit
    solutions = offloadopt.solver(name, problem, relative_gap=GAP, time_limit_s=given).run(problem, instance)
    seconds = float(solutions.details.get("solver_seconds", solutions.seconds)[0])
    proved = solutions.status[0] == Status.OPTIMAL and (name == "exact" or seconds <= limit)
    return seconds, proved, float(solutions.objective[0])


def solve_by_cvxpy(problem: Any, instance: Instances, limit: float) -> tuple[float, bool, float]:
    """The same model in cvxpy's words, handed to SCIP as a mixed-integer cone programme."""
    import cvxpy as cp

    costs = problem.costs(instance)
    cost, load, capacity = costs.option_cost[0], costs.load[0] / 1e4, costs.capacity[0] / 1e8
    choice = cp.Variable(cost.shape, boolean=True)
    loads = cp.Variable(len(capacity))
    objective = cp.sum(cp.multiply(cost, choice)) + cp.sum(cp.multiply(1.0 / capacity, cp.square(loads)))
    model = cp.Problem(cp.Minimize(objective), [cp.sum(choice, axis=1) == 1, loads == load @ choice[:, 1:]])
    begin = perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cvxpy calls a gap limit that was reached inaccurate
            model.solve(solver=cp.SCIP, scip_params={"limits/time": limit, "limits/gap": GAP})
    except cp.error.SolverError:
        return limit, False, np.inf
    seconds = model.solver_stats.solve_time or perf_counter() - begin
    if choice.value is None:
        return limit, False, np.inf
    found = float(costs.cost(choice.value.argmax(axis=1)[None])[0])
    return float(seconds), model.solver_stats.extra_stats["model"].getGap() <= GAP, found


def measure(
    out: Path, sizes: list[str], corners: list[str], count: int, limit: float, methods: list[str]
) -> pd.DataFrame:
    """Every method on every instance, without what ``times.csv`` holds and no other limit cut short."""
    path = out / "times.csv"
    exact = {"dtype": {"corner": str}, "float_precision": "round_trip"}  # a second call writes the same digits
    rows = pd.read_csv(path, **exact).to_dict("records") if path.exists() else []
    rows = [row for row in rows if row["proved"] or row["seconds"] == limit]
    done = {(row["size"], row["corner"], row["instance"], row["method"]) for row in rows}
    warm, one = make_instances("30x2", "1", 1)
    for method in methods:
        solve(method, warm, one, limit)  # compile and import outside the measurement
    for size in sizes:
        for corner in corners:
            problem, instances = make_instances(size, corner, count)
            for number in range(count):
                for method in methods:
                    if (size, corner, number, method) in done:
                        continue
                    one = instances.take(slice(number, number + 1))
                    seconds, proved, cost = solve(method, problem, one, limit)
                    seconds = seconds if proved else limit
                    print(
                        f"{size} {corner} #{number} {method}: {seconds:.4g} s{'' if proved else ' (limit)'}", flush=True
                    )
                    rows.append(
                        {"size": size, "corner": corner, "instance": number, "method": method}
                        | {"seconds": max(seconds, 1e-6), "proved": proved, "cost": cost}
                    )
                    write_atomic(path, pd.DataFrame(rows).to_csv(index=False).encode())
    return pd.DataFrame(rows)


def table(frame: pd.DataFrame, limit: float) -> str:
    """Markdown: medians of exact and the geometric mean of every other method's ratio to it, with a t interval."""
    from scipy import stats

    lines = ["| size | load | exact, median s | proved | " + " | ".join(f"{m} / exact" for m in GENERAL) + " |"]
    lines.append("|---" * (4 + len(GENERAL)) + "|")
    for (size, corner), cell in frame.groupby(["size", "corner"], sort=False):
        wide = cell.pivot(index="instance", columns="method", values="seconds")
        proved = cell[cell.method == "exact"].proved.mean()
        entries = [str(size), str(corner), f"{wide['exact'].median():.3g}", f"{100 * proved:.0f} %"]
        for method in GENERAL:
            if method not in wide:
                entries.append("–")
                continue
            ratio = np.log((wide[method] / wide["exact"]).dropna())
            mean = ratio.mean()
            half = stats.t.ppf(0.975, len(ratio) - 1) * ratio.sem() if len(ratio) > 1 else np.nan
            low, high = np.exp(mean - half), np.exp(mean + half)
            late = int((~cell[cell.method == method].proved.astype(bool)).sum())
            note = f", {late} of {len(ratio)} at the limit" if late else ""
            bound = "≥ " if late and proved == 1 else ""
            entries.append(f"{bound}{_short(np.exp(mean))} ({_short(low)}–{_short(high)}{note})")
        lines.append("| " + " | ".join(entries) + " |")
    return "\n".join(lines) + f"\n\nLimit {limit:g} s; ratios are geometric means with 95 % intervals.\n"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def plot(frame: pd.DataFrame, limit: float, path: Path) -> None:
    """Median seconds against tasks x servers, log-log, a panel per corner."""
    import matplotlib.pyplot as plt

    corners = list(frame.corner.unique())
    cells = {size: int(np.prod([int(part) for part in size.split("x")])) for size in frame["size"].unique()}
    figure, axes = plt.subplots(1, len(corners), figsize=(3.4 * len(corners), 3.6), sharey=True, squeeze=False)
    names = ["exact", *GENERAL]
    styles = dict(
        zip(names, [("#0072B2", "o-"), ("#D55E00", "s--"), ("#009E73", "^-."), ("#CC79A7", "v:")], strict=True)
    )
    for ax, corner in zip(axes[0], corners, strict=True):
        for method in names:
            part = frame[(frame.corner == corner) & (frame.method == method)]
            if part.empty:
                continue
            median = part.groupby(part["size"].map(cells)).seconds.median()
            colour, style = styles[method]
            ax.plot(median.index, median, style, color=colour, label=method, markersize=5)
        ax.axhline(limit, color="grey", linewidth=0.8, linestyle=":")
        ax.set(xscale="log", yscale="log", xlabel="tasks x servers")
        ax.set_title(f"load {corner}" if corner != "hard" else "hard corner")
        ax.set_xticks(list(cells.values()), list(cells), rotation=45, fontsize=8)
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0][0].set_ylabel(f"median time to a proof of 1e-6, s\n(dotted: no proof in {limit:g} s)")
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    write_atomic(path, picture.getvalue())


def main() -> None:
    """Measure, then write table and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    parser.add_argument("--instances", type=int, default=10)
    parser.add_argument("--limit", type=float, default=6.0, help="seconds for one solve")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    parser.add_argument("--corners", nargs="+", default=list(CORNERS))
    parser.add_argument("--methods", nargs="+", default=["exact", *GENERAL])
    options = parser.parse_args()
    run(options.out, options.sizes, options.corners, options.instances, options.limit, options.methods)
    print((options.out / "table.md").read_text())


def run(out: Path, sizes: list[str], corners: list[str], count: int, limit: float, methods: list[str]) -> None:
    """Go on with the measurements in a folder, and write table and plot there."""
    with FOLDER.opened(out):
        frame = measure(out, sizes, corners, count, limit, methods)
        write_atomic(out / "table.md", table(frame, limit).encode())
        plot(frame, limit, out / "times.png")


if __name__ == "__main__":
    main()
