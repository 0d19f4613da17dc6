"""Solvers `milp` and `minlp`: the Pyomo model of a problem, solved by HiGHS, SCIP or another installed Pyomo solver.

They are general and slow, for verification: the model can be checked against the paper, and a general solver proves the
optimum. They serve every problem with a model in the group ``offloadopt.models``. `minlp` solves the convex
mixed-integer model. `milp` solves its linearisation, a lower bound, adds tangents at the solution and solves again,
until the bound meets the cost of the best solution.

*Bound.* The bound is the dual bound of the solver itself, not the one that Pyomo derives, less a margin for the
solver's tolerances. An error of one tolerance in every row and every reduced cost changes a bound by at most the
tolerance times the sum of all variables' ranges and rows' multipliers; `safe_bound` subtracts twice that. The tolerance
of HiGHS and SCIP is set to 1e-9, so that the margin is about 1e-7 of the cost: a relative gap of 0 cannot be proved,
and the default gap is 1e-6. A solver whose own bound cannot be read proves nothing: its decisions are `FEASIBLE`.

*Decisions.* The solver determines the discrete decisions; the problem allocates the continuous ones. Every search
starts from the initial decisions of the model (all local for `multi_server`, always feasible), which are returned if
the time limit leaves nothing better.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from pydantic import Field

from offloadopt import registry
from offloadopt.clock import Deadline, clock
from offloadopt.core import Decisions, Instances, Observation, Problem
from offloadopt.errors import InvalidInput, UnknownName, Unsupported, nearest
from offloadopt.files import write_atomic
from offloadopt.interrupts import interrupted
from offloadopt.progress import in_units, report
from offloadopt.quantities import Factor
from offloadopt.solvers import highs
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.solvers.highs import TIGHT, USUAL
from offloadopt.structures.assignment import AssignmentProblem


class MathematicalModel(Protocol):
    """One instance as a Pyomo model: what a builder of the group ``offloadopt.models`` returns.

    The builder is called as ``builder(problem, instance, linear=...)``. The linear form is a MILP whose optimum is a
    lower bound; `add_cuts` makes it exact at given decisions.
    """

    pyomo: Any
    """The ``ConcreteModel``, with one objective, which is minimised."""
    cost_unit: float
    """Cost of one unit of that objective."""

    @property
    def magnitude(self) -> float:
        """Sum of all variables' ranges and rows' multipliers, in the model's units."""
        ...

    def initial_decisions(self) -> Decisions:
        """Feasible decisions that need no solver."""
        ...

    def decisions(self) -> Decisions:
        """Decisions of the variables' values, with optimal continuous decisions."""
        ...

    def warm_start(self, decisions: Decisions) -> None:
        """Set the variables to the values of given decisions."""
        ...

    def add_cuts(self, decisions: Decisions) -> bool:
        """Make the linear form exact at given decisions; return false where it already was."""
        ...


Builder = Callable[..., MathematicalModel]


# ------------------------------------------------------------------------------------------------ the two methods


def _builder(problem: Problem[Any]) -> Builder:
    """The builder of the problem's models; Pyomo would print on stdout that one was not finished."""
    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    builder: Builder = registry.get("models", problem.name)
    return builder


class _ModelSolver(InstanceSolver):
    """Base class of `milp` and `minlp`: solves one model per instance."""

    # Any problem; `require` checks that it has a model.
    serves: ClassVar[type[Problem[Any]]] = Problem  # type: ignore[type-abstract]
    proves: ClassVar[bool] = True
    linear: ClassVar[bool]

    relative_gap: Factor = Field(1e-6, ge=0, description="stop once cost and bound are this close, relative to bound")
    pyomo_solver: str

    def require(self, problem: Problem[Any]) -> None:
        """Raise `Unsupported` for a problem without a mathematical model."""
        modelled = registry.names("models")
        if problem.name not in modelled:
            raise Unsupported(
                f"solver {self.name!r} does not serve problem {problem.name!r}; "
                f"it needs a mathematical model, which exists for: {', '.join(modelled)}"
            )

    def searches(self, problem: Problem[Any], instances: Instances, seed: int) -> _Searches:
        """Build and solve one model per instance; ``details["solver_seconds"]`` is the time in the solver alone."""
        return _Searches(self, problem, instances)


