"""The version stands in one place."""

from __future__ import annotations

import re

import offloadopt
from offloadopt.version import __version__


def test_the_package_has_the_version_of_its_module() -> None:
    assert offloadopt.__version__ == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
