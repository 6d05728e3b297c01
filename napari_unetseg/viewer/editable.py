"""The layer that is painted on: a window of labels that reports whole strokes.

napari keeps its own history per layer and tells of changes only partly (none for undo,
none for voxels that already had the value). This layer closes both gaps::

    brush, fill, polygon ──▶ _paint_region_with_mask ──▶ data (the window in memory)
                                      │ voxels that had the value already
                                      ▼
                                 data.touch            labelled all the same
    end of the stroke ──▶ stroke_done                  one row of the journal
    undo, redo ──▶ undo_wanted, redo_wanted            one history for all tools
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.brush import Brush
from napari_unetseg.viewer.flat_outlines import FlatOutlines

if TYPE_CHECKING:
    from napari_unetseg.data.composite import CompositeLabels


class EditableLabels(FlatOutlines):
    """Labels over a :class:`CompositeLabels` window, zyx.

    Signals
    -------
    stroke_done
        The person finished a stroke; the window holds it as pending.
    undo_wanted, redo_wanted
        Instead of napari's own history, which is not used.
    """

    stroke_done = Signal()
    undo_wanted = Signal()
    redo_wanted = Signal()

    def __init__(self, data: Any, **options: Any) -> None:
        self.is_stroking = False
        self.brush = Brush()
        self._first: int | None = None
        self._touched: list[tuple[Box, np.ndarray]] = []
        self._touched_label = 0
        super().__init__(data, **options)

    def show_window(self, data: CompositeLabels, translate: Sequence[float]) -> None:
        """Show another window of the labels, drawn once."""
        with self._block_refresh():
            self.data = data
            self.translate = translate
        self._reset_history()
        self.refresh()

    def undo(self) -> None:
        """Ask for the last edit to be taken back, whatever tool made it."""
        self.undo_wanted.emit()

    def redo(self) -> None:
        """Ask for the edit that was taken back last."""
        self.redo_wanted.emit()

    def set_brush(self, brush: Brush) -> None:
        """Paint in another way from now on."""
        self.brush = brush
        self.brush_size = brush.size
        self.n_edit_dimensions = 3 if brush.in_3d else 2

    def paint(
        self, coord: Sequence[float], new_label: int, refresh: bool = True
    ) -> None:
        """Paint around a voxel; the first of a stroke is what it began on."""
        if self._first is None:
            self._first = self._label_at(coord)
        super().paint(coord, new_label, refresh)

    def fill(
        self, coord: Sequence[float], new_label: int, refresh: bool = True
    ) -> None:
        """Fill a region, if it may be painted over."""
        label = self._label_at(coord)
        if label is None or self.brush.allowed(np.array(label), label, new_label):
            super().fill(coord, new_label, refresh)

    @contextmanager
    def block_history(self) -> Iterator[None]:
        """Group edits; leaving the outermost group ends the stroke."""
        outermost = not self.is_stroking
        self.is_stroking = True
        try:
            with super().block_history():
                yield
        finally:
            if outermost:
                self._end_stroke()

    def _paint_region_with_mask(
        self,
        slice_key: tuple[slice, ...],
        mask: np.ndarray,
        new_label: int,
        dims_to_paint: list[int],
        refresh: bool = True,
        region_data: np.ndarray | None = None,
    ) -> None:
        if region_data is None:  # read once for all that look at it
            region_data = np.asarray(self.data[slice_key]).reshape(mask.shape)
        if self.brush.is_limited:
            mask = mask & self._allowed(region_data, new_label)
        self._note_touched(slice_key, mask & (region_data == new_label), new_label)
        super()._paint_region_with_mask(
            slice_key, mask, new_label, dims_to_paint, refresh, region_data
        )
        if not self._block_history:
            self._end_stroke()

    def _validate_label_in_range(self, label: int) -> None:
        # To learn the type of the labels napari copies a whole plane, at each move.
        if not 0 <= label <= np.iinfo(self.data.dtype).max:
            super()._validate_label_in_range(label)

    def _allowed(self, values: np.ndarray, new_label: int) -> np.ndarray:
        """Return which voxels of a region with these labels may be painted."""
        # An outline begins nowhere: it is limited by what is locked only.
        brush = self.brush
        if self._first is None and brush.over == "first":
            brush = replace(brush, over="everything")
        return brush.allowed(values, self._first or 0, new_label)

    def _label_at(self, coord: Sequence[float]) -> int | None:
        place = tuple(round(float(c)) for c in coord)
        if any(not 0 <= p < n for p, n in zip(place, self.data.shape, strict=True)):
            return None
        return int(np.asarray(self.data[place]))

    def _note_touched(
        self, slice_key: tuple[slice, ...], same: np.ndarray, new_label: int
    ) -> None:
        """Keep in mind which painted voxels had their value already."""
        if same.any():
            box = Box.from_slices(slice_key)
            self._touched.append((box, same.reshape(box.shape)))
            self._touched_label = new_label

    def _touch(self) -> None:
        """Count them as labelled all the same, once per stroke."""
        if not self._touched:
            return
        hull = reduce(Box.hull, (box for box, _ in self._touched))
        together = np.zeros(hull.shape, dtype=bool)
        for box, mask in self._touched:
            together[box.relative_to(hull).slices] |= mask
        self._touched.clear()
        self.data.touch(hull, together, self._touched_label)

    def _commit_stroke(self) -> None:
        # The end of napari's encircle-and-fill stroke, which holds history open itself.
        super()._commit_stroke()
        self._end_stroke()

    def _abort_stroke(self) -> None:
        super()._abort_stroke()
        self._touched.clear()
        self.data.discard()
        self.is_stroking = False
        self._first = None
        self.refresh()

    def _begin_stroke(self) -> None:
        self.is_stroking = True
        super()._begin_stroke()

    def _end_stroke(self) -> None:
        self.is_stroking = False
        self._first = None
        self._touch()
        # napari's history is not ours: kept empty, so it holds no memory either.
        self._reset_history()
        self.stroke_done.emit()
