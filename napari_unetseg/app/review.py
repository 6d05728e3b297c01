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
from napari_unetseg.app.why_not import why_not_strategy
from napari_unetseg.config import WorklistStrategy
from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Box
from napari_unetseg.training.worklist import rank_regions
from napari_unetseg.training.worklist_item import WorkItem

_LOG = logging.getLogger(__name__)
_RECENT = 1000
"""Edits that are looked through: nobody makes more in one region."""

Search: TypeAlias = Callable[[], tuple[WorkItem, ...]]
Asked: TypeAlias = tuple[Search | None, WorklistStrategy]
Ranked: TypeAlias = tuple[tuple[WorkItem, ...], dict[WorkItem, np.ndarray]]


class Review:
    """The worklist of one project and where the person stands in it."""

    def __init__(self, project: Project, strategy: WorklistStrategy = "random") -> None:
        self._project = project
        self._found: queue.SimpleQueue[tuple[Asked, Ranked]]
        self._found = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.items: tuple[WorkItem, ...] = ()
        self.pictures: dict[WorkItem, np.ndarray] = {}
        self.index = -1
        self._came_up_after = 0  # the row of the journal before
        self._came_up_at = 0.0
        self._closed: list[Box] = []  # since the last ranking began
        self._search: Search | None = None
        self._strategy: WorklistStrategy = strategy

    @property
    def strategy(self) -> WorklistStrategy:
        """What the regions are ranked by, unless raters are adjudicated."""
        return self._strategy

    @property
    def is_ranking(self) -> bool:
        """Whether regions are being looked for."""
        is_alive = self._thread is not None and self._thread.is_alive()
        return is_alive or not self._found.empty()

    @property
    def is_adjudicating(self) -> bool:
        """Whether the regions are those that raters disagree on."""
        return self._search is not None

    def search_by(self, search: Search | None) -> None:
        """Rank by another search from now on; None: by the strategy."""
        self._search = search
        self.items, self.index = (), -1
        self._start()

    def rank_by(self, strategy: WorklistStrategy) -> None:
        """Rank by another strategy from now on."""
        self._strategy = strategy
        if not self.is_adjudicating:
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
        asked, (items, pictures) = self._found.get()
        if asked != self._asked:  # before, and too late now
            return False
        self.items = tuple(item for item in items if item.box not in self._closed)
        self.pictures = pictures
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
        self._closed.append(item.box)
        self.items = tuple(other for other in self.items if other is not item)
        self.index = min(self.index, len(self.items)) - 1
        if not self.items:  # there may be more than a list holds
            self.refresh()
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

    @property
    def _asked(self) -> Asked:
        return self._search, self._strategy

    def _start(self) -> None:
        self._closed = []
        self._thread = threading.Thread(
            target=self._rank, args=(self._asked, self._thread), daemon=True
        )
        self._thread.start()

    def _rank(self, asked: Asked, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        search, strategy = asked
        try:
            items = self._ranked(strategy) if search is None else search()
        except (UnetsegError, OSError) as error:
            _LOG.warning("the worklist could not be made: %s", error)
            items = ()
        found = {item: thumbnail(self._project.volume, item.centre) for item in items}
        pictures = {item: p for item, p in found.items() if p is not None}
        self._found.put((asked, (tuple(items), pictures)))

    def _ranked(self, strategy: WorklistStrategy) -> tuple[WorkItem, ...]:
        predictions = self._project.predictions()
        if predictions is None:
            return ()
        return rank_regions(
            predictions,
            self._project.corrections,
            volume_shape=self._project.volume.shape,
            strategy=strategy,
        )


class ReviewVerbs(SessionBase):
    """The part of the session that walks through the worklist."""

    def __init__(self) -> None:
        super().__init__()
        self._review: Review | None = None

    @property
    def worklist(self) -> tuple[WorkItem, ...]:
        """The regions worth a look, in the order of the strategy."""
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

    @property
    def is_ranking(self) -> bool:
        """Whether regions are being looked for; then the list will change."""
        return self._review is not None and self._review.is_ranking

    def choose_strategy(self, strategy: WorklistStrategy) -> None:
        """Rank the regions by something else from now on, in every project."""
        if reason := why_not_strategy(self, strategy):
            self.notice.emit(Notice("warning", reason))
            return
        self.preferences = self.preferences.replace(worklist=strategy)
        self._rank_as_preferred()
        self.preferences_changed.emit()

    def why_not_strategy(self, strategy: WorklistStrategy) -> str:
        """Say why regions cannot be ranked by something now; "" if they can."""
        return why_not_strategy(self, strategy)

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

    def _rank_as_preferred(self) -> None:
        wanted = self.preferences.worklist
        if self._review is not None and self._review.strategy != wanted:
            self._review.rank_by(wanted)
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
