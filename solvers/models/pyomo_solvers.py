"""Solvers of Pyomo models: HiGHS and SCIP directly, with bounds of their own, and any other that Pyomo knows.

HiGHS gets the model's matrices from Pyomo's compiler of the standard form, SCIP gets an ``.nl`` file. Both start from
the variables' values, end at the deadline and after a signal, and their tolerance is set to 1e-9.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from offloadopt.clock import Deadline, clock
from offloadopt.errors import UnknownName, Unsupported, nearest
from offloadopt.interrupts import interrupted
from offloadopt.progress import report
from offloadopt.solvers.highs import TIGHT, USUAL, Programme


@dataclass(frozen=True)
class SolveResult:
    """Result of one call of a solver.

    Attributes
    ----------
    found : bool
        Whether a solution was found; the model's variables then hold it.
    bound : float
        The solver's own dual bound in the model's units, -inf if it is unknown.
    tolerance : float
        Feasibility and optimality tolerance of the run.
    seconds : float
        Time in the solver, without building or translating the model.
    """

    found: bool
    bound: float
    tolerance: float
    seconds: float


NOTHING = SolveResult(False, -np.inf, USUAL, 0.0)
"""Result where the time is over before the solver has the model."""
SolveModel = Callable[[Any, float, Deadline], SolveResult]
"""Function that solves a Pyomo model, given the relative gap and the deadline."""


def solver_named(name: str) -> SolveModel:
    """Return the solver of a Pyomo name, without output and on one thread.

    ``highs`` and ``scip`` are installed with offloadopt.

    Raises
    ------
    UnknownName
        If the solver is unknown to Pyomo or not installed.
    """
    import pyomo.environ  # noqa: F401 - registers Pyomo's solvers

    if name in ("highs", "appsi_highs"):
        return _Highs(name)
    if name in ("scip", "scip_direct", "scip_persistent"):
        return _Scip(name)

    from pyomo.contrib.solver.common.factory import SolverFactory as Modern
    from pyomo.opt import SolverFactory as Classic

    if name in Modern and Modern(name).available():
        return _Modern(name)
    if name in Classic and Classic(name).available(exception_flag=False):
        return _Classic(name)
    fault = "is not installed" if name in Classic or name in Modern else "is no solver of Pyomo"
    raise UnknownName(f"pyomo_solver = {name!r} {fault}; {nearest(name, installed_solvers())}")


def installed_solvers() -> list[str]:
    """Pyomo names of the installed solvers that work without another solver."""
    from pyomo.contrib.solver.common.factory import SolverFactory as Modern
    from pyomo.opt import SolverFactory as Classic
    from pyomo.opt.base.solvers import OptSolver

    found = {"highs", "scip"} | {name for name in Modern if Modern(name).available()}
    for name in Classic:
        # These are interfaces to other solvers.
        if not name.startswith(("_", "asl", "mpec", "py")):
            solver = Classic(name)
            if isinstance(solver, OptSolver) and solver.available(exception_flag=False):
                found.add(name)
    return sorted(found)


@contextmanager
def _errors_in_one_line(name: str) -> Iterator[None]:
    """Convert any exception of an external solver into an `Unsupported` of one line that names the solver."""
    try:
        yield
    except Exception as error:
        if "KeyboardInterrupt" in str(error):  # raised while Pyomo was restoring the output streams
            raise KeyboardInterrupt from error
        reason = (str(error) or repr(error)).strip("'\"\n ").splitlines()[0]
        raise Unsupported(f"pyomo_solver = {name!r} cannot solve this model: {reason}") from error


def _finite_or_minus_inf(bound: float | None) -> float:
    """Convert a missing or infinite bound to -inf."""
    return float(bound) if bound is not None and np.isfinite(bound) else -np.inf


def _without_variables(model: Any) -> SolveResult | None:
    """The result of a model of constants, as of an instance without tasks; None for any other."""
    from pyomo.environ import Objective, Var, value

    if any(not variable.fixed for variable in model.component_data_objects(Var, active=True)):
        return None
    return SolveResult(True, float(value(next(model.component_data_objects(Objective, active=True)))), 0.0, 0.0)


# ------------------------------------------------------------------------------------------------------------- HiGHS


class _Highs:
    """HiGHS on the model's matrices, with a warm start from the variables' values; two runs prove a bound."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, model: Any, relative_gap: float, deadline: Deadline) -> SolveResult:
        if (constant := _without_variables(model)) is not None:
            return constant
        translated = list[tuple[Programme, list[Any], float, bool]]()
        with _errors_in_one_line(self._name), deadline.enforced():
            translated.append(_translated(model))
        if not translated or deadline.passed:
            return NOTHING
        programme, columns, offset, linear = translated[0]
        seconds, start = 0.0, [column.value for column in columns]
        # About one small MIP in a hundred ends in a solve error, because HiGHS finds its optimum infeasible by slightly
        # more than the tolerance (ERGO-Code/HiGHS issue 2782). Another tolerance then succeeds.
        for tolerance in (TIGHT, 10 * TIGHT, 100 * TIGHT, USUAL):
            programme.set_options(
                presolve="off",  # with tolerances of 1e-8 and less it has cut off optima
                random_seed=0,
                mip_rel_gap=relative_gap,
                mip_abs_gap=0.0,
                mip_feasibility_tolerance=tolerance,
                primal_feasibility_tolerance=tolerance,
                dual_feasibility_tolerance=tolerance,
            )
            if None not in start:
                programme.start_from(start)
            begin = clock()
            first = programme.solve(deadline, shown=True)
            seconds += clock() - begin
            if first.status != "kSolveError":
                break
        if first.found:
            for column, value in zip(columns, first.values, strict=True):
                column.set_value(float(value), skip_validation=True)
        if linear:  # a linear programme has no bound but that of its optimal dual solution
            bound = first.objective if first.status == "kOptimal" and first.priced else -np.inf
            return SolveResult(first.found, _finite_or_minus_inf(bound + offset), tolerance, seconds)
        bound = _finite_or_minus_inf(first.bound)
        if bound > -np.inf:  # the same model with another seed; no bound where no time is left
            programme.forget()
            programme.set_options(random_seed=1)
            bound = min(bound, _finite_or_minus_inf(programme.solve(deadline).bound))
        return SolveResult(first.found, bound + offset, tolerance, seconds)


