"""What is shipped is what is on disk, and what is installed is what is pinned."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import offloadopt

ROOT = Path(__file__).parents[1]
TOP_LEVEL = ("solvers", "learners", "datasets")


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    """Version of every pinned package, by its canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            found[canonicalize_name(name)] = version
    return found


def shipped_sources() -> dict[str, Path]:
    """Every Python file of the toolkit, by its path inside a wheel."""
    found = {}
    for folder in ("offloadopt", *TOP_LEVEL):
        inside = Path("offloadopt") / ("" if folder == "offloadopt" else folder)
        for path in (ROOT / folder).rglob("*.py"):
            relative = path.relative_to(ROOT / folder)
            # Where a walk follows symlinks, offloadopt/solvers would be met twice.
            if folder != "offloadopt" or relative.parts[0] not in TOP_LEVEL:
                found[(inside / relative).as_posix()] = path
    return found


def requirements(pyproject: dict[str, Any]) -> list[Requirement]:
    project = pyproject["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def test_the_package_list_is_what_is_on_disk(pyproject: dict[str, Any]) -> None:
    listed = pyproject["tool"]["setuptools"]["packages"]
    on_disk = {Path(name).parent.as_posix().replace("/", ".") for name in shipped_sources()}
    assert sorted(listed) == sorted(on_disk)


def test_every_package_folder_has_an_init() -> None:
    sources = shipped_sources()
    folders = {Path(name).parent.as_posix() for name in sources}
    assert sorted(folder for folder in folders if f"{folder}/__init__.py" not in sources) == []


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_the_symlinks_lead_to_the_top_level_folders(name: str) -> None:
    link = ROOT / "offloadopt" / name
    assert link.is_symlink()
    assert link.readlink().as_posix() == f"../{name}"
    assert link.resolve() == (ROOT / name).resolve()


def test_the_version_is_the_same_everywhere(pyproject: dict[str, Any]) -> None:
    assert pyproject["project"]["dynamic"] == ["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.search(r"^version: (\S+)$", citation, flags=re.MULTILINE)
    assert cited is not None
    assert cited[1] == offloadopt.__version__


def test_every_direct_dependency_is_pinned_inside_its_range(pyproject: dict[str, Any], pins: dict[str, str]) -> None:
    wrong = [
        f"{requirement}: pinned {pins.get(canonicalize_name(requirement.name))}"
        for requirement in requirements(pyproject)
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]
    assert wrong == []


def test_pins_are_plain_versions(pins: dict[str, str]) -> None:
    """A build's local label (`+cpu`), a path or an address would hold on one machine only."""
    wrong = {name: version for name, version in pins.items() if not re.fullmatch(r"\d[\w.]*", version)}
    assert wrong == {}
    assert pins["torch"] == "2.13.0"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, so that the build leaves nothing in the tree.

    The copy lacks the symlinks, as a checkout on a system without them does: package-dir alone must lead there.
    """
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "tree"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("offloadopt", *TOP_LEVEL):
        left_out = shutil.ignore_patterns("__pycache__", *(TOP_LEVEL if name == "offloadopt" else ()))
        shutil.copytree(ROOT / name, copy / name, ignore=left_out)
    # The installed setuptools builds it: no isolation, hence no network.
    build = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_source_file_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.endswith(".py")}
    assert sorted(held) == sorted(shipped_sources())


def test_the_wheel_holds_the_files_that_are_no_code(wheel: Path) -> None:
    sources = [ROOT / "offloadopt", *(ROOT / name for name in TOP_LEVEL)]
    on_disk = {
        path.name
        for source in sources
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {Path(name).name for name in archive.namelist() if ".dist-info/" not in name and name[-3:] != ".py"}
    assert sorted(held) == sorted(on_disk)


def test_the_wheel_solves_a_problem_without_the_tree(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    # -P keeps the folder it runs in off the path; what is imported must lie in the wheel even where an editable
    # installation offers the same names.
    code = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1]); import offloadopt;"
        "found = [importlib.import_module('offloadopt.' + name) for name in sys.argv[2:]];"
        "assert all(module.__file__.startswith(sys.argv[1]) for module in [offloadopt, *found]);"
        "problem = offloadopt.problem('multi_server', users=4);"
        "print(offloadopt.solve(problem, problem.sample(1, seed=0)))"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "site"), *TOP_LEVEL]
    plain = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # kernels of a new place would be compiled
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=plain)
    assert done.stdout.startswith("OPTIMAL: cost "), done.stderr


def test_every_module_has_a_test_file_of_its_name() -> None:
    untested = []
    for name in shipped_sources():
        path = Path(name).relative_to("offloadopt")
        if path.name != "__init__.py" and not (ROOT / "tests" / path.with_name(f"test_{path.name}")).exists():
            untested.append(path.as_posix())
    assert sorted(untested) == []


def test_no_room_of_solvers_or_learners_holds_more_than_sixteen_files() -> None:
    folders = Counter(Path(name).parent.as_posix() for name in shipped_sources())
    rooms = ("offloadopt/solvers", "offloadopt/learners")
    assert {name: count for name, count in folders.items() if name.startswith(rooms) and count > 16} == {}


def test_the_wheel_declares_its_version_license_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(names["METADATA"]).decode()
        commands = archive.read(names["entry_points.txt"]).decode()
    assert f"\nVersion: {offloadopt.__version__}\n" in metadata
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "LICENSE" in names
    assert "offloadopt = offloadopt.__main__:main" in commands
