"""An edit that takes a moment is worked out in a thread, and written when it is ready.

::

    verb ──▶ thread ──▶ ready within the session's patience ──▶ one stroke
                  │     later ──▶ poll ──▶ nothing changed there ──▶ one stroke
                  └──── something was changed there meanwhile: once more
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from napari_unetseg.app.editing import EditingVerbs
from napari_unetseg.app.status import Notice
from napari_unetseg.data.corrections import Stroke
from napari_unetseg.geometry import Box
from napari_unetseg.interactive.objects import Edit

_NOTHING_TO_DO = {
    "merge": "These are one object already.",
    "relabel": "The object is of this class already.",
    "fill holes": "The object has no holes.",
    "smooth": "The object is smooth already.",
    "grow": "The object has no room to grow, or the distance is less than a voxel.",
    "shrink": "The distance is less than a voxel.",
    "keep largest": "There is one piece in view only.",
    "interpolate": "There are no empty slices between the labelled ones.",
    "copy slice": "The next slice is labelled already.",
}
_ONE_AT_A_TIME = "Wait until the {} before is done."
_TAKES_A_MOMENT = "The {} takes a moment; you can go on."
_MOST_ROUNDS = 5
"""After so many the last answer counts: who paints on does not wait for ever."""


class Thinking:
    """One edit under way.

    Parameters
    ----------
    tool
        What the stroke will be called.
    annotator
        Whose labels it reads, and who is said to have made it.
    make
        Works the edit out; reads labels, writes nothing.
    """

    def __init__(
        self, tool: str, annotator: str, make: Callable[[], Edit | None]
    ) -> None:
        self.tool, self.annotator = tool, annotator
        self._make = make
        self._changed: list[Box | None] = []
        self._rounds = 0
        self._start()

    def wait(self, seconds: float | None) -> bool:
        """Wait for the answer, None for as long as it takes; whether it is there."""
        self._thread.join(seconds)
        return self.is_ready

    @property
    def is_ready(self) -> bool:
        """Whether there is an answer."""
        return not self._thread.is_alive()

    def note(self, changed: Box | None) -> None:
        """Take note of labels that have changed since it began; None for all."""
        self._changed.append(changed)

    def answer(self) -> Edit | None:
        """Return the edit, None if there is nothing to do.

        Raises
        ------
        UnetsegError
            If it cannot be made.
        """
        if self._error is not None:
            raise self._error
        return self._edit

    def starts_again(self) -> bool:
        """Begin anew if the answer is out of date; whether it did."""
        edit, changed = self._edit, self._changed
        is_stale = any(
            box is None or edit is None or box.overlaps(edit.box) for box in changed
        )
        if not is_stale or self._rounds >= _MOST_ROUNDS:
            return False
        self._start()
        return True

    def _start(self) -> None:
        self._changed, self._rounds = [], self._rounds + 1
        self._edit: Edit | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._think, daemon=True)
        self._thread.start()

    def _think(self) -> None:
        try:
            self._edit = self._make()
        except Exception as error:  # noqa: BLE001
            # It is raised where the answer is taken: threads have nobody to tell.
            self._error = error


class SlowEditing(EditingVerbs):
    """The part of the session whose edits are worked out before they are written."""

    patience_s: float | None = None
    """How long a verb may keep its caller; None: as long as it takes."""

    def __init__(self) -> None:
        super().__init__()
        self._thinking: Thinking | None = None
        self.labels_changed.connect(self._note_change)
        self.predictions_changed.connect(self._note_change)

    @property
    def thinking(self) -> str:
        """The tool whose edit is being worked out, "" if none is."""
        return "" if self._thinking is None else self._thinking.tool

    def collect_edit(self) -> None:
        """Write an edit that has been worked out; called with :meth:`poll`."""
        if self._thinking is not None and self._thinking.is_ready:
            self._finish_edit()

    def _edited(self, tool: str, make: Callable[[], Edit | None]) -> Stroke | None:
        """Have an edit worked out, and write it; later if patience ends before."""
        if self._refused("edit"):
            return None
        if self._thinking is not None:
            self.notice.emit(Notice("warning", _ONE_AT_A_TIME.format(self.thinking)))
            return None
        self._thinking = Thinking(tool, self.annotator, make)
        if self._thinking.wait(self.patience_s):
            return self._finish_edit()
        self.notice.emit(Notice("info", _TAKES_A_MOMENT.format(tool)))
        return None

    def _finish_edit(self) -> Stroke | None:
        """Take the answer: write it, say why not, or wait for a newer one."""
        done = self._thinking
        if done is None or done.starts_again():
            return None
        self._thinking = None
        edit = None
        with self._noticed():
            edit = done.answer()
            if edit is None:
                self.notice.emit(Notice("info", _NOTHING_TO_DO[done.tool]))
        if edit is None:
            return None
        found = edit
        return self._written(
            lambda project: project.corrections.commit(
                found.box,
                found.mask,
                found.values,
                annotator=done.annotator,
                tool=done.tool,
                model_version=project.active_model,
            )
        )

    def _drop_edit(self) -> None:
        """Forget the edit that is being worked out; its thread ends by itself."""
        self._thinking = None

    def _note_change(self, box: Box | None) -> None:
        if self._thinking is not None:
            self._thinking.note(box)
