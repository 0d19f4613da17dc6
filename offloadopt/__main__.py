"""``python -m offloadopt`` is the command line."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C while it is imported is no error either."""
    try:
        from offloadopt.cli import main as run
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
