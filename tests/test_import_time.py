"""What starts quickly stays so because it leaves the heavy libraries alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("cvxpy", "highspy", "matplotlib", "numba", "pandas", "pyarrow", "pyomo", "pyscipopt", "ray", "torch")


@pytest.mark.parametrize(
    "statement",
    [
        "import offloadopt",
        "import offloadopt; offloadopt.problem('multi_server').sample(1, seed=0)",
        "from offloadopt.cli import main; main(['--help'])",
        "from offloadopt.cli import main; main(['solve', '--help'])",
        "from offloadopt.cli import main; main(['--version'])",
    ],
)
def test_a_fresh_interpreter_imports_no_heavy_library(statement: str) -> None:
    report = f"{statement}; import sys; print('loaded:', *(name for name in {HEAVY} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "loaded:"
