"""Progress of long work on stderr, and what a search has found so far: incumbent, bound and gap.

Whoever starts long work opens `progress`; whoever searches says what was found by `report`, wherever it is: nothing
happens unless progress is shown. Costs and bounds are shown in the units of the search that `begin_search` named, so
that parts of it with other units are run within `in_units`, and parts that are no instance of their own within
`unreported`.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from offloadopt.clock import compiling

QUIET_S = 2.0
"""Work shorter than this shows no progress line."""
EVERY_S = 10.0
"""Pause between progress lines where stderr is not a terminal."""
REFRESHES_PER_S = 4.0
"""How often a terminal is written."""
MOST_GAP = 1e6
"""Gaps in % from which on none is shown: the bound, for example 0, says nothing yet."""


@dataclass
class Search:
    """The search in progress.

    Attributes
    ----------
    method, what : str
        Who searches, and which instance or slot, where there are several.
    cost : float
        Cost of the incumbent; ``inf`` before there is one.
    bound, claim : float
        Proved lower bound, and one that a MILP solver claims before it is confirmed; ``-inf`` before there is one.
    units : list of (unit, base) or None
        Maps from the units of the parts that are running to those of the search; None for parts that are not shown.
    """

    method: str = ""
    what: str = ""
    cost: float = math.inf
    bound: float = -math.inf
    claim: float = -math.inf
    units: list[tuple[float, float] | None] = field(default_factory=list)

    def text(self) -> str:
        """Describe what was found in a few words; empty before anything was."""
        found = []
        if math.isfinite(self.cost):
            found.append(f"best {self.cost:.6g}")
        if math.isfinite(self.bound):
            found.append(f"bound {self.bound:.6g}")
            found[-1] += self._gap(self.bound, "gap {} %")
        if math.isfinite(self.claim) and self.claim > self.bound:
            found.append(f"claimed {self.claim:.6g}{self._gap(self.claim, '{} % if confirmed')}")
        if compiling():
            found.append("compiling kernels, once")
        where = ", ".join(part for part in (self.method, self.what) if part)
        return ": ".join(part for part in (where, ", ".join(found)) if part)

    def _gap(self, bound: float, text: str) -> str:
        """The incumbent's gap to a bound in brackets; empty without an incumbent or a bound that says anything."""
        gap = 100.0 * (self.cost - bound) / max(abs(bound), sys.float_info.min)
        return f" ({text.format(f'{gap:.3g}')})" if gap < MOST_GAP else ""


_search: Search | None = None
"""The search that is shown; None while no progress is shown."""


def begin_search(what: str = "") -> None:
    """Forget what was found; ``what`` names the instance that is searched now, where there are several."""
    if _search is not None:
        _search.what, _search.cost, _search.bound, _search.claim = what, math.inf, -math.inf, -math.inf


def report(*, cost: float = math.inf, bound: float = -math.inf, claim: float = -math.inf) -> None:
    """Show a feasible decision's cost, a proved bound or a claimed one; worse than what is known changes nothing."""
    if _search is None or None in _search.units:
        return
    for unit, base in reversed([each for each in _search.units if each is not None]):
        cost, bound, claim = (base + unit * value for value in (cost, bound, claim))
    _search.cost = min(_search.cost, float(cost))
    _search.bound, _search.claim = max(_search.bound, float(bound)), max(_search.claim, float(claim))


@contextmanager
def in_units(unit: float, base: float = 0.0) -> Iterator[None]:
    """Within this context costs and bounds are reported in another unit: they are ``base + unit`` times the value."""
    yield from _part((unit, base))


@contextmanager
def unreported() -> Iterator[None]:
    """Within this context parts of an instance are searched, whose costs are not the instance's."""
    yield from _part(None)


def _part(units: tuple[float, float] | None) -> Iterator[None]:
    shown = _search
    if shown is None:
        yield
        return
    shown.units.append(units)
    try:
        yield
    finally:
        shown.units.pop()


@contextmanager
def by_method(name: str) -> Iterator[None]:
    """Within this context the method of this name searches."""
    shown = _search
    if shown is None:
        yield
        return
    before, shown.method = shown.method, name
    begin_search()
    try:
        yield
    finally:
        shown.method = before


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far a long piece of work is: a bar in a terminal, otherwise a line now and then.

    Parameters
    ----------
    label : str
        What is being done.
    total : int or None
        Number of pieces; none if nobody knows.

    Yields
    ------
    callable
        To be called with the number of pieces finished since the last call.
    """
    global _search
    outer, _search = _search, Search()
    try:
        with (_bar if sys.stderr.isatty() else _lines)(label, total, _search) as advance:
            yield advance
    finally:
        _search = outer


@contextmanager
def _bar(label: str, total: int | None, search: Search) -> Iterator[Callable[[int], None]]:
    """A bar with remaining and elapsed time, and below it what the search has found."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn
    from rich.text import Text

    # Rich's own columns are description, bar, share and remaining time.
    bar = Progress(SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn())
    task = bar.add_task(label, total=total)

    def shown() -> Any:
        text = search.text()
        return Group(bar, Text(f"  {text}", overflow="ellipsis", no_wrap=True)) if text else bar

    console = Console(stderr=True)
    with Live(get_renderable=shown, console=console, transient=True, refresh_per_second=REFRESHES_PER_S):
        yield lambda finished: bar.advance(task, finished)


@contextmanager
def _lines(label: str, total: int | None, search: Search) -> Iterator[Callable[[int], None]]:
    """A line now and then, from another thread: the work may be long in one call."""
    begin, done, ended = time.monotonic(), 0, threading.Event()

    def advance(finished: int) -> None:
        nonlocal done
        done += finished

    def show() -> None:
        pause = QUIET_S
        while not ended.wait(pause):
            pause = EVERY_S
            found = search.text()
            print(
                f"{label}: {done}{'' if total is None else f' of {total}'} after {time.monotonic() - begin:.0f} s"
                f"{f'; {found}' if found else ''}",
                file=sys.stderr,
            )

    writer = threading.Thread(target=show, daemon=True)
    writer.start()
    try:
        yield advance
    finally:
        ended.set()
        writer.join()
