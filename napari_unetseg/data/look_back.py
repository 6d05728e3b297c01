"""Looking back: who did what, and what the labels were after any row of the journal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_unetseg.data.corrections import CorrectionStore, Stroke
from napari_unetseg.data.replay import said_last
from napari_unetseg.geometry import Box


@dataclass(frozen=True)
class HistoryRow:
    """An edit or a revert as a line of a history.

    Attributes
    ----------
    stroke
        Who, when, tool, box, number of voxels, model version.
    is_undone
        Whether it was taken back, by undo or by a revert.
    """

    stroke: Stroke
    is_undone: bool


def history_page(
    store: CorrectionStore,
    annotator: str | None = None,
    *,
    before: int | None = None,
    size: int = 100,
) -> list[HistoryRow]:
    """Return lines of the history, newest first; no voxel is read.

    Parameters
    ----------
    annotator
        Whose; everybody's if None.
    before
        Number of the last row of the page before; None for the first page.
    size
        How many lines at most; fewer mean that it was the last page.
    """
    rows = store.edits_before(before, size, annotator)
    return [HistoryRow(row, not store.counts_now(row)) for row in rows]


def labels_at(
    store: CorrectionStore, annotator: str, sequence: int, box: Box
) -> np.ndarray:
    """Return what an annotator's labels in a box were after a row, zyx.

    Parameters
    ----------
    sequence
        Number of the row, which may be anybody's and of any kind; 0 for the beginning.
    """
    rows = store.strokes(annotator, until=sequence, within=box)
    return said_last(reversed(rows), box, store.voxels, dtype=store.dtype)
