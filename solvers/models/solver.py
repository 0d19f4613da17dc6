"""`milp` and `minlp`: the readable Pyomo model of a problem, solved by HiGHS, SCIP or any other installed Pyomo solver.

They are the slow and plain road to the optimum: a person checks the model against the paper (solvers/models/), a
general solver proves the rest. They serve every problem that has a model in the group ``offloadopt.models``. `minlp`
solves the convex model as it stands. `milp` solves its linearisation from below, adds tangents where the solution lies
and solves again, until the linear bound meets the true cost of the best solution.

*What is proved.* The bound is the dual bound that the solver itself holds, not what Pyomo makes of it, less a margin
for the solver's arithmetic. Errors of one tolerance in every row and every reduced cost move a bound by at most the
tolerance times the sum of all variables' ranges and rows' multipliers; `safe_bound` subtracts twice that. HiGHS and
SCIP work with tolerances of 1e-9 here, which makes the margin about 1e-7 of the cost: a relative gap of 0 is approached
but not claimed, so the default asks for 1e-6. A solver whose own bound cannot be read proves nothing: its decisions are
`FEASIBLE`.

*What is decided.* Only the discrete part is the solver's; the problem allocates the rest. Every search starts from the
model's first decision (all local for `multi_server`, always feasible), and that is what stands where a time limit
leaves the solver without anything better: a limit costs quality, never a decision.
"""

from __future__ import annotations

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
from offloadopt.clock import clock
from offloadopt.core import Decisions, Instances, Problem, Progress, Solutions, Solver
from offloadopt.errors import InvalidInput, UnknownName, Unsupported, nearest
from offloadopt.files import write_atomic

TIGHT = 1e-9
"""Feasibility and optimality tolerance asked of HiGHS and SCIP."""
USUAL = 1e-6
"""Tolerance that other solvers work with unless told otherwise."""


class MathematicalModel(Protocol):
    """One instance as a Pyomo model: what a builder of the group ``offloadopt.models`` returns.

    The builder is called as ``builder(problem, instance, linear=...)``. The linear form is a MILP whose optimum is a
    lower bound; `cut` makes it exact at a decision.
    """

    pyomo: Any
    """The ``ConcreteModel``, with one objective to be minimised."""
    cost_unit: float
    """Cost of one unit of that objective."""

    @property
    def magnitude(self) -> float:
        """Sum of all variables' ranges and rows' multipliers, in the model's units."""
        ...

    def first(self) -> Decisions:
        """A feasible decision that needs no solver."""
        ...

    def decisions(self) -> Decisions:
        """What the variables' values decide; everything continuous at its optimum."""
        ...

    def start(self, decisions: Decisions) -> None:
        """Set the variables to a decision."""
        ...

    def cut(self, decisions: Decisions) -> bool:
        """Make the linear form exact at a decision; false where it was so already."""
        ...


Builder = Callable[..., MathematicalModel]


# ------------------------------------------------------------------------------------------------ the two methods


class _ModelSolver(Solver):
    """What `milp` and `minlp` share: the search over one model, instance by instance."""

    # Every kind of problem; `require` asks for a model instead.
    serves: ClassVar[type[Problem[Any]]] = Problem  # type: ignore[type-abstract]
    proves: ClassVar[bool] = True
    linear: ClassVar[bool]

    relative_gap: float = Field(1e-6, ge=0, description="stop once cost and bound are this close, relative to bound")
    pyomo_solver: str

    def require(self, problem: Problem[Any]) -> None:
        """Refuse a problem that has no mathematical model."""
        modelled = registry.names("models")
        if problem.name not in modelled:
            raise Unsupported(
                f"solver {self.name!r} does not serve problem {problem.name!r}; "
                f"it needs a mathematical model, which exists for: {', '.join(modelled)}"
            )

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Build and solve one model per instance; ``details["solver_seconds"]`` is the solver's part of the seconds."""
        self.require(problem)
        build: Builder = registry.get("models", problem.name)
        engine_named(self.pyomo_solver)  # refuse an unknown solver even where there is no instance
        decisions, bound = [], np.full(instances.count, -np.inf)
        seconds, solver_seconds = np.zeros(instances.count), np.zeros(instances.count)
        for row in range(instances.count):
            begin = clock()
            decided, bound[row], solver_seconds[row] = self._search(problem, instances.take([row]), build)
            decisions.append(decided)
            seconds[row] = clock() - begin
            if progress is not None:
                progress(1)
        return Solutions.scored(
            problem,
            instances,
            Decisions.concatenate(decisions) if decisions else _none_of(problem),
            seconds=seconds,
            bound=bound,
            asked_gap=self.relative_gap,
            details={"solver_seconds": solver_seconds},
        )

    def _search(self, problem: Problem[Any], instance: Instances, build: Builder) -> tuple[Decisions, float, float]:
        """The best decision found for one instance, its bound and the solver's seconds."""
        deadline = np.inf if self.time_limit_s is None else clock() + self.time_limit_s
        model, solve = build(problem, instance, linear=self.linear), engine_named(self.pyomo_solver)
        best = model.first()
        cost, bound, seconds = problem.evaluate(instance, best).cost[0], -np.inf, 0.0
        while (left := deadline - clock()) > 0:
            model.start(best)
            # Half of the gap is left for the margin of the bound.
            answer = solve(model.pyomo, self.relative_gap / 2, None if np.isinf(left) else left)
            bound = max(bound, safe_bound(model, answer))
            seconds += answer.seconds
            if not answer.found:
                break
            found = model.decisions()
            found_cost = problem.evaluate(instance, found).cost[0]
            if found_cost < cost:
                best, cost = found, found_cost
            proved = cost - bound <= self.relative_gap * abs(bound)
            if proved or not self.linear or not model.cut(found):
                break
        return best, bound, seconds


