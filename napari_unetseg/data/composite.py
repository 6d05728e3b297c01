"""Corrections over predictions: what a person sees, edits and exports."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from napari_unetseg.data.corrections import CHUNK, CorrectionStore, Stroke
from napari_unetseg.data.journal import UNSET_OF
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.geometry import Box, Zyx, zyx


def compose(corrected: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return what was corrected, and what was predicted where nothing was.

    Both zyx; erased voxels (0) stay erased, only UNSET lets the prediction through.
    """
    unset = UNSET_OF[corrected.dtype]
    return np.where(corrected == unset, predicted, corrected)


def read_composite(
    corrections: CorrectionStore,
    predictions: PredictionStore | None,
    box: Box,
    annotator: str | None = None,
) -> np.ndarray:
    """Return corrections over predictions, zyx; 0 where there is neither.

    Parameters
    ----------
    annotator
        Whose corrections count; everybody's if None, the last to edit wins.
    """
    if annotator is None:
        corrected = corrections.read_all(box)
    else:
        corrected = corrections.read(annotator, box)
    if predictions is None:
        predicted = np.zeros(box.shape, corrections.dtype)
    else:
        predicted = predictions.read_labels(box).astype(corrections.dtype, copy=False)
    return compose(corrected, predicted)


class CompositeLabels:
    """A window of the composite in memory, as an array that can be painted on.

    Planes are read when they are first looked at, all those of a chunk at once. Changes
    stay in memory, as one pending stroke, until :meth:`commit` writes them. For the
    thread of the window only.

    Parameters
    ----------
    corrections, predictions
        What to compose; None for a project without predictions.
    annotator
        Whose corrections are shown, and who paints.
    window
        Part of the volume; the array's voxel 0 is the window's corner.
    """

    ndim = 3

    def __init__(
        self,
        corrections: CorrectionStore,
        predictions: PredictionStore | None,
        *,
        annotator: str,
        window: Box,
    ) -> None:
        self.window = window
        self.annotator = annotator
        self._corrections = corrections
        self._predictions = predictions
        self._depth = CHUNK[0] if predictions is None else predictions.chunk[0]
        self._values = np.zeros(window.shape, corrections.dtype)
        self._loaded = np.zeros(window.shape[0], bool)
        self._pending: np.ndarray | None = None
        self._extent = Box((0, 0, 0), (0, 0, 0))  # of what is pending

    @property
    def shape(self) -> Zyx:
        """Shape of the window, zyx."""
        return self.window.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the label values."""
        return self._corrections.dtype

    @property
    def size(self) -> int:
        """Number of voxels of the window."""
        return self._values.size

    @property
    def nbytes(self) -> int:
        """Memory that the window takes."""
        return self._values.nbytes

    @property
    def has_pending(self) -> bool:
        """Whether something was painted that is not written yet."""
        return self._pending is not None

    def __len__(self) -> int:
        return len(self._values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._load(slice(None))
        return np.array(self._values, dtype=dtype, copy=True if copy is None else copy)

    def __getitem__(self, index: Any) -> np.ndarray:
        self._load(_planes(index))
        # A copy: who draws on it must not paint.
        values: np.ndarray = np.array(self._values[index])
        return values

    def __setitem__(self, index: Any, new: Any) -> None:
        self._load(_planes(index))
        changed = np.asarray(self._values[index] != new)
        if not changed.any():
            return
        pending = self._pending_within(_hull(index, self.shape))
        pending[index] |= changed
        self._values[index] = new

    def touch(self, box: Box, mask: np.ndarray, value: int) -> None:
        """Count voxels as labelled that were painted with the value they had.

        Confirming what is right is an answer too, and so is painting background.

        Parameters
        ----------
        box, mask
            Where, as seen from the window.
        """
        self._load(box.slices[0])
        inside = box.slices
        same = mask & (self._values[inside] == value)
        said = self._corrections.read(self.annotator, box.shifted(self.window.start))
        same &= said != value
        if same.any():
            self._pending_within(box)[inside] |= same

    def pending(self) -> tuple[Box, np.ndarray, np.ndarray] | None:
        """Return box, mask and labels of the pending stroke, None if there is none.

        The box is as seen from the window.
        """
        if self._pending is None:
            return None
        box = _tight(self._extent, self._pending)
        return box, self._pending[box.slices].copy(), self._values[box.slices].copy()

    def keep_pending(self, box: Box, kept: np.ndarray) -> None:
        """Take the pending stroke back in a box, but where it is kept.

        Parameters
        ----------
        box, kept
            As seen from the window; the mask has the shape of the box.
        """
        if self._pending is None:
            return
        self._pending[box.slices] &= kept
        if not self._pending[self._extent.slices].any():
            self._pending = None
        self.reload(box.shifted(self.window.start))

    def commit(self, tool: str, model_version: str | None = None) -> Stroke | None:
        """Write the pending stroke; None if there is nothing to write.

        Raises
        ------
        DiskFullError, ReadOnlyError
            If it cannot be written; it stays pending.
        """
        if self._pending is None:
            return None
        box = _tight(self._extent, self._pending)
        values = self._values[box.slices]
        stroke = self._corrections.commit(
            box.shifted(self.window.start),
            self._pending[box.slices],
            values,
            annotator=self.annotator,
            tool=tool,
            model_version=model_version,
        )
        self._pending = None
        if (values == self._corrections.unset).any():  # the prediction shows again
            self.reload(stroke.box)
        return stroke

    def discard(self) -> None:
        """Take the pending stroke back without a trace."""
        if self._pending is not None:
            self._pending = None
            self.reload(self._extent.shifted(self.window.start))

    def undo(self) -> Stroke | None:
        """Take the annotator's last edit back, in the journal and here."""
        return self._reloaded(self._corrections.undo(self.annotator))

    def redo(self) -> Stroke | None:
        """Do again what was taken back last, in the journal and here."""
        return self._reloaded(self._corrections.redo(self.annotator))

    def reload(self, box: Box | None = None) -> None:
        """Read again what is in memory; pending voxels keep their value.

        Parameters
        ----------
        box
            Part of the volume that has changed; all of it if None.
        """
        part = self.window if box is None else box.intersection(self.window)
        if part.is_empty:
            return
        inside = part.relative_to(self.window)
        for start, stop in _runs(self._loaded, inside.start[0], inside.stop[0]):
            here = Box((start, *inside.start[1:]), (stop, *inside.stop[1:]))
            self._read(here)

    def _reloaded(self, stroke: Stroke | None) -> Stroke | None:
        if stroke is not None:
            self.reload(stroke.box)
        return stroke

    def _load(self, planes: Any) -> None:
        """Read the planes that an index needs and that are not in memory yet."""
        wanted = np.zeros(len(self._loaded), bool)
        wanted[planes] = True
        missing = wanted & ~self._loaded
        if missing.any():
            # To read one plane is to decode whole chunks: keep what comes with it.
            chunk = (np.arange(len(wanted)) + self.window.start[0]) // self._depth
            missing = np.isin(chunk, chunk[missing]) & ~self._loaded
        for start, stop in _runs(missing, 0, len(missing)):
            self._read(Box((start, 0, 0), (stop, *self.shape[1:])))
            self._loaded[start:stop] = True

    def _read(self, inside: Box) -> None:
        values = read_composite(
            self._corrections,
            self._predictions,
            inside.shifted(self.window.start),
            self.annotator,
        )
        if self._pending is None:
            self._values[inside.slices] = values
        else:
            keep = self._pending[inside.slices]
            np.copyto(self._values[inside.slices], values, where=~keep)

    def _pending_within(self, box: Box) -> np.ndarray:
        """Return the mask of pending voxels, to be set inside a box."""
        if self._pending is None:
            self._pending = np.zeros(self.shape, bool)
            self._extent = box
        self._extent = self._extent.hull(box)
        return self._pending


