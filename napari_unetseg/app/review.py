"""The worklist: which regions are worth a look next, ranked off the window's thread."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from napari_unetseg.app.project import Project
from napari_unetseg.app.review_progress import ReviewProgress
from napari_unetseg.app.session_base import SessionBase
from napari_unetseg.app.status import Notice
from napari_unetseg.app.thumbnails import thumbnail
from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Box
from napari_unetseg.training.worklist import WorkItem, rank_regions

_LOG = logging.getLogger(__name__)
_RECENT = 1000
"""Edits that are looked through: nobody makes more in one region."""

Search: TypeAlias = Callable[[], tuple[WorkItem, ...]]
Ranked: TypeAlias = tuple[tuple[WorkItem, ...], dict[WorkItem, np.ndarray]]


class Review:
    """The worklist of one project and where the person stands in it."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._found: queue.SimpleQueue[tuple[Search | None, Ranked]]
        self._found = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.items: tuple[WorkItem, ...] = ()
        self.pictures: dict[WorkItem, np.ndarray] = {}
        self.index = -1
        self._came_up_after = 0  # the row of the journal before
        self._came_up_at = 0.0
        self._search: Search | None = None

    @property
    def is_adjudicating(self) -> bool:
        """Whether the regions are those that raters disagree on."""
        return self._search is not None

    def search_by(self, search: Search | None) -> None:
        """Rank by another search from now on; None: by what the model doubts."""
        self._search = search
        self.items, self.index = (), -1
        self._start()

    @property
    def current(self) -> WorkItem | None:
        """The region under review, None before the first step."""
        return self.items[self.index] if 0 <= self.index < len(self.items) else None

    def refresh(self) -> None:
        """Rank anew in the background; :meth:`collect` picks the result up."""
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def collect(self) -> bool:
        """Take over a finished ranking; say whether there was one."""
        if self._found.empty():
            return False
        search, ranked = self._found.get()
        if search is not self._search:  # asked for before, and too late now
            return False
        self.items, self.pictures = ranked
        self.index = -1
        return True

    def step(self, by: int) -> WorkItem | None:
        """Move through the open regions, around the ends; return the new one."""
        if not self.items:
            return None
        start = self.index if self.index >= 0 else (-1 if by > 0 else 0)
        self.index = (start + by) % len(self.items)
        self._came_up_after, self._came_up_at = self._last_row(), time.monotonic()
        return self.current

    def close_current(self, annotator: str, state: str) -> Box | None:
        """Note the region under review as ``accepted`` or ``skipped``, and drop it.

        Accepted after something was changed in it, it is ``corrected``; and
        ``decided`` if raters disagreed on it.
        """
        item = self.current
        if item is None:
            return None
        if state == "accepted" and self.is_adjudicating:
            state = "decided"
        elif state == "accepted" and self._was_edited(item.box):
            state = "corrected"
        self._project.corrections.add_reviewed(
            item.box,
            annotator,
            self._project.active_model,
            state,
            class_id=item.class_id,
            seconds=round(time.monotonic() - self._came_up_at, 1),
        )
        self.items = tuple(other for other in self.items if other is not item)
        self.index = min(self.index, len(self.items)) - 1
        return item.box

    def wait(self) -> None:
        """Wait for a ranking that is under way."""
        if self._thread is not None:
            self._thread.join()

    def _last_row(self) -> int:
        rows = self._project.corrections.edits_before(None, 1)
        return rows[0].sequence if rows else 0

    def _was_edited(self, box: Box) -> bool:
        """Whether anything was changed in a box since it came up."""
        rows = self._project.corrections.edits_before(None, _RECENT)
        return any(
            row.sequence > self._came_up_after and row.box.overlaps(box) for row in rows
        )

    def _start(self) -> None:
        self._thread = threading.Thread(
            target=self._rank, args=(self._search, self._thread), daemon=True
        )
        self._thread.start()

    def _rank(self, search: Search | None, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        try:
            items = self._doubtful() if search is None else search()
        except (UnetsegError, OSError) as error:
            _LOG.warning("the worklist could not be made: %s", error)
            items = ()
        found = {item: thumbnail(self._project.volume, item.centre) for item in items}
        pictures = {item: p for item, p in found.items() if p is not None}
        self._found.put((search, (tuple(items), pictures)))

    def _doubtful(self) -> tuple[WorkItem, ...]:
        predictions = self._project.predictions()
        if predictions is None:
            return ()
        return rank_regions(
            predictions,
            self._project.corrections,
            volume_shape=self._project.volume.shape,
        )


class ReviewVerbs(SessionBase):
    """The part of the session that walks through the worklist."""

    def __init__(self) -> None:
        super().__init__()
        self._review: Review | None = None

    @property
    def worklist(self) -> tuple[WorkItem, ...]:
        """The regions worth a look, most uncertain first."""
        return () if self._review is None else self._review.items

    def picture_of(self, item: WorkItem) -> np.ndarray | None:
        """Return what a region looks like, grey uint8 (y, x); None if nobody knows."""
        return None if self._review is None else self._review.pictures.get(item)

    @property
    def progress(self) -> ReviewProgress:
        """How many regions were looked at, by whom, of which class, how fast."""
        if self.project is None:
            return ReviewProgress()
        return ReviewProgress.of(self.project.corrections.reviewed())

    @property
    def worklist_index(self) -> int:
        """Which of them is under review, -1 for none."""
        return -1 if self._review is None else self._review.index

    def refresh_worklist(self) -> None:
        """Rank the regions anew, in the background."""
        if self._review is not None:
            self._review.refresh()

    def next_item(self) -> WorkItem | None:
        """Go to the next region."""
        return self._step(1)

    def previous_item(self) -> WorkItem | None:
        """Go to the region before."""
        return self._step(-1)

    def accept_item(self) -> WorkItem | None:
        """Say that the region under review is right as it is, and go on."""
        return self._close_item("accepted")

    def skip_item(self) -> WorkItem | None:
        """Leave the region under review out, and go on."""
        return self._close_item("skipped")

    def mark_reviewed(self, box: Box, state: str = "accepted") -> None:
        """Say that all labels in a box are right as they are now."""
        if self._refused("review"):
            return
        project = self._open
        with self._saving():
            project.corrections.add_reviewed(
                box, self.annotator, project.active_model, state
            )
            self.notice.emit(Notice("info", _marked(box)))
        self.worklist_changed.emit()

    def _step(self, by: int) -> WorkItem | None:
        item = None if self._review is None else self._review.step(by)
        if item is not None:
            self.worklist_changed.emit()
        return item

    def _close_item(self, state: str) -> WorkItem | None:
        """Note the region under review and go to the next one."""
        if self._review is None or self._review.current is None:
            return None
        if self._refused("review"):
            return None
        with self._saving():
            self._review.close_current(self.annotator, state)
        self.worklist_changed.emit()
        return self.next_item()


def _marked(box: Box) -> str:
    sides = " × ".join(str(n) for n in reversed(box.shape) if n > 1)
    return f"{sides} voxels are marked as reviewed: the model learns from them too."
