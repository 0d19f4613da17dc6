"""Run a reproduction that can be interrupted: a finished unit is a file, and a second call runs only missing ones."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from offloadopt import files
from offloadopt import parallel as parallel
from offloadopt.core import Progress
from offloadopt.errors import DamagedFile, OutputExists
from offloadopt.folders import FolderFormat, make_folder
from offloadopt.formats import csv_tables, strict_json
from offloadopt.formats.reading import digest, read_text, refuse_damage
from offloadopt.interrupts import continued_by_the_same_call
from offloadopt.reproduce.artefact import Artefact, Paper, Result, Unit, distinct_units
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.summary import summarised
from offloadopt.version import __version__

RUN = "run.json"
CLAIMS = "claims.json"
WORK = "work"
DPI = 160
"""Resolution of pictures."""


def reproduce(
    paper: Paper,
    names: Sequence[str],
    folder: Path | str,
    *,
    overwrite: bool = False,
    workers: int = 2,
    progress: Progress | None = None,
    written: Callable[[str], None] | None = None,
) -> list[Claim]:
    """Reproduce a paper's tables and figures; continue where an interrupted call stopped.

    Parameters
    ----------
    paper : Paper
    names : sequence of str
        Artefacts; all of them if empty.
    folder : path
        New, empty, or with the same reproduction, of which everything finished is kept.
    overwrite : bool
        Delete another reproduction that the folder holds.
    workers : int
        Processes; one works in this process.
    progress : callable, optional
        Called with the number of units finished since the last call; ``len(distinct_units(...))`` in all.
    written : callable, optional
        Called with the name of each artefact as soon as it is written.

    Returns
    -------
    list of Claim
        Of every artefact whose work is finished in the folder, asked for now or before.

    Raises
    ------
    OutputExists
        If the folder holds something else, or is being written.
    """
    parallel.check(workers, "loky")
    chosen = paper.choose(names)
    with (
        _folder_format(paper, Path(folder)).opened(folder, overwrite=overwrite) as folder,
        continued_by_the_same_call(),
    ):
        _prepare(paper, folder)
        run = _Run(folder, chosen, progress, written)
        missing = [unit for name, unit in run.units.items() if name not in run.results]
        if min(workers, len(missing)) == 1:
            for unit in missing:
                run.store(run_unit(unit))
        elif missing:
            parallel.for_each(run_unit, missing, run.store, workers=workers, backend="loky")
        return _write_claims(paper, names, folder)


class _Run:
    """Results of units in a folder, and the artefacts that wait for them."""

    def __init__(
        self, folder: Path, chosen: Sequence[Artefact], progress: Progress | None, written: Callable[[str], None] | None
    ) -> None:
        self.folder, self.waiting = folder, list(chosen)
        self.progress, self.written = progress, written
        self.units = distinct_units(chosen)
        make_folder(folder / WORK)
        self.results: dict[str, Result] = {}
        for artefact in chosen:
            self.results |= read_results(folder / WORK, artefact)
        self._advance(len(self.results))

    def store(self, done: tuple[Unit, bytes]) -> None:
        """Keep the result of a unit."""
        unit, data = done
        files.write_atomic(self.folder / WORK / f"{unit.name}.json", data)
        self.results[unit.name] = json.loads(data)["result"]
        self._advance(1)

    def _advance(self, finished: int) -> None:
        """Report finished units, and write the artefacts that waited for them."""
        if self.progress is not None and finished:
            self.progress(finished)
        for artefact in [made for made in self.waiting if all(unit.name in self.results for unit in made.units)]:
            write_artefact(artefact, self.results, self.folder)
            self.waiting.remove(artefact)
            if self.written is not None:
                self.written(artefact.name)


def run_unit(unit: Unit) -> tuple[Unit, bytes]:
    """Run one unit; the bytes are the content of its file."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    result = unit.function(**unit.parameters)
    content = {
        **_description(unit),
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - begin_cpu,
        "result": result,
    }
    return unit, json.dumps({**content, "sha256": _seal(content)}, allow_nan=False).encode()


def _seal(content: Mapping[str, Any]) -> str:
    return digest(json.dumps(content, sort_keys=True).encode())


def _description(unit: Unit) -> dict[str, Any]:
    """What is stored with the result of a unit."""
    return {"function": unit.function.__qualname__, "parameters": unit.parameters, "version": __version__}