def _planes(index: Any) -> Any:
    """Return what an index asks of the first axis."""
    if isinstance(index, tuple):
        index = index[0] if index else slice(None)
    if isinstance(index, slice) or (np.ndim(index) <= 1 and index is not Ellipsis):
        return index
    return slice(None)  # a mask of the whole, or axes left out


def _hull(index: Any, shape: Zyx) -> Box:
    """Return a box that holds all voxels of an index; the window if it is unusual."""
    parts = index if isinstance(index, tuple) else (index,)
    ranges = [_range(part, n) for part, n in zip(parts, shape, strict=False)]
    if len(parts) > len(shape) or None in ranges:
        return Box.whole(shape)
    bounds = [r for r in ranges if r is not None]
    bounds += [(0, n) for n in shape[len(parts) :]]
    return Box(zyx(a for a, _ in bounds), zyx(b for _, b in bounds))


def _range(part: Any, n: int) -> tuple[int, int] | None:
    """Return first and last index along an axis; None if that is not simple."""
    if isinstance(part, slice):
        indices = np.arange(n)[part]
    else:
        indices = np.asarray(part)
        if indices.dtype.kind not in "iu":
            return None
        indices = np.where(indices < 0, indices + n, indices)
    if not indices.size:
        return 0, 0
    return int(indices.min()), int(indices.max()) + 1


def _runs(flags: np.ndarray, start: int, stop: int) -> list[tuple[int, int]]:
    """Return first and last of each run of set flags between two places."""
    part = np.concatenate([[False], flags[start:stop], [False]])
    edges = np.flatnonzero(part[1:] != part[:-1]) + start
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _tight(box: Box, mask: np.ndarray) -> Box:
    """Return the smallest box inside ``box`` that holds all set voxels of it."""
    found = ndimage.find_objects(mask[box.slices].view(np.uint8), max_label=1)[0]
    return Box.from_slices(found).shifted(box.start)