class Milp(_ModelSolver):
    """The linearised model by HiGHS, or another Pyomo solver, with tangents added until it is exact at the optimum."""

    name: ClassVar[str] = "milp"
    linear: ClassVar[bool] = True

    pyomo_solver: str = Field("highs", description="any installed Pyomo solver of mixed-integer linear models")


class Minlp(_ModelSolver):
    """The model as the paper states it, by SCIP or another Pyomo solver."""

    name: ClassVar[str] = "minlp"
    linear: ClassVar[bool] = False

    pyomo_solver: str = Field("scip", description="any installed Pyomo solver of convex mixed-integer models")


def _none_of(problem: Problem[Any]) -> Decisions:
    return Decisions({name: np.zeros((0, *spec.shape)) for name, spec in problem.decision_fields.items()})


def export(problem: Problem[Any], instances: Instances, path: Path | str, *, linear: bool | None = None) -> None:
    """Write the model of the first instance for other solvers to read.

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
    build: Builder = registry.get("models", problem.name)
    model = build(problem, instances.take([0]), linear=path.suffix == ".mps" if linear is None else linear)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / f"model{path.suffix}"
        # The names of .nl would be files of their own.
        model.pyomo.write(str(draft), io_options={"symbolic_solver_labels": path.suffix != ".nl"})
        text = draft.read_text()
        if path.suffix == ".lp":
            # Pyomo's "x ^ 2" is not read by SCIP, which wants "x ^2", which Gurobi does not read.
            text = re.sub(r"(\S+) \^ 2$", r"\1 * \1", text, flags=re.MULTILINE)
        write_atomic(path, text.encode())


# ------------------------------------------------------------------------------------------------- Pyomo's solvers


@dataclass(frozen=True)
class Answer:
    """What one call of a solver told.

    Attributes
    ----------
    found : bool
        Whether the model's variables now hold a solution.
    bound : float
        The solver's own dual bound in the model's units, -inf where it tells none.
    tolerance : float
        Feasibility and optimality tolerance that the bound was computed with.
    seconds : float
        Time in the solver, without building or translating the model.
    """

    found: bool
    bound: float
    tolerance: float
    seconds: float


def safe_bound(model: MathematicalModel, answer: Answer) -> float:
    """A lower bound of the instance's cost that stays valid if the solver erred by its tolerances everywhere."""
    return (answer.bound - 2.0 * answer.tolerance * model.magnitude) * model.cost_unit


Engine = Callable[[Any, float, float | None], Answer]
"""Solves a Pyomo model to a relative gap, within a wall-clock limit in s if there is one."""