def read_results(work: Path, artefact: Artefact) -> dict[str, Result]:
    """Read the results of an artefact's finished units by name; one that gives no rows is not finished."""

    def check(unit: Unit, result: Result) -> None:
        for row in artefact.rows(unit, result):
            numbers = [value for name, value in row.items() if name not in artefact.keys]
            if not numbers or not all(isinstance(value, int | float | None) for value in numbers):
                raise TypeError("a row holds no numbers, or others")

    read = {name: read_result(work, unit, partial(check, unit)) for name, unit in distinct_units([artefact]).items()}
    return {name: result for name, result in read.items() if result is not None}


def read_result(work: Path, unit: Unit, check: Callable[[Result], None] | None = None) -> Result | None:
    """Read the result of a unit; None if it is missing, its file is damaged or another unit's, or ``check`` fails."""
    path = work / f"{unit.name}.json"
    if not path.exists():
        return None
    with suppress(DamagedFile), refuse_damage(path, "does not hold what its table needs"):
        content = strict_json.parse(read_text(path))
        if content.pop("sha256", None) not in (None, _seal(content)):  # None: of an earlier version
            raise ValueError("it does not match its SHA-256")
        described = {name: content[name] for name in ("function", "parameters", "version")}
        if described != json.loads(json.dumps(_description(unit))):
            raise ValueError("it is another unit's")
        result: Result = content["result"]
        if check is not None:
            check(result)
        return result
    return None


def write_artefact(artefact: Artefact, results: Mapping[str, Result], folder: Path) -> None:
    """Write the table as CSV, once with intervals and once by replicate, and the picture as PNG."""
    frame = artefact.frame(results)
    summary = summarised(frame, artefact.keys)
    files.write_atomic(folder / f"{artefact.name}.csv", csv_tables.encode(summary))
    files.write_atomic(folder / f"{artefact.name}-replicates.csv", csv_tables.encode(frame))
    picture = io.BytesIO()
    artefact.draw(frame).savefig(picture, format="png", dpi=DPI, facecolor="white")
    files.write_atomic(folder / f"{artefact.name}.png", picture.getvalue())


def _folder_format(paper: Paper, folder: Path) -> FolderFormat:
    """All files of a reproduction: of this paper's, and of the one that the folder holds."""
    try:
        held = _read_run(folder / RUN).get("artefacts", [])
    except DamagedFile:
        held = []
    names = {artefact.name for artefact in paper.artefacts} | set(map(str, held if isinstance(held, list) else ()))
    made = [f"{re.escape(name)}{end}" for name in sorted(names) for end in (r"\.csv", r"-replicates\.csv", r"\.png")]
    return FolderFormat(
        {RUN: r'\{\s*"paper": "[^"]*",\s*"size": '}, (r"claims\.json", *made, WORK + r"/\w+-[0-9a-f]{24}\.json")
    )


def _prepare(paper: Paper, folder: Path) -> None:
    """Check that the folder is empty or holds the same reproduction, and write its description."""
    wanted = {"paper": paper.name, "size": paper.size, "settings": dict(paper.settings)}
    if (folder / RUN).exists():
        found = _read_run(folder / RUN)
        different = [name for name, value in wanted.items() if found.get(name) != value]
        if different:
            name = different[0]
            held, asked = (str(run.get(name)) for run in (found, wanted))
            raise OutputExists(
                f"{folder} holds another reproduction"
                + (f" (its {name} is {held}, not {asked})" if name != "settings" else " with other settings")
                + "; choose another folder or overwrite it"
            )
    artefacts = [artefact.name for artefact in paper.artefacts]
    run = {**wanted, "version": __version__, "shortened": list(paper.shortened), "artefacts": artefacts}
    files.write_atomic(folder / RUN, _json(run))


def _read_run(path: Path) -> dict[str, Any]:
    with refuse_damage(path, "does not describe a reproduction"):
        found = strict_json.parse(read_text(path))
        if not isinstance(found, dict):
            raise TypeError("it is no mapping")
        return found


def _write_claims(paper: Paper, names: Sequence[str], folder: Path) -> list[Claim]:
    """Write and return the claims of all artefacts that the folder holds, asked for now or before."""
    claims: list[Claim] = []
    asked = paper.choose(names)
    for artefact in paper.artefacts:
        if artefact not in asked and not (folder / f"{artefact.name}.csv").exists():
            continue  # Planning it may take long.
        finished = read_results(folder / WORK, artefact)
        if len(finished) == len(distinct_units([artefact])):
            claims += artefact.claims(artefact.frame(finished))
    files.write_atomic(folder / CLAIMS, _json([claim.row() for claim in claims]))
    run = _read_run(folder / RUN) | {"rules": {claim.claim: claim.rule for claim in claims}}
    files.write_atomic(folder / RUN, _json(run))
    return claims


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode() + b"\n"
