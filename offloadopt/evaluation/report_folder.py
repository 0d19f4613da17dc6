"""Folder of a report: the same comparison finds it finished there and shows it again; any other is refused.

``report.json`` says what was compared (`comparison_inputs`). It is written first, as a mark of what is unfinished, and
last, so that a process killed at any moment leaves a folder in which the same call goes on.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offloadopt.core import Instances, Method, Policy, Problem, Settings
from offloadopt.errors import DamagedFile, OutputExists
from offloadopt.files import write_atomic
from offloadopt.folders import FolderFormat, make_folder
from offloadopt.formats import strict_json
from offloadopt.formats.reading import digest, digest_arrays, read_bytes, refuse_damage
from offloadopt.settings import difference

MARK = "report.json"
UNFINISHED = "unfinished"
"""Field of a ``report.json`` that was written before the rest of its report."""
FILES = ("gap.png", "gap_time.png", "per_instance.parquet", "report.csv", "report.html")
FOLDER = FolderFormat({MARK: r'\{\s*"problem": "[^"]*",\s*"scenario": '}, [name.replace(".", r"\.") for name in FILES])


def comparison_inputs(
    problem: Problem[Any],
    methods: Mapping[str, Method],
    instances: Instances,
    *,
    seed: int,
    reference: str | None,
    paired_with: str | None,
) -> dict[str, Any]:
    """Return all that determines a comparison but for its times, as JSON values."""
    return {
        "problem": problem.name,
        "scenario": problem.scenario.model_dump(mode="json"),
        "methods": {name: _identity(method) for name, method in methods.items()},
        "order": list(methods),
        "instances_sha256": digest_arrays(instances),
        "seed": seed,
        "reference": reference,
        "paired_with": paired_with,
    }


def _identity(method: Method) -> dict[str, Any]:
    """What a method does: its name and settings, and the files that a policy is saved as."""
    found: dict[str, Any] = {"name": method.name}
    if isinstance(method, Settings):
        found["settings"] = method.model_dump(mode="json")
    if isinstance(method, Policy):
        with tempfile.TemporaryDirectory() as place:
            method.save(Path(place))
            found["sha256"] = {path.name: digest(path.read_bytes()) for path in sorted(Path(place).iterdir())}
    return found


@contextmanager
def report_folder(
    path: str | Path, inputs: Mapping[str, Any], *, overwrite: bool = False
) -> Iterator[dict[str, Any] | None]:
    """Open a folder for the report on a comparison, and lock it.

    Parameters
    ----------
    path : path
        New, empty, or with the same comparison, finished or not.
    inputs : mapping
        As `comparison_inputs` returned them.
    overwrite : bool
        Remove whatever report the folder holds.

    Yields
    ------
    dict or None
        Contents of ``report.json`` if the same comparison is finished in the folder.

    Raises
    ------
    OutputExists
        If the folder holds the report on another comparison or anything else, or another process writes to it.
    DamagedFile
        If the finished report is not as it was written.
    """
    with FOLDER.opened(path, overwrite=overwrite) as folder:
        yield _finished(folder, json.loads(json.dumps(inputs)))


def write(folder: str | Path, report: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Write a report: ``report.json`` as a mark, the contents of other files by name, and ``report.json`` whole."""
    folder = make_folder(folder)
    begin = {name: report[name] for name in ("problem", "scenario")}
    write_atomic(folder / MARK, json.dumps({**begin, UNFINISHED: True}).encode())
    for name, data in contents.items():
        write_atomic(folder / name, data)
    sealed = {**report, "sha256": _seal(report)}
    write_atomic(folder / MARK, json.dumps(sealed, indent=2, allow_nan=False).encode())


def _finished(folder: Path, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """Read the finished report on a comparison, if there is one."""
    path = folder / MARK
    if not path.exists():
        return None
    with refuse_damage(path, "is no report"):
        found: dict[str, Any] = strict_json.parse(read_bytes(path))
        if found.get(UNFINISHED) is True:
            return None
        its = found.get("inputs")
    differ = difference(its, inputs) if its else ""
    if not its or differ:
        which = f"another report ({differ})" if differ else "a report"
        raise OutputExists(f"{folder} is not empty: it holds {which}; choose another folder or overwrite it")
    if found.pop("sha256", None) != _seal(found):
        raise DamagedFile(f"{path} is damaged: its fields do not match their SHA-256; overwrite it")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DamagedFile(f"{folder} holds no {missing[0]} any more; overwrite it")
    return found


def _seal(report: Mapping[str, Any]) -> str:
    return digest(json.dumps(report, sort_keys=True).encode())
