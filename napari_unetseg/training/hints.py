"""What people said without drawing it: what they left as it was, what they rejected.

Somebody who puts a slice right sees what is around, and would have changed it too::

    ┌───────────────┐   ▓  the edit                             learned fully
    │   ░░░░░░░     │   ░  within 8 voxels of it, not changed:  learned a little, with
    │  ░░░▓▓▓▓░░    │      the label of the prediction that     the weight "implied"
    │   ░░░░░░░     │      was shown, in chunks with labels
    └───────────────┘      elsewhere: nobody knows              not learned

And somebody who asks for an object and leaves what was found says that it is none.
Hints are for learning alone: nothing is measured on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from napari_unetseg.data.corrections import UNSET, CorrectionStore, Stroke
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.training.stored_versions import StoredVersion

NEAR = 8  # voxels of the slice: as far as somebody looks who edits there
REJECTED = 2  # voxels around a click that found nothing anybody wanted


@dataclass(frozen=True)
class _Piece:
    """Ids of a small box, uint8 zyx; UNSET where it says nothing."""

    box: Box
    ids: np.ndarray


@dataclass
class Hints:
    """The hints of some people.

    Parameters
    ----------
    corrections
        What they drew.
    versions
        The predictions that they may have seen; what is gone gives no hint.
    annotators
        Whose hints; of nobody else.
    weight
        How much a voxel counts that was left as it was; 0 for not at all.
    """

    corrections: CorrectionStore
    versions: Sequence[StoredVersion]
    annotators: tuple[str, ...]
    weight: float
    _left: dict[int, _Piece] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._shown = {version.version: version for version in self.versions}
        self._edits = self._edits_in_slices() if self.weight > 0 else []
        self._boxes = _corners([_near(edit) for edit in self._edits])
        # No others: a card says by these boxes what a model learned from.
        people = {edit.annotator for edit in self._edits}
        boxes_of = self.corrections.labelled_boxes
        self._labelled = [box for name in sorted(people) for box in boxes_of(name)]
        self._rejected = self._rejected_balls()

    @property
    def rejected_boxes(self) -> tuple[Box, ...]:
        """Where clicks were rejected."""
        return tuple(piece.box for piece in self._rejected)

    def fill(self, box: Box, ids: np.ndarray, weights: np.ndarray) -> None:
        """Write hints where nothing is known, the last one on top.

        Parameters
        ----------
        ids, weights
            Of the box, uint8 and float32 zyx; they are changed.
        """
        unknown = ids == UNSET
        for number in np.flatnonzero(_overlapping(self._boxes, box)):
            _paste(self._piece_of(self._edits[number]), box, unknown, ids)
        weights[unknown & (ids != UNSET)] = self.weight
        for piece in self._rejected:
            written = _paste(piece, box, unknown, ids)
            weights[written] = 1.0

    def _edits_in_slices(self) -> list[Stroke]:
        """Return the edits in effect of which somebody saw a prediction around."""
        return [
            stroke
            for stroke in self.corrections.strokes()
            if stroke.kind == "edit"
            and min(stroke.box.shape) == 1
            and stroke.annotator in self.annotators
            and stroke.model_version in self._shown
            and self.corrections.counts_now(stroke)
        ]

    def _piece_of(self, edit: Stroke) -> _Piece:
        """Return what was left as it was around an edit; worked out once."""
        if edit.sequence not in self._left:
            box = _near(edit).clipped(self.corrections.shape)
            mask = np.zeros(box.shape, bool)
            inside = edit.box.relative_to(box).slices
            mask[inside] = self.corrections.voxels(edit).mask
            distance = ndimage.distance_transform_edt(~mask)
            ids = self._seen(str(edit.model_version), box)
            ids[(distance > NEAR) | mask | ~self._is_labelled(box)] = UNSET
            self._left[edit.sequence] = _Piece(box, ids)
        return self._left[edit.sequence]

    def _is_labelled(self, box: Box) -> np.ndarray:
        """Return where a box lies in regions that hold labels, bool zyx."""
        inside = np.zeros(box.shape, bool)
        for labelled in self._labelled:
            part = labelled.intersection(box)
            if not part.is_empty:
                inside[part.relative_to(box).slices] = True
        return inside

    def _rejected_balls(self) -> list[_Piece]:
        """Return background around rejected clicks, where the object was found then."""
        corrections = self.corrections
        pieces = []
        clicks = zip(
            corrections.rejected_clicks(), corrections.rejected_by(), strict=False
        )
        for (point, class_id), (annotator, _, version) in clicks:
            if annotator not in self.annotators or version not in self._shown:
                continue
            around = Box.around(point, zyx([2 * REJECTED + 1] * 3))
            box = around.clipped(corrections.shape)
            found = self._seen(version, box) == class_id
            ids = np.where(found & _ball(box, point), 0, UNSET).astype(np.uint8)
            if (ids != UNSET).any():
                pieces.append(_Piece(box, ids))
        return pieces

    def _seen(self, version: str, box: Box) -> np.ndarray:
        """Return what a version has predicted, UNSET where it has not."""
        shown = self._shown[version]
        labels = shown.predictions.read_labels(box)
        return np.where(shown.predicted(box), labels, UNSET).astype(np.uint8)


def _near(edit: Stroke) -> Box:
    """Return a box around an edit, in its slice."""
    thin = edit.box.shape.index(1)
    return edit.box.grown([0 if axis == thin else NEAR for axis in range(3)])


def _ball(box: Box, centre: Zyx) -> np.ndarray:
    at = np.indices(box.shape) + np.reshape(box.start, (3, 1, 1, 1))
    away = at - np.reshape(centre, (3, 1, 1, 1))
    inside: np.ndarray = np.square(away).sum(axis=0) <= REJECTED**2
    return inside


def _corners(boxes: Sequence[Box]) -> np.ndarray:
    """Return starts and stops, (2, n, zyx)."""
    corners = [[box.start for box in boxes], [box.stop for box in boxes]]
    return np.array(corners, np.int64).reshape(2, -1, 3)


def _overlapping(corners: np.ndarray, box: Box) -> np.ndarray:
    """Return which of many boxes share a voxel with one, bool (n,)."""
    starts, stops = corners
    shared: np.ndarray = ((starts < box.stop) & (stops > box.start)).all(axis=1)
    return shared


def _paste(piece: _Piece, box: Box, where: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Write a piece into the ids of a box, and return where, bool zyx of the box."""
    written = np.zeros(box.shape, bool)
    part = piece.box.intersection(box)
    if not part.is_empty:
        inside = part.relative_to(box).slices
        said = piece.ids[part.relative_to(piece.box).slices]
        written[inside] = where[inside] & (said != UNSET)
        np.copyto(ids[inside], said, where=written[inside])
    return written
