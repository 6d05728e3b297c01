"""The command line: parses, calls :mod:`napari_unetseg.app.actions`, prints.

Results go to standard output, everything else to standard error. Exit codes: 0 done,
1 an error that one sentence explains, 2 wrong usage, 130 interrupted.

Nothing heavy is imported before a command is chosen, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Sequence

from napari_unetseg import __version__
from napari_unetseg.cli_commands import add_commands
from napari_unetseg.cli_parts import Result, Run, examples
from napari_unetseg.cli_progress import as_lines, interruptible, shown
from napari_unetseg.errors import Cancelled, JobFailedError, UnetsegError
from napari_unetseg.events import Outcome

OK, ERROR, USAGE, INTERRUPTED = 0, 1, 2, 130

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    try:
        arguments = build_parser().parse_args(argv)
        return _run(arguments)
    except SystemExit as stop:  # how argparse ends, after help and after wrong usage
        return stop.code if isinstance(stop.code, int) else USAGE


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="napari-unetseg",
        description="Segment 3D volumes larger than memory: predict, see where raters "
        "disagree, correct, learn.",
        epilog=examples(
            "napari-unetseg open volume.zarr",
            "napari-unetseg demo",
        )
        + "\n\nnapari-unetseg COMMAND --help explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    add_commands(parser)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    outcome, result, code = Outcome.DONE, {}, OK
    try:
        result = _result(arguments)
        outcome = Outcome(result.pop("outcome", Outcome.DONE))
        code = result.pop("exit_code", OK)
        outcome = Outcome.FAILED if code else outcome
        if outcome is Outcome.CANCELLED:
            raise Cancelled("Stopped", do="The same command goes on from here.")
        if result.get("failed"):
            raise JobFailedError(
                f"{result['failed']} blocks failed, the first one because: "
                + result["failed_because"],
                do="The same command tries them again, --only-failed no others.",
            )
    except (Cancelled, KeyboardInterrupt) as error:
        outcome, code = Outcome.CANCELLED, INTERRUPTED
        result["error"] = str(error) or "Interrupted."
    except UnetsegError as error:
        outcome, code = Outcome.FAILED, ERROR
        result["error"] = str(error)
        _say_details(arguments)
    except Exception as error:  # noqa: BLE001
        # The last fence: a person gets a sentence, --debug gives the rest.
        _LOG.debug("unexpected", exc_info=True)
        outcome, code = Outcome.FAILED, ERROR
        result["error"] = (
            f"Unexpected {type(error).__name__}: {error}. This is a fault of the "
            "program; --debug shows where."
        )
        _say_details(arguments)
    _say(arguments, outcome, result)
    return code


def _result(arguments: argparse.Namespace) -> Result:
    run: Run = arguments.run
    # What is not long work leaves nothing half-done: there Ctrl+C simply ends it.
    stop = interruptible() if arguments.is_long else contextlib.nullcontext(_never)
    with (
        # Libraries that print must not end up in the result.
        contextlib.redirect_stdout(sys.stderr),
        stop as is_cancelled,
        shown(quiet=arguments.quiet or not arguments.is_long) as on_event,
    ):
        return run(arguments, on_event, is_cancelled)


def _never() -> bool:
    return False


def _say(arguments: argparse.Namespace, outcome: Outcome, result: Result) -> None:
    if "error" in result:
        print(f"napari-unetseg: {result['error']}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"outcome": outcome.value, **result}, default=str))
        return
    for line in as_lines({k: v for k, v in result.items() if k != "error"}):
        print(line)


def _say_details(arguments: argparse.Namespace) -> None:
    if arguments.debug:
        print(traceback.format_exc(), file=sys.stderr)