def _translated(model: Any) -> tuple[Programme, list[Any], float, bool]:
    """The model as a programme of HiGHS, its columns' variables, the objective's constant, and whether it is an LP."""
    from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

    form = LinearStandardFormCompiler().write(model, mixed_form=True)
    columns, matrix = form.columns, form.A.tocsr()
    infinite = [(-np.inf if v.lb is None else v.lb, np.inf if v.ub is None else v.ub) for v in columns]
    low, high = np.array(infinite, dtype=np.float64).reshape(-1, 2).T
    integers = [number for number, column in enumerate(columns) if column.is_integer() or column.is_binary()]
    programme = Programme(form.c.toarray()[0], low, high, integers)
    for row, (entry, right) in enumerate(zip(form.rows, form.rhs, strict=True)):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        # The bound's type: -1 for at least, 1 for at most, 0 for equal.
        least, most = (right if entry.bound_type <= 0 else -np.inf), (right if entry.bound_type >= 0 else np.inf)
        programme.add_row(matrix.indices[part], matrix.data[part], float(least), float(most))
    return programme, columns, float(form.c_offset[0]), not integers


# -------------------------------------------------------------------------------------------------------------- SCIP


def _stop_scip() -> Any:
    """Event handler of SCIP that ends a search after a signal: SCIP itself knows only Ctrl-C."""
    from pyscipopt import SCIP_EVENTTYPE, Eventhdlr  # type: ignore[attr-defined]

    events = SCIP_EVENTTYPE.NODEFOCUSED | SCIP_EVENTTYPE.LPEVENT | SCIP_EVENTTYPE.PRESOLVEROUND

    class Stop(Eventhdlr):
        def eventinit(self) -> None:
            self.model.catchEvent(events, self)

        def eventexec(self, event: Any) -> None:
            if interrupted():
                self.model.interruptSolve()
            claim = self.model.getDualbound()
            report(claim=claim if abs(claim) < self.model.infinity() else -np.inf)

    return Stop()


