"""The command line: every command parses, calls one library function and prints.

Tables and ``--json`` go to stdout; progress, notes and errors go to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from offloadopt import interrupts
from offloadopt.cli import commands, listing, reproduce, template, terminal, verify
from offloadopt.errors import OffloadError

TRACEBACK = "OFFLOADOPT_TRACEBACK"

app = typer.Typer(
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 no feasible solution, 130 interrupted.",
)
app.command("list")(listing.list_)
app.command()(commands.solve)
app.command()(verify.verify)
app.command()(template.template)
app.command()(commands.demos)
app.command()(commands.train)
app.command()(commands.compare)
app.command()(reproduce.reproduce)


@app.callback()
def offloadopt(
    version: bool = typer.Option(
        False, "--version", callback=terminal.print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Task offloading in mobile edge computing: solved with proof, demonstrated, learned and compared."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; every fault is one line on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without them those of the process.
    """
    try:
        with interrupts.ending_command():
            status = _run(arguments)
    except KeyboardInterrupt as stop:
        return terminal.fail(f"interrupted: {stop}" if str(stop) else "interrupted", terminal.INTERRUPTED)
    return terminal.fail("interrupted", status) if status == terminal.INTERRUPTED else status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = int(app(args=arguments, prog_name="offloadopt", standalone_mode=False) or 0)
        sys.stdout.flush()
        return status
    except typer.Abort as abort:
        reason = abort.__cause__ or abort.__context__  # typer raises it in place of the interruption, which says more
        raise KeyboardInterrupt(*getattr(reason, "args", ())) from None
    except Exception as error:
        # What fails while a signal ends the command fails because of it: a torn library call, a worker that has gone.
        return terminal.INTERRUPTED if interrupts.ending() else _report(error)


def _report(error: Exception) -> int:
    """Say in one line what went wrong; hands the exit status back."""
    try:
        raise error
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "offloadopt"
        return terminal.fail(f"{error.format_message().rstrip('.')} (see {command} --help)", error.exit_code)
    except OffloadError as error:
        return terminal.fail(str(error), error.exit_status)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); Python's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return terminal.fail(f"{place}{error.strerror or error}", 1)
    except MemoryError as error:
        return terminal.fail(f"not enough memory: {error}", 1)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        return terminal.fail(f"unexpected {type(error).__name__}: {error} ({TRACEBACK}=1 shows where)", 1)
