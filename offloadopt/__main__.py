"""``python -m offloadopt`` is the command line."""

import sys

from offloadopt.cli import main

if __name__ == "__main__":
    sys.exit(main())
