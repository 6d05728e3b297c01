"""One long job at a time, in a child process, seen from the process of the window."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from napari_unetseg.app.status import JobState
from napari_unetseg.app.wire import from_line
from napari_unetseg.config import Config
from napari_unetseg.events import Event, Message, Outcome, RunFinished
from napari_unetseg.geometry import Zyx

CANCEL_GRACE_S = 20.0
KEEPING_GRACE_S = 300.0  # a training that is stopped keeps and compares what it has
EVENTS_PER_POLL = 200


class JobRunner:
    """Starts child processes and hands over their events.

    Nothing here calls back from another thread: the owner calls :meth:`poll`, on the
    thread that it wants the events on.
    """

    def __init__(self) -> None:
        self.state = JobState.IDLE
        self.verb = ""
        self._process: subprocess.Popen[str] | None = None
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._errors: IO[str] | None = None
        self._finished = False
        self._cancelled_at = 0.0

    def start(self, verb: str, config: Config, **paths: Path | str) -> None:
        """Start a job.

        Raises
        ------
        RuntimeError
            If one is running already.
        """
        if self.state is not JobState.IDLE:
            raise RuntimeError(f"A {self.verb} job is still running.")
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "napari_unetseg.app.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            # Ctrl+C in a terminal reaches the window only. Not a new session: Linux
            # shares the processor evenly between sessions, however nice they are.
            process_group=0,
        )
        self._tell(_job_line(verb, config, paths))
        self.verb, self.state, self._finished = verb, JobState.RUNNING, False
        self._events = queue.SimpleQueue()
        self._reader = threading.Thread(
            target=_read_events,
            args=(self._process.stdout, self._events),
            daemon=True,
        )
        self._reader.start()

    def poll(self) -> list[Event]:
        """Return what the child said since the last call, ``RunFinished`` at last."""
        if self._process is None:
            return []
        events = self._drain()
        self._enforce_cancel()
        if not self._finished and self._reader is not None:
            # All that a dead child wrote is in the queue once its reader has ended.
            dead = self._process.poll() is not None and not self._reader.is_alive()
            if dead and self._events.empty() and not _has_end(events):
                events.append(self._unexpected_end())
        if _has_end(events):
            self._clean_up()
        return events

    def cancel(self) -> None:
        """Ask the child to stop; after a grace period it is ended."""
        if self.state is JobState.RUNNING:
            self.state = JobState.CANCELLING
            self._cancelled_at = time.monotonic()
            self._tell("cancel\n")

    def look_at(self, voxel: Zyx) -> None:
        """Tell the child where somebody looks, so that it goes on there."""
        if self.state is JobState.RUNNING:
            self._tell(json.dumps({"look": list(voxel)}) + "\n")

    def close(self) -> None:
        """End whatever runs, without waiting for it to finish."""
        if self._process is not None:
            self._process.kill()
            self._clean_up()

    @property
    def process_id(self) -> int | None:
        """Process id of the child, None if there is none."""
        return None if self._process is None else self._process.pid

    def _drain(self) -> list[Event]:
        events: list[Event] = []
        while len(events) < EVENTS_PER_POLL and not self._events.empty():
            events.append(self._events.get())
        return events

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (BrokenPipeError, OSError):
            return  # the child is gone; poll() says so

    def _enforce_cancel(self) -> None:
        waited = time.monotonic() - self._cancelled_at
        grace = KEEPING_GRACE_S if self.verb == "train" else CANCEL_GRACE_S
        if self.state is JobState.CANCELLING and waited > grace:
            assert self._process is not None
            self._process.kill()

    def _unexpected_end(self) -> RunFinished:
        assert self._process is not None
        if self.state is JobState.CANCELLING:
            return RunFinished(Outcome.CANCELLED)
        code = self._process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        reason = " It may have run out of memory." if code == -9 else ""
        return RunFinished(
            Outcome.FAILED,
            error=f"The {self.verb} process ended unexpectedly ({how}).{reason} "
            "What it finished is kept; start it again to go on.",
            details=self._error_output(),
        )

    def _error_output(self) -> str:
        assert self._errors is not None
        self._errors.seek(0)
        return self._errors.read()[-8000:]

    def _clean_up(self) -> None:
        assert self._process is not None
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # a pipe whose other end is gone
        try:
            self._process.wait(timeout=CANCEL_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._errors is not None:
            self._errors.close()
        self._process = self._errors = None
        self.state, self._finished = JobState.IDLE, True


def _job_line(verb: str, config: Config, paths: dict[str, Path | str]) -> str:
    arguments: dict[str, Any] = {name: str(path) for name, path in paths.items()}
    arguments["config"] = config.model_dump(mode="json")
    return json.dumps({"verb": verb, "arguments": arguments}) + "\n"


def _read_events(stream: IO[str], events: queue.SimpleQueue[Event]) -> None:
    try:
        for line in stream:
            events.put(_parse(line))
    except ValueError:
        return  # the stream was closed under us


def _parse(line: str) -> Event:
    try:
        return from_line(line)
    except ValueError:
        return Message(line.rstrip(), level="warning")


def _has_end(events: list[Event]) -> bool:
    return any(isinstance(event, RunFinished) for event in events)