class _Searches:
    """The searches of one call; decisions of instances that were not searched are those from which searches start."""

    def __init__(self, solver: _ModelSolver, problem: Problem[Any], instances: Instances) -> None:
        self.solver, self.problem, self.instances = solver, problem, instances
        self.build = _builder(problem)
        self.solve = solver_named(solver.pyomo_solver)
        self.decisions: list[Decisions] = []
        self.bound, self.seconds = np.full(instances.count, -np.inf), np.zeros(instances.count)

    def search(self, row: int, deadline: Deadline) -> None:
        """Solve the model of one instance; a linear one is solved again with cuts until bound and cost meet."""
        problem, instance, gap = self.problem, self.instances.take([row]), self.solver.relative_gap
        with deadline.enforced():
            model = self.build(problem, instance, linear=self.solver.linear)
            best = model.initial_decisions()
        if deadline.passed:
            self.decisions.append(self._unsearched(instance))
            return
        cost = problem.evaluate(instance, best).cost[0]
        report(cost=cost)
        while not deadline.passed:
            model.warm_start(best)
            # Half of the gap is reserved for the margin of the bound.
            with in_units(model.cost_unit):
                result = self.solve(model.pyomo, gap / 2, deadline)
            self.bound[row] = max(self.bound[row], safe_bound(model, result))
            self.seconds[row] += result.seconds
            if not result.found:
                break
            found = model.decisions()
            found_cost = problem.evaluate(instance, found).cost[0]
            if found_cost < cost:
                best, cost = found, found_cost
            report(cost=cost, bound=self.bound[row])
            if deadline.passed:
                break
            near, near_cost = _cheapest_neighbour(problem, instance, best)
            if near_cost < cost:  # a second opinion on the solver's bound, which must not exceed this cost either
                best, cost = near, near_cost
            proved = cost - self.bound[row] <= gap * abs(self.bound[row])
            if proved or not self.solver.linear or not model.add_cuts(found):
                break
        self.decisions.append(best)

    def _unsearched(self, instance: Instances) -> Decisions:
        """Decisions of an instance that was not searched: of an assignment all local, without building its model."""
        if isinstance(self.problem, AssignmentProblem):
            return self.problem.allocate(Observation(instance), np.zeros((1, self.problem.tasks), dtype=np.int64))
        return self.build(self.problem, instance, linear=self.solver.linear).initial_decisions()

    def found(self) -> Found:
        """Combine the decisions."""
        for row in range(len(self.decisions), self.instances.count):
            self.decisions.append(self._unsearched(self.instances.take([row])))
        decisions = Decisions.concatenate(self.decisions) if self.decisions else _no_decisions(self.problem)
        return Found(decisions, self.bound, {"solver_seconds": self.seconds})


class Milp(_ModelSolver):
    """Linearised model, by HiGHS or another Pyomo solver, with tangents added until it is exact at the optimum."""

    name: ClassVar[str] = "milp"
    linear: ClassVar[bool] = True

    pyomo_solver: str = Field("highs", description="any installed Pyomo solver of mixed-integer linear models")


class Minlp(_ModelSolver):
    """Convex mixed-integer model of the paper, by SCIP or another Pyomo solver."""

    name: ClassVar[str] = "minlp"
    linear: ClassVar[bool] = False

    pyomo_solver: str = Field("scip", description="any installed Pyomo solver of convex mixed-integer models")


def _cheapest_neighbour(problem: Problem[Any], instance: Instances, decisions: Decisions) -> tuple[Decisions, float]:
    """The cheapest decisions with one task's option changed, and their cost; those given where there are none."""
    if not isinstance(problem, AssignmentProblem):
        return decisions, np.inf
    options, tasks = problem.servers + 1, problem.tasks
    trials = np.repeat(problem.assignment(decisions), options * tasks, axis=0)
    trials[np.arange(len(trials)), np.repeat(np.arange(tasks), options)] = np.tile(np.arange(options), tasks)
    cost = problem.costs(Observation(instance)).cost(trials[None])[0]
    near = problem.allocate(Observation(instance), trials[[int(np.argmin(cost))]])
    return near, float(problem.evaluate(instance, near).cost[0])


