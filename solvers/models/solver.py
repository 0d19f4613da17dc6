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
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from offloadopt import registry
from offloadopt.clock import Deadline
from offloadopt.core import Decisions, Instances, Observation, Problem
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.files import write_atomic
from offloadopt.progress import in_units, report
from offloadopt.quantities import Factor
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.solvers.models.base import MathematicalModel, zero_decisions
from offloadopt.solvers.models.pyomo_solvers import SolveResult, solver_named
from offloadopt.structures.assignment import AssignmentProblem, SlotwiseProblem


def _builder(problem: Problem[Any]) -> type[MathematicalModel]:
    """The builder of the problem's models; Pyomo would print on stdout that one was not finished."""
    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    builder: type[MathematicalModel] = registry.get("models", problem.name)
    return builder


class ModelSolver(InstanceSolver):
    """Base class of `milp` and `minlp`: solves one model per instance."""

    # Of these, and with hindsight of all problems, `require` checks that there is a model.
    serves: ClassVar[type[Problem[Any]]] = AssignmentProblem  # type: ignore[type-abstract]
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
        _builder(problem).require(problem)

    def separates(self, problem: Any) -> bool:
        """Whether each instance is solved on its own: always."""
        return True

    def searches(self, problem: Problem[Any], instances: Instances, seed: int) -> _Searches:
        """Build and solve one model per instance; ``details["solver_seconds"]`` is the time in the solver alone."""
        return _Searches(self, problem, instances)


class _Searches:
    """The searches of one call; decisions of instances that were not searched are those from which searches start."""

    def __init__(self, solver: ModelSolver, problem: Problem[Any], instances: Instances) -> None:
        self.solver, self.problem, self.instances = solver, problem, instances
        self.build = _builder(problem)
        self.solve = solver_named(solver.pyomo_solver)
        self.decisions: list[Decisions] = []
        self.bound, self.seconds = np.full(instances.count, -np.inf), np.zeros(instances.count)

    def search(self, row: int, deadline: Deadline) -> None:
        """Solve the model of one instance; a linear one is solved again with cuts until bound and cost meet."""
        problem, instance, gap = self.problem, self.instances.take([row]), self.solver.relative_gap
        with deadline.enforced():
            if not deadline.passed:
                model = self.build(problem, instance, linear=self.solver.linear)
                best = model.initial_decisions()
        if deadline.passed:
            self.decisions.append(_unsearched(problem, instance))
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
            changed = False
            with deadline.enforced():
                changed = not proved and model.add_cuts(found)
            if not changed:
                break
        self.decisions.append(best)

    def found(self) -> Found:
        """Combine the decisions."""
        unsearched = _unsearched(self.problem, self.instances.take(slice(len(self.decisions), None)))
        decisions = Decisions.concatenate([*self.decisions, unsearched])
        return Found(decisions, self.bound, {"solver_seconds": self.seconds})


def _unsearched(problem: Problem[Any], instances: Instances) -> Decisions:
    """Decisions of instances that were not searched: of an assignment all local, of powers and shares none."""
    if isinstance(problem, AssignmentProblem):
        everything_local = np.zeros((instances.count, problem.tasks), dtype=np.int64)
        return problem.allocate(Observation(instances), everything_local)
    return zero_decisions(problem, instances.count)


class Milp(ModelSolver):
    """Linear model, by HiGHS or another Pyomo solver, with tangents added until it is exact at the optimum."""

    name: ClassVar[str] = "milp"
    linear: ClassVar[bool] = True

    pyomo_solver: str = Field("highs", description="any installed Pyomo solver of mixed-integer linear models")


class Minlp(ModelSolver):
    """Mixed-integer nonlinear model of the paper, by SCIP or another Pyomo solver."""

    name: ClassVar[str] = "minlp"
    linear: ClassVar[bool] = False

    pyomo_solver: str = Field("scip", description="any installed Pyomo solver of mixed-integer nonlinear models")


class MilpInHindsight(Milp):
    """`Milp` of problems whose slots are coupled, with all slots known."""

    serves: ClassVar[type[Problem[Any]]] = Problem  # type: ignore[type-abstract]
    hindsight: ClassVar[bool] = True


class MinlpInHindsight(Minlp):
    """`Minlp` of problems whose slots are coupled, with all slots known."""

    serves: ClassVar[type[Problem[Any]]] = Problem  # type: ignore[type-abstract]
    hindsight: ClassVar[bool] = True


def safe_bound(model: MathematicalModel, result: SolveResult) -> float:
    """Lower bound of the instance's cost that is valid even if every row and reduced cost is wrong by the tolerance."""
    return (result.bound - 2.0 * result.tolerance * model.magnitude) * model.cost_unit


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


def export(problem: Problem[Any], instances: Instances, path: Path | str, *, linear: bool | None = None) -> str:
    """Write the model of the first instance to a file that other solvers can read; of independent slots the first slot.

    Parameters
    ----------
    path : path
        ``.lp`` (linear and quadratic models), ``.mps`` (linear ones) or ``.nl`` (all).
    linear : bool, optional
        Whether to write the linearisation, whose optimum is a lower bound; by default for ``.mps`` only.

    Returns
    -------
    str
        What the file holds, in a few words.

    Raises
    ------
    InvalidInput
        If the file's format cannot hold the model.
    Unsupported
        If the problem has no model, or none of this form.
    """
    path = Path(path)
    if path.suffix not in (".lp", ".mps", ".nl"):
        raise InvalidInput(f"model file {path.name!r} ends in {path.suffix!r}; allowed: .lp, .mps, .nl")
    if instances.count == 0:
        raise InvalidInput("0 instances to export; allowed: at least 1, of which the first is written")
    linear, what = path.suffix == ".mps" if linear is None else linear, "model of the first instance"
    if isinstance(problem, SlotwiseProblem) and problem.horizon > 1:
        problem, instances, what = problem.one_slot, problem.slots(instances.take([0])), f"{what}'s first slot"
    builder = _builder(problem)
    import pyomo.environ  # noqa: F401 - registers Pyomo's writers

    model = builder(problem, instances.take([0]), linear=linear)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / f"model{path.suffix}"
        try:
            # The names of .nl would be separate files.
            model.pyomo.write(str(draft), io_options={"symbolic_solver_labels": path.suffix != ".nl"})
        except (ValueError, RuntimeError) as error:
            raise InvalidInput(
                f"the model of {problem.name} is {'linear' if linear else 'nonlinear'}: {path.suffix} cannot hold it; "
                "allowed: .nl, or .mps for a linearisation"
            ) from error
        text = draft.read_text()
        if path.suffix == ".lp":
            # SCIP does not read Pyomo's "x ^ 2" but "x ^2", which Gurobi does not read; both read "x * x".
            text = re.sub(r"(\S+) \^ 2$", r"\1 * \1", text, flags=re.MULTILINE)
        write_atomic(path, text.encode())
    return f"{what}{', linearised: its optimum is a lower bound' if linear else ''}"