class _Scip:
    """SCIP on the model's ``.nl`` file, with a warm start from the variables' values; two runs prove a bound.

    With tight tolerances SCIP's presolve has given a fixed variable a cost of 1e8, and on a badly scaled model a bound
    2 % too high. The second run is without it, and has another seed.
    """

    options: ClassVar[dict[str, Any]] = {
        "numerics/feastol": TIGHT,
        "numerics/dualfeastol": TIGHT,
        "timing/clocktype": 2,  # wall clock
        "lp/threads": 1,
        "constraints/nonlinear/tightenlpfeastol": False,  # SoPlex would say on stderr that it cannot
        "misc/catchctrlc": False,
    }
    second: ClassVar[dict[str, Any]] = {"presolving/maxrounds": 0, "randomization/randomseedshift": 1}

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, model: Any, relative_gap: float, deadline: Deadline) -> SolveResult:
        if (constant := _without_variables(model)) is not None:
            return constant
        with tempfile.TemporaryDirectory() as folder, _errors_in_one_line(self._name):
            file, columns = Path(folder) / "model.nl", list[Any]()
            with deadline.enforced():
                columns += _write_nl(model, file)
            if not columns or deadline.passed:
                return NOTHING
            options = {**self.options, "limits/gap": relative_gap}
            found, bound, seconds = self._run(file, columns, options, deadline.part(0.5))
            again = (False, -np.inf, 0.0)
            if not deadline.passed:
                again = self._run(file, columns, {**options, **self.second}, deadline)
        return SolveResult(found or again[0], min(bound, again[1]), TIGHT, seconds)

    def _run(
        self, file: Path, columns: list[Any], options: dict[str, Any], deadline: Deadline
    ) -> tuple[bool, float, float]:
        """Run SCIP: whether it found a solution, which the columns then hold, its bound, and its seconds."""
        scip, variables = self._read(file, columns)
        scip.setParams(options)
        if np.isfinite(deadline.left_s):
            scip.setParam("limits/time", max(deadline.left_s, 1e-3))
        scip.optimize()
        found, bound = scip.getNSols() > 0, float(scip.getDualbound())
        bound = -np.inf if scip.isInfinity(abs(bound)) else bound
        if found:
            for variable, column in variables:
                column.set_value(scip.getVal(variable), skip_validation=True)
            cost = float(scip.getObjVal())
            if bound > cost + TIGHT * max(1.0, abs(cost)):
                bound = -np.inf  # above the cost of the solver's own solution: no bound
        return found, bound, float(scip.getSolvingTime())

    @staticmethod
    def _read(file: Path, columns: list[Any]) -> tuple[Any, list[tuple[Any, Any]]]:
        """SCIP with the model and its start, and pairs of SCIP's and Pyomo's variables."""
        import pyscipopt

        scip = pyscipopt.Model()
        scip.hideOutput()
        scip.includeEventhdlr(_stop_scip(), "signals", "ends the search after a signal")
        scip.readProblem(str(file))
        names = [(variable, re.fullmatch(r"[xbi](\d+)", variable.name)) for variable in scip.getVars()]
        variables = [(variable, columns[int(number[1])]) for variable, number in names if number]
        known = [(variable, column.value) for variable, column in variables if column.value is not None]
        start = scip.createSol() if len(known) == len(names) else scip.createPartialSol()
        for variable, value in known:
            scip.setSolVal(start, variable, value)
        scip.addSol(start)
        return scip, variables


def _write_nl(model: Any, file: Path) -> list[Any]:
    """Write the model; the variables in the order of the file, where number k has the name ``xk``, ``bk`` or ``ik``."""
    from pyomo.repn.plugins.nl_writer import NLWriter

    with file.open("w") as stream:
        written = NLWriter().write(model, stream, linear_presolve=False, scale_model=False)
    return list(written.variables)


# ----------------------------------------------------------------------------------------------------- other solvers


class _Modern:
    """A solver of ``pyomo.contrib.solver``, whose results contain the solver's own dual bound."""

    def __init__(self, name: str) -> None:
        from pyomo.contrib.solver.common.factory import SolverFactory

        self._name, self._solver = name, SolverFactory(name)

    def __call__(self, model: Any, relative_gap: float, deadline: Deadline) -> SolveResult:
        from pyomo.environ import Objective, value

        left_s = None if np.isinf(deadline.left_s) else max(deadline.left_s, 1e-3)
        start = clock()
        with _errors_in_one_line(self._name):
            results = self._solver.solve(
                model,
                load_solutions=False,
                raise_exception_on_nonoptimal_result=False,
                threads=1,
                rel_gap=relative_gap,
                time_limit=left_s,
            )
        seconds = clock() - start
        found, bound = results.incumbent_objective is not None, _finite_or_minus_inf(results.objective_bound)
        if found:
            results.solution_loader.load_vars()
            cost = float(value(next(model.component_data_objects(Objective, active=True))))
            if bound > cost + USUAL * max(1.0, abs(cost)):
                bound = -np.inf  # above the cost of the solver's own solution: no bound
        return SolveResult(found, bound, USUAL, seconds)


class _Classic:
    """Any other solver by its Pyomo name: its bound as reported by Pyomo is not used, and no gap is set."""

    def __init__(self, name: str) -> None:
        from pyomo.opt import SolverFactory

        self._name, self._solver = name, SolverFactory(name)

    def __call__(self, model: Any, relative_gap: float, deadline: Deadline) -> SolveResult:
        limit = {} if np.isinf(deadline.left_s) else {"timelimit": max(deadline.left_s, 1e-3)}
        begin = clock()
        with _errors_in_one_line(self._name):
            results = self._solver.solve(model, load_solutions=False, **limit)
        seconds = clock() - begin
        found = len(results.solution) > 0
        if found:
            model.solutions.load_from(results)
        return SolveResult(found, -np.inf, USUAL, seconds)
