"""Frozen values that the window shows, and the meter that computes one of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from napari_unetseg.events import (
    BlockDone,
    BlockState,
    Event,
    Progress,
    RunFinished,
    RunStarted,
    StepDone,
)


class JobState(StrEnum):
    """What the runner of long jobs is doing."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"


@dataclass(frozen=True)
class JobStatus:
    """What the status line shows.

    Attributes
    ----------
    speed_mvox_s
        Million voxels per second of a prediction, None for other work.
    seconds_left
        Estimate, None while there is none.
    """

    verb: str = ""
    state: JobState = JobState.IDLE
    done: int = 0
    total: int = 0
    speed_mvox_s: float | None = None
    seconds_left: float | None = None
    text: str = ""

    @property
    def is_idle(self) -> bool:
        """Whether a new job may start."""
        return self.state is JobState.IDLE


class SaveKind(StrEnum):
    """The three states of the mark in the header."""

    SAVED = "saved"
    SAVING = "saving"
    NOT_SAVED = "not_saved"


@dataclass(frozen=True)
class SaveState:
    """Whether what the person did is on disk; if not, why, and what to do."""

    kind: SaveKind = SaveKind.SAVED
    reason: str = ""
    do: str = ""


@dataclass(frozen=True)
class Notice:
    """A sentence for the person; ``level`` is ``info``, ``warning`` or ``error``."""

    level: str
    text: str
    details: str = ""


class ProgressMeter:
    """Folds the events of one run into a :class:`JobStatus`.

    Speed and time left are means over the whole run: steady rather than nervous.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = 0.0
        self._voxels = 0
        self._first = 0
        self.status = JobStatus()

    def start(self, verb: str) -> JobStatus:
        """Forget the last run and begin one."""
        self._started, self._voxels, self._first = self._clock(), 0, 0
        self.status = JobStatus(verb=verb, state=JobState.RUNNING, text="starting")
        return self.status

    def cancelling(self) -> JobStatus:
        """Note that somebody asked to stop."""
        self.status = replace(self.status, state=JobState.CANCELLING, text="stopping")
        return self.status

    def take(self, event: Event) -> JobStatus:
        """Return the status after ``event``."""
        match event:
            case RunStarted():
                self._started, self._first = self._clock(), event.finished
                self._set(event.finished, event.total, event.subject)
            case BlockDone():
                if event.state is BlockState.DONE:
                    self._voxels += event.write_box.n_voxels
                self._set(self.status.done + 1, self.status.total, self.status.text)
            case Progress():
                self._set(event.done, event.total, event.text)
            case StepDone():
                self._set(event.step, event.total, f"loss {event.loss:.3f}")
            case RunFinished():
                self.status = JobStatus()
        return self.status

    def _set(self, done: int, total: int, text: str) -> None:
        seconds = max(self._clock() - self._started, 1e-6)
        worked = done - self._first
        self.status = replace(
            self.status,
            done=done,
            total=total,
            text=text,
            speed_mvox_s=self._voxels / seconds / 1e6 if self._voxels else None,
            seconds_left=(total - done) * seconds / worked if worked > 0 else None,
        )


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, e.g. ``"1 stroke"``, ``"1,204 strokes"``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
