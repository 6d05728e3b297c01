"""Labels that somebody made elsewhere: where they are, and what their values mean.

OME-Zarr, plain zarr, TIFF and NIfTI are read box by box. A value becomes a class, the
background, or UNSET: not labelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_unetseg.data.convert import SLAB_BYTES
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.file_sources import Source, needs_conversion, open_source
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import LabelsError
from napari_unetseg.geometry import Box, Zyx

NOT_LABELLED = "unlabelled"
BACKGROUND = "background"
_TABLE = 2**16


@dataclass(frozen=True)
class ForeignLabels:
    """Values of labels, read box by box, zyx."""

    name: str
    shape: Zyx
    dtype: np.dtype[Any]
    read: Callable[[Box], np.ndarray]


def open_labels(uri: Path | str) -> ForeignLabels:
    """Look into labels and say how they are read.

    Raises
    ------
    VolumeError
        If there is nothing, or nothing that can be read.
    LabelsError
        If there are several channels.
    """
    if "://" not in str(uri) and needs_conversion(Path(uri)):
        return _of_file(Path(uri))
    volume = Volume.open(uri)
    _check_channels(volume.name, volume.n_channels)
    # Without a coarser level nothing tells an empty chunk from one that is lost.
    missing: Any = "fail" if len(volume.levels) > 1 else "fill"
    return ForeignLabels(
        volume.name,
        volume.shape,
        volume.dtype,
        lambda box: volume.read(box, missing=missing)[0],
    )


def _of_file(path: Path) -> ForeignLabels:
    source = open_source(path)
    _check_channels(path.name, source.n_channels)
    return ForeignLabels(path.name, source.shape, source.dtype, _Slabs(source).read)


class _Slabs:
    """Boxes of a file, out of the slab that was read last.

    Compressed files are read from their beginning each time: seldom is better.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        plane = source.shape[1] * source.shape[2] * source.dtype.itemsize
        self._depth = SLAB_BYTES // max(1, plane)
        self._first, self._slab = 0, np.zeros((0, 0, 0), source.dtype)

    def read(self, box: Box) -> np.ndarray:
        """Return the values of a box, zyx; those of one slab should follow each other.

        Planes of which a slab cannot hold as many as asked for are read row by row.
        """
        start, stop = box.start[0], box.stop[0]
        if stop - start > self._depth:
            rows = self._source.read(start, stop, box.slices[1])
            return rows[0, :, :, box.slices[2]]
        if start < self._first or stop > self._first + len(self._slab):
            last = min(start + self._depth, self._source.shape[0])
            self._slab = self._source.read(start, last, slice(None))[0]
            self._first = start
        depth = slice(start - self._first, stop - self._first)
        return self._slab[depth, *box.slices[1:]]


def _check_channels(name: str, n: int) -> None:
    if n != 1:
        raise LabelsError(
            f"The labels of {name} have several channels", got=n, expected=1
        )


@dataclass(frozen=True)
class ValueMap:
    """What values of labels mean.

    Attributes
    ----------
    labels
        Value → class id, 0 or UNSET.
    others
        What all other values become; None refuses them.
    """

    labels: dict[int, int] = field(default_factory=dict)
    others: int | None = None

    @classmethod
    def of(
        cls,
        class_names: Sequence[str],
        *,
        pairs: Sequence[str] = (),
        only: str | None = None,
        partial: int | None = None,
    ) -> ValueMap:
        """Return the map that a person has written down.

        Parameters
        ----------
        class_names
            Of the project; without pairs and ``only``, value 1 is the first one.
        pairs
            Such as ``255=nerve``, ``0=background``, ``7=unlabelled``.
        only
            Name of the class that all values but 0 are.
        partial
            The value of voxels that were not labelled.

        Raises
        ------
        LabelsError
            If a pair or a name is not understood, or both are given.
        """
        if pairs and only is not None:
            raise LabelsError(
                "Values have either a map or one class",
                got=f"{', '.join(pairs)} and {only}",
                do="Leave one of them out.",
            )
        if pairs:
            labels, others = dict(_pair(text, class_names) for text in pairs), None
        elif only is not None:
            labels, others = {0: 0}, _label(only, class_names)
        else:
            labels = {value: value for value in range(len(class_names) + 1)}
            others = None
        if partial is not None:
            labels[partial] = UNSET
        return cls(labels, others)

    def applied(self, values: np.ndarray, name: str = "these labels") -> np.ndarray:
        """Return the labels that values become, uint8.

        Raises
        ------
        LabelsError
            If one has no meaning.
        """
        found, place = _distinct(values)
        table = np.array([self._of(value, name) for value in found], np.uint8)
        labels: np.ndarray = table[place]
        return labels

    def _of(self, value: float, name: str) -> int:
        label = self.labels.get(int(value), self.others) if value % 1 == 0 else None
        if label is None:
            known = ", ".join(map(str, sorted(self.labels)))
            raise LabelsError(
                f"Nobody has said what the value {value:g} of {name} means",
                expected=known,
                do=f"Map it: {value:g}=a class, {BACKGROUND} or {NOT_LABELLED}.",
            )
        return label


def _distinct(values: np.ndarray) -> tuple[list[float], np.ndarray]:
    """Return the values that occur, and for every voxel which one it has."""
    is_small = values.dtype.kind in "iub" and values.size > 0
    if is_small and int(values.min()) >= 0 and int(values.max()) < _TABLE:
        flat = values.astype(np.intp).ravel()
        used = np.flatnonzero(np.bincount(flat))
        place = np.zeros(int(used[-1]) + 1, np.intp)
        place[used] = np.arange(len(used))
        return [float(v) for v in used], place[flat].reshape(values.shape)
    found, inverse = np.unique(values, return_inverse=True)
    return [float(v) for v in found], inverse.reshape(values.shape)


def _pair(text: str, class_names: Sequence[str]) -> tuple[int, int]:
    value, _, name = text.partition("=")
    try:
        return int(value), _label(name.strip(), class_names)
    except ValueError as error:
        if isinstance(error, LabelsError):
            raise
        raise LabelsError(
            "A value and what it means are not understood", got=text,
            expected="such as 255=nerve",
        ) from error  # fmt: skip


def _label(name: str, class_names: Sequence[str]) -> int:
    special = {BACKGROUND: 0, NOT_LABELLED: UNSET}
    if name in class_names:
        return list(class_names).index(name) + 1
    if name in special:
        return special[name]
    raise LabelsError(
        "There is no such class",
        got=name,
        expected=", ".join([*class_names, *special]),
    )
