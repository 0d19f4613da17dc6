"""What starts quickly stays so because it leaves the heavy libraries alone."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("cvxpy", "highspy", "matplotlib", "numba", "pandas", "pyarrow", "pyomo", "pyscipopt", "ray", "torch")


STATEMENTS = (
    "import offloadopt",
    "offloadopt.problem('multi_server').sample(1, seed=0)",
    "from offloadopt.cli import main; main(['--help'])",
    "main(['solve', '--help'])",
    "main(['--version'])",
)


def test_a_fresh_interpreter_imports_no_heavy_library() -> None:
    report = f"; import sys; print('loaded:', *(name for name in {HEAVY} if name in sys.modules))"
    code = "\n".join(statement + report for statement in STATEMENTS)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = [line for line in ran.stdout.splitlines() if line.startswith("loaded:")]
    assert dict(zip(STATEMENTS, loaded, strict=True)) == dict.fromkeys(STATEMENTS, "loaded:")
