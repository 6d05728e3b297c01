"""The child process of long work: ``python -m napari_unetseg.app.child``.

The first line on standard input says what to do; every event is a line on standard
output. Later lines say where somebody looks, as ``{"look": [z, y, x]}``, or to stop. So
does the end of the input, because then the parent is gone: a window that dies takes no
half-finished work with it, and leaves no orphan behind.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from napari_unetseg.app import actions
from napari_unetseg.app.wire import to_line
from napari_unetseg.config import (
    AdaptConfig,
    AgreementConfig,
    Config,
    ConsensusConfig,
    EffortConfig,
    ExportConfig,
    NewProjectConfig,
    PredictConfig,
    TrainConfig,
)
from napari_unetseg.errors import Cancelled, UnetsegError
from napari_unetseg.events import Event, Look, Outcome, RunFinished, nobody_looks
from napari_unetseg.geometry import Zyx, zyx

_LOG = logging.getLogger(__name__)
CONFIGS: dict[str, type[Config]] = {
    "new_project": NewProjectConfig,
    "predict": PredictConfig,
    "train": TrainConfig,
    "adapt": AdaptConfig,
    "export": ExportConfig,
    "list_objects": ExportConfig,
    "sample": Config,
    "compare_raters": AgreementConfig,
    "make_consensus": ConsensusConfig,
    "measure_effort": EffortConfig,
}
_LOOKING = {"predict"}


def run(
    verb: str,
    arguments: dict[str, Any],
    on_event: Callable[[Event], None],
    is_cancelled: Callable[[], bool],
    look: Look = nobody_looks,
) -> RunFinished:
    """Do one verb of :mod:`napari_unetseg.app.actions`, whatever happens.

    Parameters
    ----------
    verb
        One of ``CONFIGS``.
    arguments
        ``config`` as plain data, and the paths that the action takes.
    look
        Where somebody looks, for verbs that do what is near first.
    """
    action = getattr(actions, verb)
    config = CONFIGS[verb].model_validate(arguments.pop("config", {}))
    paths = {name: Path(value) for name, value in arguments.items()}
    more = {"look": look} if verb in _LOOKING else {}
    try:
        result = action(
            **paths,
            config=config,
            on_event=on_event,
            is_cancelled=is_cancelled,
            **more,
        )
    except Cancelled as error:
        return RunFinished(Outcome.CANCELLED, error=str(error))
    except UnetsegError as error:
        return RunFinished(
            Outcome.FAILED, error=str(error), details=traceback.format_exc()
        )
    except Exception as error:  # noqa: BLE001
        # The last fence of the process: the window must hear of it as a sentence.
        _LOG.exception("%s failed", verb)
        sentence = f"The {verb} process failed: {type(error).__name__}: {error}"
        return RunFinished(
            Outcome.FAILED, error=sentence, details=traceback.format_exc()
        )
    outcome = Outcome(result.get("outcome", Outcome.DONE))
    return RunFinished(outcome, result=result)


def main(stdin: IO[str] = sys.stdin) -> int:
    """Read a job, do it, say how it ended."""
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    # Libraries that print must not end up between the events.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _give_way()
    job = json.loads(stdin.readline())
    parent = _Parent()
    threading.Thread(target=parent.listen, args=(stdin,), daemon=True).start()

    def send(event: Event) -> None:
        try:
            events.write(to_line(event) + "\n")
        except (BrokenPipeError, ValueError):
            parent.stop.set()

    finished = run(job["verb"], job["arguments"], send, parent.stop.is_set, parent.look)
    send(finished)
    return 0 if finished.outcome is not Outcome.FAILED else 1


def _give_way() -> None:
    """Let the window, and all that somebody works with, go first."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
        # It never interrupts what runs, and beside busy programs it still gets on: as
        # an idle one (SCHED_IDLE) it stood still as long as anything else computed.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class _Parent:
    """What the parent says while the work goes on."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._place: Zyx | None = None

    def look(self) -> Zyx | None:
        """Return where somebody looks."""
        return self._place

    def listen(self, stdin: IO[str]) -> None:
        """Take lines until the parent wants an end, or is gone."""
        for line in stdin:
            try:
                self._place = zyx(json.loads(line)["look"])
            except (ValueError, TypeError, KeyError):
                break
        self.stop.set()


if __name__ == "__main__":
    # Daemon threads may still hold standard input: leave without waiting for them.
    code = main()
    sys.stderr.flush()
    os._exit(code)