def _no_decisions(problem: Problem[Any]) -> Decisions:
    return Decisions({name: np.zeros((0, *spec.shape)) for name, spec in problem.decision_fields.items()})


def export(problem: Problem[Any], instances: Instances, path: Path | str, *, linear: bool | None = None) -> None:
    """Write the model of the first instance to a file that other solvers can read.

    Parameters
    ----------
    path : path
        ``.lp``, ``.mps`` or ``.nl``.
    linear : bool, optional
        Whether to write the linearisation, whose optimum is a lower bound; by default for ``.mps`` only.
    """
    path = Path(path)
    if path.suffix not in (".lp", ".mps", ".nl"):
        raise InvalidInput(f"model file {path.name!r} ends in {path.suffix!r}; allowed: .lp, .mps, .nl")
    if instances.count == 0:
        raise InvalidInput("0 instances to export; allowed: at least 1, of which the first is written")
    model = _builder(problem)(problem, instances.take([0]), linear=path.suffix == ".mps" if linear is None else linear)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / f"model{path.suffix}"
        # The names of .nl would be separate files.
        model.pyomo.write(str(draft), io_options={"symbolic_solver_labels": path.suffix != ".nl"})
        text = draft.read_text()
        if path.suffix == ".lp":
            # SCIP does not read Pyomo's "x ^ 2" but "x ^2", which Gurobi does not read; both read "x * x".
            text = re.sub(r"(\S+) \^ 2$", r"\1 * \1", text, flags=re.MULTILINE)
        write_atomic(path, text.encode())


# ------------------------------------------------------------------------------------------------- Pyomo's solvers


@dataclass(frozen=True)
class SolveResult:
    """Result of one call of a Pyomo solver.

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


def safe_bound(model: MathematicalModel, result: SolveResult) -> float:
    """Lower bound of the instance's cost that is valid even if every row and reduced cost is wrong by the tolerance."""
    return (result.bound - 2.0 * result.tolerance * model.magnitude) * model.cost_unit


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


class _Highs:
    """HiGHS through appsi: persistent, with a warm start from the variables' values; two runs prove a bound."""

    def __init__(self, name: str) -> None:
        from pyomo.contrib.appsi.solvers import Highs

        self._name, self._solver = name, Highs()
        with _errors_in_one_line(name):
            if not self._solver.available():
                raise RuntimeError("it is not installed")

    def __call__(self, model: Any, relative_gap: float, deadline: Deadline) -> SolveResult:
        seconds = 0.0
        with _errors_in_one_line(self._name), deadline.enforced():
            self._translate(model)
        if deadline.passed:
            self._solver._model = None  # half of a model is not updated
            return NOTHING
        solver = self._solver._solver_model
        # About one small MIP in a hundred ends in a solve error, because HiGHS finds its optimum infeasible by slightly
        # more than the tolerance (ERGO-Code/HiGHS issue 2782). Another tolerance then succeeds.
        for tolerance in (TIGHT, 10 * TIGHT, 100 * TIGHT, USUAL):
            options: dict[str, Any] = {
                "threads": 1,
                "presolve": "off",  # with tolerances of 1e-8 and less it has cut off optima
                "random_seed": 0,
                "mip_rel_gap": relative_gap,
                "mip_abs_gap": 0.0,
                "mip_feasibility_tolerance": tolerance,
                "primal_feasibility_tolerance": tolerance,
                "dual_feasibility_tolerance": tolerance,
            }
            if np.isfinite(deadline.left_s):
                options["time_limit"] = deadline.left_s
            for option, value in options.items():
                solver.setOptionValue(option, value)
            begin = clock()
            with _errors_in_one_line(self._name):
                self._solver._warm_start()
                # Read from HiGHS itself: Pyomo reports the incumbent's cost as the bound if a run stops before it has
                # one, and lets Ctrl-C raise an exception within HiGHS.
                first = highs.call_highs(solver, shown=True)
            seconds += clock() - begin
            if first.status != "kSolveError":
                break
        if first.found:
            self._solver._sol = solver.getSolution()
            self._solver.load_vars()
        bound = _finite_or_minus_inf(first.bound)
        if bound > -np.inf:
            bound = min(bound, self._second_bound(deadline))
        return SolveResult(first.found, bound, tolerance, seconds)

    def _translate(self, model: Any) -> None:
        """Hand the model to HiGHS, or its changes; Pyomo's own way redirects stdout, which must not be torn."""
        import highspy

        solver = self._solver
        if model is solver._model:
            solver.update()
            return
        solver._reinit()
        solver._model, solver._solver_model = model, highspy.Highs()  # type: ignore[no-untyped-call]
        solver._solver_model.setOptionValue("output_flag", False)
        solver.add_block(model)
        if solver._objective is None:
            solver.set_objective(None)

    def _second_bound(self, deadline: Deadline) -> float:
        """Bound of the same model and another seed; -inf where no time is left."""
        model = self._solver._solver_model
        model.clearSolver()
        model.setOptionValue("random_seed", 1)
        if np.isfinite(deadline.left_s):
            model.setOptionValue("time_limit", model.getRunTime() + deadline.left_s)
        return _finite_or_minus_inf(highs.call_highs(model).bound)


