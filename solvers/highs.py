"""HiGHS: one set-up for linear and mixed-integer programmes, and bounds that are proved by two runs.

A MIP solver's claim is not a proof. HiGHS 1.15.1 and 1.16.0 with presolve, at feasibility tolerances of 1e-8 or less,
called feasible models infeasible and gave bounds 12 % too high, with every seed; at 1e-7, and without presolve, the
same models were solved right. Therefore

* runs with presolve use tolerances of at least `PRESOLVE_TOLERANCE`;
* a bound counts as proved where two runs with different seeds, the second without presolve, both claim it
  (`CutSearch.prove`): the lower claim counts, less `SAFETY` tolerances;
* that nothing costs less than a cutoff (the incumbent's cost) is a claim like any other, and confirmed in the same way;
* a bound above the cutoff of a run that has a solution below the cutoff raises `BrokenProof`; so does a solution that
  costs less than its own bound. A bound that is not finite is no bound;
* values that are not finite are no solution. A solution is only a proposal: its decision is evaluated by the caller.

What cannot be caught: two runs that claim the same false bound, above the least cost and not above the incumbent's;
and a model that is no lower bound of the problem. Solutions of linear programmes (`Programme.solve`) give prices and
proposals; bounds at these prices are computed by the callers, in their own arithmetic.

HiGHS stops at a signal, whose handler is called once HiGHS has returned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offloadopt.clock import Deadline
from offloadopt.core import ROUNDING, FloatArray
from offloadopt.errors import BrokenProof
from offloadopt.interrupts import held
from offloadopt.progress import in_units, report

TIGHT, USUAL = 1e-9, 1e-6
"""Feasibility tolerances of MILPs: the first one without presolve, and the largest one after errors of HiGHS."""
PRESOLVE_TOLERANCE = 1e-7
"""Tolerance of runs with presolve."""
SAFETY = 100.0
"""Number of tolerances that are subtracted from bounds."""
ROUNDS = 200
"""Largest number of MILPs, each with cuts at the solution of the one before, in one search for a bound."""


@dataclass(frozen=True)
class Answer:
    """What HiGHS claims after a run, unchecked.

    Attributes
    ----------
    status : str
        Name of the model status: ``kOptimal``, ``kInfeasible``, ``kSolveError``, ...
    bound, objective : float
        Dual bound of a MILP; objective of the solution.
    values, row_dual : array [columns], [rows]
        Solution and dual prices of the rows; empty where there is none.
    """

    status: str
    bound: float
    objective: float
    values: FloatArray
    row_dual: FloatArray

    @property
    def found(self) -> bool:
        """Whether there is a solution."""
        return len(self.values) > 0 and bool(np.isfinite(self.values).all() and np.isfinite(self.objective))

    @property
    def priced(self) -> bool:
        """Whether there is a solution with dual prices."""
        return self.found and len(self.row_dual) > 0 and bool(np.isfinite(self.row_dual).all())


def call_highs(highs: Any, *, shown: bool = False) -> Answer:
    """Run HiGHS once, until it ends or a signal comes, and read its answer.

    Parameters
    ----------
    highs : highspy.Highs
    shown : bool
        Whether the dual bound of a MILP is reported as a claim (`offloadopt.progress`) while HiGHS runs.
    """
    with stopped_by_signals(highs, shown=shown):
        highs.run()
    return read_answer(highs)


@contextmanager
def stopped_by_signals(highs: Any, *, shown: bool = False) -> Iterator[None]:
    """Within this context a run of HiGHS ends soon after a signal, whose handler is called at the end."""
    import highspy

    kinds = [getattr(highspy.cb.HighsCallbackType, f"kCallback{kind}Interrupt") for kind in ("Mip", "Simplex", "Ipm")]
    with held() as signals:

        def stop(kind: Any, message: str, progress: Any, reply: Any, data: Any) -> None:
            reply.user_interrupt = bool(signals)
            if shown and kind == kinds[0]:
                report(claim=progress.mip_dual_bound)

        highs.setCallback(stop, None)
        for kind in kinds:
            highs.startCallback(kind)
        try:
            yield
        finally:
            for kind in kinds:
                highs.stopCallback(kind)
            highs.setCallback(None, None)


def read_answer(highs: Any) -> Answer:
    """Read what HiGHS claims after a run."""
    info, solution, feasible = highs.getInfo(), highs.getSolution(), 2  # of kSolutionStatus
    primal = solution.col_value if info.primal_solution_status == feasible else ()
    dual = solution.row_dual if info.dual_solution_status == feasible else ()
    return Answer(
        highs.getModelStatus().name,
        float(info.mip_dual_bound) if info.mip_node_count >= 0 else -np.inf,  # a MILP that was started has nodes
        float(info.objective_function_value),
        np.array(primal, dtype=np.float64),
        np.array(dual, dtype=np.float64),
    )


class Programme:
    """A linear or mixed-integer programme in HiGHS, minimised, without output and on one thread.

    Parameters
    ----------
    cost, low, high : arrays [columns]
        Objective and limits of the columns.
    integers : array, optional
        Integer columns.
    """

    def __init__(self, cost: ArrayLike, low: ArrayLike, high: ArrayLike, integers: ArrayLike = ()) -> None:
        import highspy

        self._highs = highspy.Highs()  # type: ignore[no-untyped-call]
        self.set_options(output_flag=False, threads=1)
        costs, whole = np.asarray(cost, dtype=np.float64), np.asarray(integers, dtype=np.int32)
        self._highs.addVars(len(costs), np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))
        self._highs.changeColsCost(len(costs), np.arange(len(costs), dtype=np.int32), costs)
        self._mip = len(whole) > 0
        if self._mip:
            self._highs.changeColsIntegrality(len(whole), whole, np.full(len(whole), highspy.HighsVarType.kInteger))
        self._rows: list[tuple[NDArray[Any], NDArray[Any], float, float]] = []

    def set_options(self, **options: bool | float | str) -> None:
        """Set options of HiGHS."""
        for name, value in options.items():
            self._highs.setOptionValue(name, value)

    def add_row(self, columns: ArrayLike, values: ArrayLike, low: float = -np.inf, high: float = np.inf) -> None:
        """Add the row ``low <= values @ solution[columns] <= high``, where ``values`` may be one number for all."""
        where = np.asarray(columns, dtype=np.int32)
        self._rows.append((where, np.broadcast_to(np.asarray(values, dtype=np.float64), where.shape), low, high))

    def start_from(self, values: ArrayLike) -> None:
        """Give the next run a solution ``[columns]`` to begin with; HiGHS ignores an infeasible one."""
        import highspy

        start = highspy.HighsSolution()
        start.col_value = np.asarray(values, dtype=np.float64)
        self._pass_rows()
        self._highs.setSolution(start)

    def forget(self) -> None:
        """Discard basis and solutions of earlier runs."""
        self._highs.clearSolver()

    def solve(self, deadline: Deadline | None = None, *, shown: bool = False) -> Answer:
        """Run HiGHS with the rows added so far until the deadline; ``shown`` as in `call_highs`."""
        self._pass_rows()
        if deadline is not None and np.isfinite(left_s := deadline.left_s):
            # A limit holds for one run of a MIP, but for all runs of a linear programme together.
            self.set_options(time_limit=left_s if self._mip else self._highs.getRunTime() + left_s)
        return call_highs(self._highs, shown=shown)

    def _pass_rows(self) -> None:
        """Hand the rows added since the last run to HiGHS."""
        if self._rows:
            columns, values, low, high = zip(*self._rows, strict=True)
            starts = np.cumsum([0, *(len(row) for row in columns[:-1])]).astype(np.int32)
            entries = np.concatenate(columns)
            self._highs.addRows(
                len(columns), np.array(low), np.array(high), len(entries), starts, entries, np.concatenate(values)
            )  # fmt: skip
            self._rows.clear()


def checked_bound(bound: float, cost: float) -> float:
    """Return a bound; raise `BrokenProof` where it exceeds the cost of a decision by more than rounding."""
    if bound > cost + ROUNDING * abs(cost):
        raise BrokenProof(f"bound {bound!r} above the cost {cost!r} of a decision")
    return bound


class CutSearch(ABC):
    """Search for a least cost that a MILP bounds from below; cuts make the MILP exact at the solutions found.

    Parameters
    ----------
    programme : Programme
        The MILP.
    bound : float
        Lower bound of every cost that the caller has proved.
    upper, allowance : float
        Cost of the incumbent, and absolute gap asked for; `refine` may change both.
    base, unit : float
        The cost is ``base + unit`` times the MILP's objective.

    Attributes
    ----------
    rounds : int
        Number of MILPs solved.
    claim : float
        Bound that the MILPs of the current seed claim.
    """

    presolve: ClassVar[bool] = True
    """Whether the first of the two runs uses presolve."""

    def __init__(
        self, programme: Programme, bound: float, upper: float, allowance: float, base: float = 0.0, unit: float = 1.0
    ):
        self.programme, self.bound, self.upper, self.allowance = programme, bound, upper, allowance
        self.base, self.unit = base, unit
        self.rounds, self.claim, self._known = 0, -np.inf, set[bytes]()

    @abstractmethod
    def refine(self, values: FloatArray) -> bool:
        """Evaluate the decision of a solution ``[columns]``, keep it if it is the best, and add cuts at it.

        Returns whether the MILP has changed.
        """

    def first_time(self, decision: NDArray[Any]) -> bool:
        """Whether this is the first call for a decision: its cuts are then to be added."""
        known = decision.tobytes() in self._known
        self._known.add(decision.tobytes())
        return not known

    def precision(self, tolerance: float) -> float:
        """Cost that is subtracted from bounds of runs at a tolerance."""
        return SAFETY * tolerance * self.unit

    def prove(self, deadline: Deadline) -> float:
        """Improve the incumbent, and return a lower bound of every cost; the first run takes half of the time at most.

        Raises
        ------
        BrokenProof
            If HiGHS claims a bound above the cost of a solution.
        """
        claims = list[float]()
        report(cost=self.upper, bound=self.bound)
        for seed in range(3):  # the third run is needed where HiGHS fails in one
            until = deadline if claims else deadline.part(0.5)
            claim = self._claim(seed, until)
            if claim > -np.inf:
                claims.append(claim)
            if len(claims) == 2 or -np.inf < claim <= self.bound:
                break
        proved = checked_bound(max(self.bound, min(claims)) if len(claims) == 2 else self.bound, self.upper)
        report(cost=self.upper, bound=proved)
        return proved

    def _claim(self, seed: int, deadline: Deadline) -> float:
        """Bound claimed by MILPs with one seed, with cuts until it meets the incumbent; -inf if there is none."""
        presolve = seed == 0 and self.presolve and self.allowance >= 2.0 * self.precision(PRESOLVE_TOLERANCE)
        self.programme.forget()
        self.programme.set_options(random_seed=seed, presolve="choose" if presolve else "off", mip_rel_gap=0.0)
        self.claim, tolerance = -np.inf, PRESOLVE_TOLERANCE if presolve else TIGHT
        for _ in range(ROUNDS):
            if deadline.passed:
                break
            margin = self.precision(tolerance)
            cutoff = (self.upper + margin - self.base) / self.unit
            self.programme.set_options(
                mip_feasibility_tolerance=tolerance, primal_feasibility_tolerance=tolerance,
                dual_feasibility_tolerance=tolerance, objective_bound=cutoff,
                mip_abs_gap=0.25 * self.allowance / self.unit,
            )  # fmt: skip
            with in_units(self.unit, self.base):
                answer = self.programme.solve(deadline, shown=True)
            self.rounds += 1
            if answer.status == "kSolveError":
                # HiGHS sometimes finds its own optimum infeasible by a rounding error (ERGO-Code/HiGHS issue 2782).
                if tolerance > 0.5 * USUAL:
                    break
                tolerance *= 10.0
                self.programme.forget()
                continue
            self.claim = max(self.claim, self._bound(answer, cutoff, margin))
            closed = self.upper - self.claim <= self.allowance
            changed = not closed and answer.found and self.refine(answer.values)
            report(cost=self.upper, claim=self.claim)
            if not changed or answer.status != "kOptimal":
                break
        return self.claim

    def _bound(self, answer: Answer, cutoff: float, margin: float) -> float:
        """Bound that an answer claims, less a margin; -inf if there is none."""
        claimed = np.inf if answer.status == "kInfeasible" else answer.bound
        if not np.isfinite(claimed) and answer.status != "kInfeasible":
            return -np.inf
        if answer.found and claimed > min(cutoff, answer.objective) + margin / self.unit and answer.objective <= cutoff:
            raise BrokenProof(
                f"HiGHS claims the bound {claimed!r} with a solution of objective {answer.objective!r} below the cutoff"
            )
        # Nothing costs less than the cutoff.
        return min(self.base + self.unit * claimed, self.upper + margin) - margin
