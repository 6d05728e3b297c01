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
    by_itself
        Whether nobody asked for it: it was due.
    """

    verb: str = ""
    state: JobState = JobState.IDLE
    done: int = 0
    total: int = 0
    speed_mvox_s: float | None = None
    seconds_left: float | None = None
    text: str = ""
    by_itself: bool = False

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
        self._limit_s: float | None = None
        self.status = JobStatus()

    def start(self, verb: str, limit_s: float | None = None) -> JobStatus:
        """Forget the last run and begin one.

        Parameters
        ----------
        limit_s
            Seconds of training at most, None for any.
        """
        self._started, self._voxels, self._first = self._clock(), 0, 0
        self._limit_s = limit_s
        self.status = JobStatus(verb=verb, state=JobState.RUNNING, text="starting")
        return self.status

    def by_itself(self) -> JobStatus:
        """Note that nobody asked for this run."""
        self.status = replace(self.status, by_itself=True)
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
                if event.done < self.status.done:  # another kind of work begins
                    self._started, self._first = self._clock(), event.done
                self._set(event.done, event.total, event.text)
            case StepDone():
                self._set(event.step, event.total, f"loss {event.loss:.3f}")
                self._heed_limit(event.seconds)
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

    def _heed_limit(self, seconds: float) -> None:
        """Promise no more time than a training with a limit has left."""
        left = self.status.seconds_left
        if left is not None and self._limit_s is not None:
            left = min(left, max(self._limit_s - seconds, 0.0))
            self.status = replace(self.status, seconds_left=left)


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, e.g. ``"1 stroke"``, ``"1,204 strokes"``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