def _finite_or_minus_inf(bound: float | None) -> float:
    """Convert a missing or infinite bound to -inf."""
    return float(bound) if bound is not None and np.isfinite(bound) else -np.inf


class _Modern:
    """A solver of ``pyomo.contrib.solver``, whose results contain the solver's own dual bound."""

    tolerance: ClassVar[float] = USUAL
    attempts: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Options with which the model is solved until the bound does not contradict the solution."""

    def __init__(self, name: str) -> None:
        from pyomo.contrib.solver.common.factory import SolverFactory

        self._name, self._solver = name, SolverFactory(name)

    def __call__(self, model: Any, relative_gap: float, deadline: Deadline) -> SolveResult:
        from pyomo.environ import Objective, value

        seconds = 0.0
        for options in self.attempts:
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
                    solver_options=options,
                )
            seconds += self._solver_seconds(results, clock() - start)
            found = results.incumbent_objective is not None
            bound = _finite_or_minus_inf(results.objective_bound)
            if not found:
                break
            results.solution_loader.load_vars()
            cost = float(value(next(model.component_data_objects(Objective, active=True))))
            if bound <= cost + self.tolerance * max(1.0, abs(cost)):
                break
            bound = -np.inf  # above the cost of the solver's own solution: no bound
        return SolveResult(found, bound, self.tolerance, seconds)

    def _solver_seconds(self, results: Any, seconds: float) -> float:
        """Time of a call in the solver itself, if it is known; else all of it."""
        return seconds


class _TooLate(BaseException):
    """The time was over before SCIP had the model."""


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


class _Scip(_Modern):
    """SCIP through PySCIPOpt."""

    tolerance: ClassVar[float] = TIGHT
    options: ClassVar[dict[str, Any]] = {
        "numerics/feastol": TIGHT,
        "numerics/dualfeastol": TIGHT,
        "timing/clocktype": 2,  # wall clock
    }
    # With tight tolerances SCIP's presolve has given a fixed variable a cost of 1e8.
    attempts: ClassVar[tuple[dict[str, Any], ...]] = (options, {**options, "presolving/maxrounds": 0})

    def __init__(self, name: str) -> None:
        super().__init__("scip_direct" if name == "scip" else name)
        self._solver.config.warmstart_discrete_vars = True
        self._create, self._solver._create_solver_model = self._solver._create_solver_model, self._create_in_time

    def __call__(self, model: Any, relative_gap: float, deadline: Deadline) -> SolveResult:
        self._deadline = deadline
        try:
            return super().__call__(model, relative_gap, deadline)
        except _TooLate:
            return NOTHING

    def _create_in_time(self, model: Any, config: Any) -> Any:
        """Translate the model; what is left of the time is SCIP's, and SIGTERM ends it as Ctrl-C does."""
        created: Any = None
        with self._deadline.enforced():
            created = self._create(model, config)
        if created is None or self._deadline.passed:
            raise _TooLate
        if config.time_limit is not None:
            config.time_limit = max(self._deadline.left_s, 1e-3)
        scip = created[0]
        scip.setParam("misc/catchctrlc", False)
        scip.includeEventhdlr(_stop_scip(), "signals", "ends the search after a signal")
        return created

    def _solver_seconds(self, results: Any, seconds: float) -> float:
        return float(results.timing_info.scip_time)


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
