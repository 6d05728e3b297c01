"""What people have looked at already: it does not come back, whatever is ranked by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.geometry import Box, Zyx

SETTLED_ENOUGH = 0.5
"""The part of a tile that is reviewed or labelled, above which all of it is settled."""


class SettledRegions:
    """Regions that were reviewed or labelled, or in which a prediction was corrected.

    Parameters
    ----------
    version
        The model version whose prediction is looked through.

    Attributes
    ----------
    rounds
        How many other versions were corrected or reviewed before.
    """

    def __init__(self, corrections: CorrectionStore, version: str) -> None:
        self._corrections = corrections
        reviewed = corrections.reviewed()
        counting = set(corrections.stroke_ids())
        strokes = [s for s in corrections.strokes() if s.uuid in counting]
        versions = {note.model_version for note in reviewed}
        versions |= {stroke.model_version for stroke in strokes}
        self.rounds = len(versions - {None, version})
        self._reviewed = _Boxes(note.box for note in reviewed)
        self._labelled = _Boxes(
            box
            for name in corrections.annotators()
            for box in corrections.labelled_boxes(name)
        )
        self._corrected = _Boxes(
            Box.around(stroke.box.centre, (1, 1, 1))
            for stroke in strokes
            if stroke.model_version == version
        )

    def open_voxels(
        self, box: Box, tile: Zyx, voxels: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Return which voxels of a grid in a box nobody has settled, bool zyx.

        A tile is settled as a whole if somebody corrected this very prediction in it,
        or reviewed and labelled more than :data:`SETTLED_ENOUGH` of it.

        Parameters
        ----------
        voxels
            The coordinates of the grid along z, y and x, rising.
        """
        is_open = np.ones([len(axis) for axis in voxels], bool)
        if not self._touch(box):
            return is_open
        for cell in box.cells(tile):
            part = cell.intersection(box)
            ranges = [
                slice(*np.searchsorted(axis, (a, b)))
                for axis, a, b in zip(voxels, part.start, part.stop, strict=True)
            ]
            inside = [
                axis[among] - a
                for axis, among, a in zip(voxels, ranges, part.start, strict=True)
            ]
            if all(len(axis) for axis in inside) and self._touch(part):
                is_open[tuple(ranges)] = ~self._known(part)[np.ix_(*inside)]
        return is_open

    def _touch(self, box: Box) -> bool:
        return bool(
            self._reviewed.near(box)
            or self._labelled.near(box)
            or self._corrected.near(box)
        )

    def _known(self, part: Box) -> np.ndarray:
        """Return which voxels of a tile are settled."""
        known = np.zeros(part.shape, bool)
        if self._corrected.near(part):
            return ~known
        for box in self._reviewed.near(part):
            known[box.intersection(part).relative_to(part).slices] = True
        if self._labelled.near(part):
            known |= self._corrections.read_all(part) != self._corrections.unset
        return np.ones_like(known) if known.mean() > SETTLED_ENOUGH else known


class _Boxes:
    """Boxes of which those that overlap another one are found at once."""

    def __init__(self, boxes: Iterable[Box]) -> None:
        self._boxes = list(dict.fromkeys(boxes))
        self._start = np.array([b.start for b in self._boxes]).reshape(-1, 3)
        self._stop = np.array([b.stop for b in self._boxes]).reshape(-1, 3)

    def near(self, box: Box) -> list[Box]:
        """Return those that share a voxel with a box."""
        both = (self._start < box.stop) & (self._stop > box.start)
        return [self._boxes[k] for k in np.flatnonzero(both.all(axis=1))]
