"""``python -m offloadopt.certificates FILE``: check a certificate with the standard library alone."""

from __future__ import annotations

import sys

from offloadopt.certificates.assignment import Rejected
from offloadopt.certificates.checker import check, line


def main(arguments: list[str]) -> int:
    """Print what each file proves; 1 where one is rejected."""
    try:
        for path in arguments:
            for verdict in check(path):
                print(line(verdict))
    except (Rejected, OSError) as fault:
        print(f"rejected: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
