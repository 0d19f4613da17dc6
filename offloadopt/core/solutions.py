"""Solutions: decisions with their costs, their bounds and what these prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offloadopt.arrays import Decisions, FloatArray, Instances, IntArray
from offloadopt.core.problem import Problem
from offloadopt.core.tables import Table
from offloadopt.errors import BrokenProof, InvalidInput, OffloadError
from offloadopt.pictures.page import page
from offloadopt.pictures.panels import Panel, check_plot_path, draw_into, panel_named, png, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROUNDING = 1e-9
"""Relative difference that two correct float64 computations of one cost may show."""


class Status(IntEnum):
    """Proof status of a solution; written by name in JSON and tables."""

    OPTIMAL = 0
    """The proved bound meets the cost within the gap asked for."""
    BOUNDED = 1
    """A valid bound, further away than asked."""
    FEASIBLE = 2
    """A feasible decision, no bound."""
    INFEASIBLE = 3
    """Proved that no feasible decision exists (bound = +inf)."""
    LIMIT_NO_SOLUTION = 4
    """No feasible decision was found."""


def relative_gap(cost: FloatArray, bound: FloatArray) -> FloatArray:
    """``(cost - bound) / max(|bound|, eps)``; infinite where there is no bound or no feasible decision."""
    with np.errstate(invalid="ignore", over="ignore"):
        gap = (cost - bound) / np.maximum(np.abs(bound), np.finfo(float).tiny)
    return np.where(np.isfinite(cost) & np.isfinite(bound), gap, np.inf)


@dataclass(frozen=True)
class Solutions:
    """Decisions with their proof, one row per instance.

    Attributes
    ----------
    decisions : Decisions
    objective : array [count]
        ``problem.evaluate``'s cost, ``inf`` where the decision is infeasible.
    bound : array [count]
        Proved lower bound of every feasible decision's cost, ``-inf`` where there is none.
    status : array [count] of Status
    seconds : array [count]
        Wall time spent on each instance, without the compilation of kernels (`offloadopt.clock`).
    details : mapping of str to array [count, ...]
        Further results of the method, for example ``prices`` of the servers' CPU.
    problem : Problem, optional
        The problem that scored them, for `summary`.
    metrics : mapping of str to array [count]
        ``problem.evaluate``'s metrics.
    instances : Instances, optional
        What was decided, for `table`.
    """

    decisions: Decisions
    objective: FloatArray
    bound: FloatArray
    status: NDArray[np.uint8]
    seconds: FloatArray
    details: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    problem: Problem[Any] | None = field(default=None, repr=False, compare=False)
    metrics: Mapping[str, FloatArray] = field(default_factory=dict, compare=False)
    instances: Instances | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        name = "" if self.problem is None else f" of {self.problem.name}"
        counts = ", ".join(
            f"{self.status_names.count(kind.name)} {kind.name}" for kind in Status if kind in self.status
        )
        return f"<Solutions{name}: {len(self.objective)} instances{', ' if counts else ''}{counts}>"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"

    def summary(self, rows: int = 20) -> str:
        """Summarise the proof of each instance and the decisions.

        Parameters
        ----------
        rows : int
            Instances with a line of their own, at most.

        Returns
        -------
        str
            One line per instance, then the decisions: of one instance in full, of several together.
        """
        count = len(self.objective)
        lines = []
        for row in range(min(rows, count)):
            cost, bound, gap = self.objective[row], self.bound[row], self.gap[row]
            index = "" if count == 1 else f"{row}: "
            text = f"{index}{Status(self.status[row]).name}"
            if np.isfinite(cost):
                text += f": cost {cost:.8g}"
                text += (
                    f", no decision costs less than {bound:.8g} (gap {gap:.2g})" if np.isfinite(bound) else ", no bound"
                )
            elif np.isfinite(bound):
                text += f": no decision costs less than {bound:.8g}"
            lines.append(text)
        if count > rows:
            lines.append(f"... and {count - rows} more")
        found = np.flatnonzero(np.isfinite(self.objective))
        if self.problem is not None and len(found):
            lines += self.problem.describe(self.decisions.take(found))
        return "\n".join(lines)

    def table(self, row: int = 0) -> Table:
        """Tell who does what in one instance; ``print`` shows it, counts in place of more than 30 rows.

        Parameters
        ----------
        row : int
            Number of the instance.
        """
        problem, instances, decisions = self.of_instance(row)
        return problem.table(instances, decisions)

    def plot(self, row: int = 0, *, panel: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw one instance's solution.

        Parameters
        ----------
        row : int
            Number of the instance.
        panel : str, optional
            The panel to draw; by default all, or with ``ax`` the first. `panels` lists them.
        ax : matplotlib Axes, optional
            Where to draw one panel; a new figure unless given.

        Returns
        -------
        Axes
            The first panel's.
        """
        panels = self.panels(row)
        if ax is not None:
            return draw_into(ax, panel_named(panels, panel))
        chosen = panels if panel is None else [panel_named(panels, panel)]
        panel_named(chosen, None)  # there is one
        return shown(chosen)

    def panels(self, row: int = 0) -> list[Panel]:
        """Return the pictures of one instance's solution, by name and title."""
        problem, instances, decisions = self.of_instance(row)
        return problem.panels(instances, decisions)

    def save_plot(self, path: Path | str, row: int = 0) -> None:
        """Write the pictures of one instance's solution: ``.png``, or ``.html`` with who does what.

        Raises
        ------
        InvalidInput
            If the suffix is another one.
        """
        check_plot_path(path)
        problem, instances, decisions = self.of_instance(row)
        panels = problem.panels(instances, decisions)
        if Path(path).suffix == ".png":
            data = png(panels)
        else:
            facts = [("Status", self.status_names[row]), *self._numbers(row)]
            table = problem.table(instances, decisions).to_html()
            data = page(f"A solution of {problem.name}, {problem.scenario.origin}", facts, panels, table)
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise OffloadError(f"cannot write {path}: {error.strerror}") from None

    def _numbers(self, row: int) -> list[tuple[str, str]]:
        """Cost, bound, gap and main metrics of one instance, as texts."""
        found = [("Cost", self.objective[row]), ("Bound", self.bound[row])]
        names = self.problem.main_metrics if self.problem is not None else ()
        found += [(name, self.metrics[name][row]) for name in names or self.metrics]
        texts = [(name, f"{value:.6g}" if np.isfinite(value) else "–") for name, value in found]
        gap = f"{self.gap[row]:.2g}" if np.isfinite(self.gap[row]) else "–"
        return [*texts[:2], ("Gap", gap), *texts[2:]]

    def of_instance(self, row: int) -> tuple[Problem[Any], Instances, Decisions]:
        """Return the problem, and instance and decisions of one row.

        Raises
        ------
        InvalidInput
            If there is no such row, or the solutions come from a file, which knows no problem.
        """
        if self.problem is None or self.instances is None:
            raise InvalidInput("these solutions come without their problem; allowed: what `solve` returns")
        if not 0 <= row < len(self.objective):
            raise InvalidInput(f"row = {row!r}; allowed: 0 to {len(self.objective) - 1}")
        return self.problem, self.instances.take([row]), self.decisions.take([row])

    @property
    def gap(self) -> FloatArray:
        """[count] relative gap of each decision to its own bound."""
        return relative_gap(self.objective, self.bound)

    @property
    def status_names(self) -> list[str]:
        """[count] the statuses by name."""
        return [Status(code).name for code in self.status]

    @classmethod
    def scored(
        cls,
        problem: Problem[Any],
        instances: Instances,
        decisions: Decisions,
        *,
        seconds: ArrayLike,
        bound: FloatArray | None = None,
        asked_gap: float = 0.0,
        details: Mapping[str, NDArray[Any]] | None = None,
    ) -> Solutions:
        """Score decisions by ``problem.evaluate`` and derive each status from cost and bound.

        Statuses are assigned here alone; no solver assigns its own.
        """
        outcome = problem.evaluate(instances, decisions)
        objective = np.where(outcome.feasible, outcome.cost, np.inf)
        bound = np.full(instances.count, -np.inf) if bound is None else np.asarray(bound, dtype=np.float64)
        above = np.isnan(bound) | np.isfinite(objective) & (bound > objective + ROUNDING * np.abs(objective))
        if above.any():
            row = int(np.flatnonzero(above)[0])
            raise BrokenProof(f"instance {row}: bound {bound[row]!r} above the cost {objective[row]!r} of a decision")
        found = np.isfinite(objective)
        bound = np.where(found, np.minimum(bound, objective), bound)
        proved = found & (relative_gap(objective, bound) <= asked_gap + ROUNDING)
        status = np.select(
            [proved, found & np.isfinite(bound), found, bound == np.inf],
            [Status.OPTIMAL, Status.BOUNDED, Status.FEASIBLE, Status.INFEASIBLE],
            Status.LIMIT_NO_SOLUTION,
        ).astype(np.uint8)
        spent = np.broadcast_to(np.asarray(seconds, dtype=np.float64), (instances.count,))
        return cls(decisions, objective, bound, status, spent, details or {}, problem, outcome.metrics, instances)

    def take(self, rows: slice | IntArray | Sequence[int]) -> Solutions:
        """Return the selected rows."""
        rows = rows if isinstance(rows, slice) else np.asarray(rows)
        return Solutions(
            self.decisions.take(rows),
            self.objective[rows],
            self.bound[rows],
            self.status[rows],
            self.seconds[rows],
            {name: values[rows] for name, values in self.details.items()},
            self.problem,
            {name: values[rows] for name, values in self.metrics.items()},
            None if self.instances is None else self.instances.take(rows),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Solutions]) -> Solutions:
        """Join several solutions of the same method along the instance axis."""
        if len(parts) == 1:
            return parts[0]
        instances = [part.instances for part in parts if part.instances is not None]
        return cls(
            Decisions.concatenate([part.decisions for part in parts]),
            np.concatenate([part.objective for part in parts]),
            np.concatenate([part.bound for part in parts]),
            np.concatenate([part.status for part in parts]),
            np.concatenate([part.seconds for part in parts]),
            {name: np.concatenate([part.details[name] for part in parts]) for name in parts[0].details},
            parts[0].problem,
            {name: np.concatenate([part.metrics[name] for part in parts]) for name in parts[0].metrics},
            Instances.concatenate(instances) if len(instances) == len(parts) else None,
        )


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a search early. The finished instances keep their proofs, the others the best decision found.

    Attributes
    ----------
    solutions : Solutions
        Of all instances, where those not begun have the decision from which their search would have started; of
        methods that decide whole blocks, of the first instances.
    """

    def __init__(self, solutions: Solutions) -> None:
        super().__init__()
        self.solutions = solutions