def engine_named(name: str) -> Engine:
    """The solver of that Pyomo name, quiet and on one thread; an unknown or uninstalled one is refused.

    ``highs`` and ``scip`` come with offloadopt.
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
    """The Pyomo names of the solvers on this machine that need no other solver."""
    from pyomo.contrib.solver.common.factory import SolverFactory as Modern
    from pyomo.opt import SolverFactory as Classic
    from pyomo.opt.base.solvers import OptSolver

    found = {"highs", "scip"} | {name for name in Modern if Modern(name).available()}
    for name in Classic:
        # These are interfaces without a solver of their own.
        if not name.startswith(("_", "asl", "mpec", "py")):
            solver = Classic(name)
            if isinstance(solver, OptSolver) and solver.available(exception_flag=False):
                found.add(name)
    return sorted(found)


@contextmanager
def _one_clear_line(name: str) -> Iterator[None]:
    """Whatever a foreign solver raises on a model it cannot take becomes one line that names the solver."""
    try:
        yield
    except Exception as error:
        if "KeyboardInterrupt" in str(error):  # one that met Pyomo while it was restoring the output streams
            raise KeyboardInterrupt from error
        reason = (str(error) or repr(error)).strip("'\"\n ").splitlines()[0]
        raise Unsupported(f"pyomo_solver = {name!r} cannot solve this model: {reason}") from error


class _Highs:
    """HiGHS through appsi: persistent, with a warm start from the variables' values."""

    def __init__(self, name: str) -> None:
        from pyomo.contrib.appsi.solvers import Highs

        self._name, self._solver = name, Highs()
        self._solver.config.load_solution = False
        self._solver.config.warmstart = True

    def __call__(self, model: Any, relative_gap: float, time_limit_s: float | None) -> Answer:
        from pyomo.common.timing import HierarchicalTimer

        timer, begin = HierarchicalTimer(), clock()
        self._solver.config.mip_gap = relative_gap
        # About one small MIP in a hundred ends in a solve error, because HiGHS finds its optimum infeasible by a
        # rounding error more than its tolerance (ERGO-Code/HiGHS issue 2782). It passes with another tolerance.
        for tolerance in (TIGHT, 10 * TIGHT, 100 * TIGHT, USUAL):
            spent = clock() - begin
            self._solver.config.time_limit = None if time_limit_s is None else max(time_limit_s - spent, 0.0)
            self._solver.highs_options = {
                "threads": 1,
                "mip_abs_gap": 0.0,
                "mip_feasibility_tolerance": tolerance,
                "primal_feasibility_tolerance": tolerance,
                "dual_feasibility_tolerance": tolerance,
            }
            with _one_clear_line(self._name):
                self._solver.solve(model, timer)
            # Read from HiGHS itself: Pyomo takes the incumbent's cost for the bound of a run stopped before it had any.
            highs = self._solver._solver_model
            if highs.getModelStatus().name != "kSolveError":
                break
        info = highs.getInfo()
        found = info.primal_solution_status == 2
        if found:
            self._solver.load_vars()
        bound = info.mip_dual_bound if info.mip_node_count >= 0 else -np.inf
        return Answer(found, _or_none(bound), tolerance, timer.get_total_time("optimize"))


def _or_none(bound: float | None) -> float:
    """The bound, -inf where a solver has none."""
    return float(bound) if bound is not None and np.isfinite(bound) else -np.inf


class _Modern:
    """A solver of ``pyomo.contrib.solver``, whose results carry the dual bound as the solver states it."""

    tolerance: ClassVar[float] = USUAL
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, name: str) -> None:
        from pyomo.contrib.solver.common.factory import SolverFactory

        self._name, self._solver = name, SolverFactory(name)

    def __call__(self, model: Any, relative_gap: float, time_limit_s: float | None) -> Answer:
        begin = clock()
        with _one_clear_line(self._name):
            results = self._solver.solve(
                model,
                load_solutions=False,
                raise_exception_on_nonoptimal_result=False,
                threads=1,
                rel_gap=relative_gap,
                time_limit=time_limit_s,
                solver_options=self.options,
            )
        seconds = clock() - begin
        if results.termination_condition.name == "interrupted":
            raise KeyboardInterrupt
        found = results.incumbent_objective is not None
        if found:
            results.solution_loader.load_vars()
        return Answer(found, _or_none(results.objective_bound), self.tolerance, self._own(results, seconds))

    def _own(self, results: Any, seconds: float) -> float:
        """The solver's own part of a call's seconds, as far as it can be told."""
        return seconds


class _Scip(_Modern):
    """SCIP through PySCIPOpt."""

    tolerance: ClassVar[float] = TIGHT
    options: ClassVar[dict[str, Any]] = {
        "numerics/feastol": TIGHT,
        "numerics/dualfeastol": TIGHT,
        "timing/clocktype": 2,  # wall clock
    }

    def __init__(self, name: str) -> None:
        super().__init__("scip_direct" if name == "scip" else name)
        self._solver.config.warmstart_discrete_vars = True

    def _own(self, results: Any, seconds: float) -> float:
        return float(results.timing_info.scip_time)


class _Classic:
    """Any other solver by its Pyomo name. Pyomo's report of its bound is not relied upon, nor is it told the gap."""

    def __init__(self, name: str) -> None:
        from pyomo.opt import SolverFactory

        self._name, self._solver = name, SolverFactory(name)

    def __call__(self, model: Any, relative_gap: float, time_limit_s: float | None) -> Answer:
        limit = {} if time_limit_s is None else {"timelimit": time_limit_s}
        begin = clock()
        with _one_clear_line(self._name):
            results = self._solver.solve(model, load_solutions=False, **limit)
        seconds = clock() - begin
        found = len(results.solution) > 0
        if found:
            model.solutions.load_from(results)
        return Answer(found, -np.inf, USUAL, seconds)
