"""Counting the steps of long work: progress for people, and the place to stop at."""

from __future__ import annotations

from napari_unetseg.errors import Cancelled
from napari_unetseg.events import IsCancelled, OnEvent, Progress, RunStarted


class Steps:
    """The steps of one run; says ``RunStarted`` when made.

    Parameters
    ----------
    verb, total, subject
        As in :class:`napari_unetseg.events.RunStarted`.
    noun
        What is stopped, as the beginning of a sentence: ``"The export"``.
    """

    def __init__(
        self,
        verb: str,
        total: int,
        on_event: OnEvent,
        is_cancelled: IsCancelled,
        *,
        subject: str = "",
        noun: str = "The run",
    ) -> None:
        self._total, self._done = total, 0
        self._on_event, self._is_cancelled = on_event, is_cancelled
        self._noun = noun
        on_event(RunStarted(verb, total, subject=subject))

    def check(self) -> None:
        """Stop here if somebody asked to.

        Raises
        ------
        Cancelled
            If somebody did.
        """
        if self._is_cancelled():
            raise Cancelled(f"{self._noun} was stopped", do="Nothing was written.")

    def done(self, text: str = "") -> None:
        """Count a step as finished."""
        self._done += 1
        self._on_event(Progress(self._done, self._total, text))
