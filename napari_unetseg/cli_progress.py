"""What a person at a terminal sees: progress on standard error, results as lines."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from napari_unetseg.events import (
    BlockDone,
    BlockState,
    Event,
    IsCancelled,
    Message,
    OnEvent,
    Progress,
    RunStarted,
    StepDone,
    ignore_event,
)

if TYPE_CHECKING:
    import rich.progress


@contextlib.contextmanager
def shown(*, quiet: bool = False) -> Iterator[OnEvent]:
    """Give a listener that draws a bar per run; nothing if ``quiet``."""
    if quiet:
        yield ignore_event
        return
    from rich import progress
    from rich.console import Console

    bar = progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=sys.stderr),
    )
    with bar:
        yield _Bar(bar)


class _Bar:
    """Turns events into the state of the last bar that was started."""

    def __init__(self, bar: rich.progress.Progress) -> None:
        self._bar = bar
        self._task: rich.progress.TaskID | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._task = self._bar.add_task(
                    f"{event.verb} {event.subject}".strip(),
                    total=event.total,
                    completed=event.finished,
                    text="",
                )
            case Progress():
                self._move(event.done, event.total, event.text)
            case StepDone():
                self._move(event.step, event.total, _step_text(event))
            case BlockDone():
                self._block(event)
            case Message():
                self._say(event.text)

    def _move(self, done: int, total: int, text: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total, text=text)

    def _block(self, event: BlockDone) -> None:
        if self._task is not None:
            self._bar.advance(self._task)
        if event.state is BlockState.FAILED:
            self._say(f"block {event.index} failed: {event.reason}")

    def _say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)


@contextlib.contextmanager
def interruptible() -> Iterator[IsCancelled]:
    """Let Ctrl+C ask for a clean stop; a second one interrupts at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def as_lines(result: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a result as lines that people read."""
    width = max((len(str(key)) for key in result), default=0)
    for key, value in result.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{key}"
            yield from as_lines(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield f"{indent}{key}"
            for row in value:
                yield from as_lines(row, indent + "  ")
        else:
            yield f"{indent}{key!s:{width}}  {_text(value)}"


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple | Mapping):
        return ", ".join(_text(part) for part in value) or "none"
    return str(value)


def _step_text(event: StepDone) -> str:
    dice = " ".join(f"{name} {value:.2f}" for name, value in event.dice.items())
    return f"loss {event.loss:.3f}" + (f"  Dice {dice}" if dice else "")
