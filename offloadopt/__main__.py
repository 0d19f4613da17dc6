"""``python -m offloadopt`` is the command line."""

import gc
import signal
import sys


def main() -> int:
    """Run the command line, which Ctrl-C and SIGTERM end quietly from its first import to its last cleanup."""
    status = 130
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        from offloadopt.cli import main as run

        status = run()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is signal.default_int_handler:
            signal.signal(number, signal.SIG_DFL)  # nothing is left to be kept
    gc.freeze()  # else Python would look through all of torch's and numba's objects before it ends
    return status


if __name__ == "__main__":
    sys.exit(main())
