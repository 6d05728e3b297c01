"""What several raters said about the voxels of one volume, read box by box.

A rater is a label image, or what an annotator of a project has said. Both know without
reading where nothing is stored, so that a sparse volume costs what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import zarr

from napari_unetseg.data.chunks import absent_chunks, chunk_indices
from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.errors import LabelsError
from napari_unetseg.geometry import Box, Zyx, zyx

MOST_CLASSES = 250
Unlabelled = Literal["missing", "background"]
_AXES = "tczyx"
_UM = {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4,
       "meter": 1e6, "angstrom": 1e-4}  # fmt: skip


class Rater(Protocol):
    """Whoever said something about voxels."""

    shape: Zyx

    def read(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx; UNSET where nothing was said."""
        ...

    def value_all_over(self, box: Box) -> int | None:
        """Return the one value of a box of which nothing is stored, else None."""
        ...


@dataclass(frozen=True)
class Ratings:
    """Two raters or more of one volume.

    Attributes
    ----------
    raters
        By their names, in the order of all tables.
    voxel_size
        zyx, in ``unit``.
    unlabelled
        What it means that a rater said nothing about a voxel: a vote that is missing,
        or ``"background"``, for people who paint nothing but objects.
    """

    raters: Mapping[str, Rater]
    voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0)
    unit: str | None = None
    unlabelled: Unlabelled = "missing"

    def __post_init__(self) -> None:
        if len(self.raters) < 2:
            raise LabelsError(
                "Agreement needs at least two raters", got=len(self.raters),
                do="Choose another label image.",
            )  # fmt: skip
        first = self.names[0]
        for name, rater in self.raters.items():
            if rater.shape != self.shape:
                raise LabelsError(
                    f"The labels of {name} have another shape than those of {first}",
                    got=rater.shape,
                    expected=self.shape,
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the raters."""
        return tuple(self.raters)

    @property
    def shape(self) -> Zyx:
        """Of the volume, zyx."""
        return next(iter(self.raters.values())).shape

    @property
    def voxel_size_um(self) -> tuple[float, float, float]:
        """Voxel size in micrometres; as it is if nobody knows its unit."""
        z, y, x = (v * _UM.get(self.unit or "", 1.0) for v in self.voxel_size)
        return z, y, x

    @property
    def length_unit(self) -> str:
        """What ``voxel_size_um`` is in, for people."""
        return "µm" if self.unit in _UM else self.unit or "units of the voxel size"

    def read(self, box: Box) -> list[np.ndarray]:
        """Return what each rater said about a box, uint8 zyx."""
        return [self.read_one(number, box) for number in range(len(self.names))]

    def read_one(self, number: int, box: Box) -> np.ndarray:
        """Return what one rater said about a box, uint8 zyx."""
        values = self.raters[self.names[number]].read(box)
        if self.unlabelled == "background":
            return np.where(values == UNSET, np.uint8(0), values)
        return values

    def values_all_over(self, box: Box) -> tuple[int, ...] | None:
        """Return the values of a box of which nobody has stored anything, else None."""
        values = []
        for rater in self.raters.values():
            value = rater.value_all_over(box)
            if value is None:
                return None
            is_hidden = value == UNSET and self.unlabelled == "background"
            values.append(0 if is_hidden else value)
        return tuple(values)


class ArrayRater:
    """A label image: any array of integers, zyx or with leading axes of length 1.

    Raises
    ------
    LabelsError
        If it is none.
    """

    def __init__(self, name: str, array: Any) -> None:
        self._name, self._array = name, array
        if np.dtype(array.dtype).kind not in "iub":
            raise LabelsError(
                f"The labels of {name} are no integers", got=str(array.dtype)
            )
        if any(n != 1 for n in array.shape[:-3]):
            raise LabelsError(
                f"The labels of {name} have several channels or time points",
                got=f"shape {tuple(array.shape)}",
                expected="z, y, x",
            )
        self.shape: Zyx = zyx((1, *array.shape)[-3:])

    def read(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx."""
        n_axes = self._array.ndim
        index = ((0,) * max(0, n_axes - 3) + box.slices)[-n_axes:]
        return self._checked(np.asarray(self._array[index]).reshape(box.shape))

    def value_all_over(self, box: Box) -> int | None:
        """Return the fill value if no chunk of the box is stored."""
        array = self._array
        if not isinstance(array, zarr.Array) or array.fill_value is None:
            return None
        axes = _AXES[-array.ndim :]
        wanted = chunk_indices(array, axes, box, 0)
        if len(absent_chunks(array, wanted)) < len(wanted):
            return None
        return int(self._checked(np.asarray(array.fill_value, array.dtype)))

    def _checked(self, values: np.ndarray) -> np.ndarray:
        low, high = int(values.min()), int(values.max())
        if high == UNSET:
            high = int(values[values != UNSET].max(initial=0))
        if low < 0 or high > MOST_CLASSES:
            raise LabelsError(
                f"The labels of {self._name} are no classes",
                got=f"the value {low if low < 0 else high}",
                expected=f"0 to {MOST_CLASSES}",
                do="Compare class labels; the ids of objects mean nothing to others.",
            )
        return values.astype(np.uint8)


class AnnotatorRater:
    """What an annotator of a project has said."""

    def __init__(self, store: CorrectionStore, name: str) -> None:
        self._store, self._name = store, name
        self.shape: Zyx = store.shape
        boxes = store.labelled_boxes(name)
        self._starts = np.array([b.start for b in boxes]).reshape(-1, 3)
        self._stops = np.array([b.stop for b in boxes]).reshape(-1, 3)

    def read(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx; UNSET where nothing was said."""
        values = np.full(box.shape, UNSET, np.uint8)
        near = self._near(box)
        if near.any():
            # No more than the chunks with labels: to look for the others takes time.
            low = zyx(self._starts[near].min(axis=0))
            part = Box(low, zyx(self._stops[near].max(axis=0))).intersection(box)
            inside = part.relative_to(box).slices
            values[inside] = self._store.read(self._name, part)
        return values

    def value_all_over(self, box: Box) -> int | None:
        """Return UNSET if nothing was said about the box."""
        return None if self._near(box).any() else UNSET

    def _near(self, box: Box) -> np.ndarray:
        """Return which of the chunks with labels share a voxel with a box."""
        begins, ends = self._starts < box.stop, self._stops > box.start
        found: np.ndarray = np.all(begins & ends, axis=1)
        return found


def ratings_of(
    labels: Mapping[str, Any],
    voxel_size: Sequence[float] = (1.0, 1.0, 1.0),
    unit: str | None = None,
    unlabelled: Unlabelled = "missing",
) -> Ratings:
    """Return the ratings that label images of one shape are.

    Parameters
    ----------
    labels
        Rater → array-like of class ids, zyx (or with leading axes of length 1).

    Raises
    ------
    LabelsError
        If there are fewer than two, or they cannot be compared voxel by voxel.
    """
    z, y, x = voxel_size
    raters = {name: ArrayRater(name, array) for name, array in labels.items()}
    return Ratings(raters, (z, y, x), unit, unlabelled)


def adjudicators(store: CorrectionStore) -> tuple[str, ...]:
    """Return who only decided between raters: every edit lies where they decided.

    To count their word as that of one more rater would make raters agree with the
    decision about them.
    """
    decided: dict[str, list[Box]] = {}
    for note in store.reviewed():
        if note.state == "decided":
            decided.setdefault(note.annotator, []).append(note.box)
    return tuple(
        name
        for name, boxes in decided.items()
        if all(any(b.overlaps(s.box) for b in boxes) for s in store.strokes(name))
    )
