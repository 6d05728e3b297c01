"""A table of objects: one row each, measured in physical units, as CSV.

::

    object,class_id,class,n_voxels,volume_um3,equivalent_diameter_um,centroid_z_um,…

Everything is a sum over voxels, so that an object may lie in any number of tiles.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_unetseg.data.export_target import ExportedImage
from napari_unetseg.data.steps import Steps
from napari_unetseg.geometry import Box

_SHORT = {
    "angstrom": "A",
    "picometer": "pm",
    "nanometer": "nm",
    "micrometer": "um",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "in",
}
# Which two axes each second moment belongs to.
_PRODUCTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


class ObjectMeasures:
    """Sums per object, gathered tile by tile.

    Parameters
    ----------
    n_objects
        Ids are at most ``n_objects``.
    """

    def __init__(self, n_objects: int) -> None:
        n = n_objects + 1
        self.n_voxels = np.zeros(n, np.int64)
        self._first = np.zeros((n, 3))
        self._second = np.zeros((n, 6))
        self.start = np.full((n, 3), np.iinfo(np.int64).max)
        self.stop = np.zeros((n, 3), np.int64)

    def add(self, box: Box, ids: np.ndarray) -> None:
        """Count the voxels of a box, zyx."""
        runs = _runs(box, ids)
        here, local = np.unique(runs.ids, return_inverse=True)
        n, length = len(here), runs.stop - runs.start
        if n == 0:
            return
        # Sums over x of a run in closed form; z and y are the same all along it.
        sum_x = length * (runs.start + runs.stop - 1) / 2
        sum_xx = _squares_below(runs.stop) - _squares_below(runs.start)
        z, y = runs.z.astype(float), runs.y.astype(float)
        first = (z * length, y * length, sum_x)
        second = (z * z * length, y * y * length, sum_xx,
                  z * y * length, z * sum_x, y * sum_x)  # fmt: skip
        self.n_voxels[here] += np.bincount(local, length, n).astype(np.int64)
        for number, values in enumerate(first):
            self._first[here, number] += np.bincount(local, values, n)
        for number, values in enumerate(second):
            self._second[here, number] += np.bincount(local, values, n)
        low, high = (runs.z, runs.y, runs.start), (runs.z + 1, runs.y + 1, runs.stop)
        for axis in range(3):
            np.minimum.at(self.start[:, axis], runs.ids, low[axis])
            np.maximum.at(self.stop[:, axis], runs.ids, high[axis])

    def centroid(self, number: int) -> np.ndarray:
        """Return the mean position of an object in voxels, zyx."""
        mean: np.ndarray = self._first[number] / self.n_voxels[number]
        return mean

    def axis_lengths(self, number: int, voxel_size: Sequence[float]) -> np.ndarray:
        """Return the full axes of the ellipsoid of the same moments, longest first."""
        mean = self.centroid(number)
        covariance = np.empty((3, 3))
        for (a, b), total in zip(_PRODUCTS, self._second[number], strict=True):
            value = total / self.n_voxels[number] - mean[a] * mean[b]
            # A voxel is no point: its own extent counts.
            covariance[a, b] = covariance[b, a] = value + (1 / 12 if a == b else 0)
        scale = np.asarray(voxel_size)
        moments = np.linalg.eigvalsh(covariance * np.outer(scale, scale))
        lengths: np.ndarray = 2 * np.sqrt(5 * np.maximum(moments[::-1], 0))
        return lengths


@dataclass(frozen=True)
class _Runs:
    """Voxels of one id that follow each other along x; far fewer than voxels."""

    ids: np.ndarray
    z: np.ndarray
    y: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def _runs(box: Box, ids: np.ndarray) -> _Runs:
    """Return the runs of all objects of a box, in voxels of what the box is in."""
    _, n_y, n_x = ids.shape
    rows = ids.reshape(-1, n_x)
    begins = np.ones(rows.shape, bool)
    begins[:, 1:] = rows[:, 1:] != rows[:, :-1]
    begin = np.flatnonzero(begins)
    length = np.diff(begin, append=rows.size)
    values = rows.ravel()[begin]
    inside = values > 0
    begin, length, values = begin[inside], length[inside], values[inside]
    row, x = np.divmod(begin, n_x)
    z, y = np.divmod(row, n_y)
    at_z, at_y, at_x = box.start
    return _Runs(values, z + at_z, y + at_y, x + at_x, x + at_x + length)


def _squares_below(n: np.ndarray) -> np.ndarray:
    """Return 0² + 1² + … + (n - 1)²."""
    m = n.astype(float)
    squares: np.ndarray = (m - 1) * m * (2 * m - 1) / 6
    return squares


class TableWriter:
    """Takes object ids box by box and writes the table at the end."""

    def __init__(self, path: Path, image: ExportedImage) -> None:
        self._path, self._image = path, image
        classes = image.class_of_object
        self._class_of = np.zeros(1, np.uint8) if classes is None else classes
        self._measures = ObjectMeasures(len(self._class_of) - 1)

    def write(self, box: Box, values: np.ndarray) -> None:
        """Count the object ids of a box."""
        self._measures.add(box, values)

    def finish(self, steps: Steps) -> None:
        """Write the rows."""
        with self._path.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(_header(self._image.unit))
            for number in range(1, len(self._class_of)):
                if number % 10_000 == 0:
                    steps.check()
                if self._class_of[number]:  # objects that kept their ids leave gaps
                    table.writerow(self._row(number))

    def _row(self, number: int) -> Iterator[Any]:
        image, measures = self._image, self._measures
        class_id = int(self._class_of[number])
        names = {info.id: info.name for info in image.classes}
        volume = int(measures.n_voxels[number]) * math.prod(image.voxel_size)
        centroid = measures.centroid(number) * image.voxel_size + image.origin
        start = measures.start[number] + image.box.start
        stop = measures.stop[number] + image.box.start
        at_edge = (start <= image.box.start) | (stop >= image.box.stop)
        yield from (number, class_id, names.get(class_id, ""))
        yield int(measures.n_voxels[number])
        lengths = measures.axis_lengths(number, image.voxel_size)
        diameter = (6 * volume / math.pi) ** (1 / 3)
        for value in (volume, diameter, *centroid, *lengths):
            yield f"{value:.7g}"
        yield from (int(v) for v in (*start, *stop))
        # A plane has no depth at which an object could be cut.
        yield int(at_edge[np.asarray(image.shape) > 1].any())


def _header(unit: str | None) -> list[str]:
    short = _SHORT.get(unit or "", unit or "")
    length, cubed = (f"_{short}", f"_{short}3") if short else ("", "")
    return [
        "object",
        "class_id",
        "class",
        "n_voxels",
        f"volume{cubed}",
        f"equivalent_diameter{length}",
        *(f"centroid_{axis}{length}" for axis in "zyx"),
        *(f"{rank}_axis{length}" for rank in ("major", "middle", "minor")),
        *(f"start_{axis}" for axis in "zyx"),
        *(f"stop_{axis}" for axis in "zyx"),
        "touches_edge",
    ]
