"""What long work says while it runs: frozen values that travel between processes.

The same events feed the command line's progress bar, the window's status line and
the tests. A run begins with one ``RunStarted`` and ends with one ``RunFinished``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from napari_unetseg.geometry import Box, Zyx


class BlockState(StrEnum):
    """What is known of a block; ``EMPTY`` blocks were skipped on purpose."""

    PENDING = "todo"
    RUNNING = "running"
    DONE = "done"
    EMPTY = "empty"
    FAILED = "failed"


class Outcome(StrEnum):
    """How a run ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins.

    Attributes
    ----------
    verb
        ``"predict"``, ``"train"``, ``"adapt"``, ``"convert"``, ``"export"``,
        ``"agreement"``, ``"consensus"`` or ``"import"``.
    total
        Units of work in the whole run: blocks, steps or chunks.
    finished
        Units that an earlier run already did.
    subject
        What the run works on: a model version, a file name.
    """

    verb: str
    total: int
    finished: int = 0
    subject: str = ""


@dataclass(frozen=True, slots=True)
class BlocksPlanned:
    """The grid of a prediction and the state of its blocks before the run.

    ``selected`` are the blocks that this run wants, ``states`` those known already.
    """

    counts: Zyx
    block: Zyx
    selected: tuple[int, ...]
    states: Mapping[int, BlockState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """A block is being read or predicted."""

    index: int


@dataclass(frozen=True, slots=True)
class BlockDone:
    """A block ended as ``DONE``, ``EMPTY`` or ``FAILED`` (then with a reason)."""

    index: int
    write_box: Box
    state: BlockState
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` units are finished; for work without blocks."""

    done: int
    total: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class LearnsFrom:
    """What a training learns from: what is labelled from here on has to wait.

    Attributes
    ----------
    said
        In words, e.g. ``"1,204 voxels in 7 regions by Ana and Bo"``.
    strokes
        Ids of the edits among it.
    annotators
        Whose corrections count; everybody's if empty.
    """

    said: str
    strokes: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepDone:
    """One training step.

    Attributes
    ----------
    loss
        Training loss of the step.
    dice
        Dice per class name on held-out labels; empty if not measured at this step.
    """

    step: int
    total: int
    loss: float
    dice: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for the log; ``level`` is ``"info"`` or ``"warning"``."""

    text: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run ended.

    Attributes
    ----------
    result
        Plain values that the verb promises (paths, counts, seconds).
    error
        One sentence for a person; empty unless the outcome is ``FAILED``.
    details
        The traceback, for the fold below the sentence.
    """

    outcome: Outcome
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    details: str = ""


Event: TypeAlias = (
    RunStarted
    | BlocksPlanned
    | BlockStarted
    | BlockDone
    | Progress
    | LearnsFrom
    | StepDone
    | Message
    | RunFinished
)
OnEvent: TypeAlias = Callable[[Event], None]
IsCancelled: TypeAlias = Callable[[], bool]
Look: TypeAlias = Callable[[], Zyx | None]
"""Says at which voxel somebody looks now, so that its surroundings come first."""


def ignore_event(event: Event) -> None:
    """Take an event and do nothing: the default listener."""


def nobody_looks() -> Zyx | None:
    """Say that nobody looks anywhere: the default."""
    return None


def never_cancelled() -> bool:
    """Say that nobody asked to stop: the default."""
    return False
