"""The table of objects read back, as a list to look through."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from napari_unetseg.errors import LabelsError
from napari_unetseg.geometry import Box, zyx


@dataclass(frozen=True)
class ObjectRow:
    """One object of a table.

    Attributes
    ----------
    number
        Its id.
    class_id, class_name
        What it is.
    n_voxels, volume
        How large; the volume is in the unit of the image, cubed.
    box
        The smallest that holds it, in voxels of the finest level.
    touches_edge
        Whether it may go on beyond what was looked at.
    """

    number: int
    class_id: int
    class_name: str
    n_voxels: int
    volume: float
    box: Box
    touches_edge: bool


def read_object_rows(path: Path) -> tuple[ObjectRow, ...]:
    """Return the objects of a table that was written as CSV, the largest first.

    Raises
    ------
    LabelsError
        If it is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [_row(line) for line in csv.DictReader(stream)]
    except (OSError, KeyError, ValueError, StopIteration) as error:
        raise LabelsError(
            "This is no table of objects",
            got=path,
            do="Measure the objects again.",
        ) from error
    return tuple(sorted(rows, key=lambda row: (-row.n_voxels, row.number)))


def _row(line: dict[str, str]) -> ObjectRow:
    volume = next(value for name, value in line.items() if name.startswith("volume"))
    return ObjectRow(
        number=int(line["object"]),
        class_id=int(line["class_id"]),
        class_name=line["class"],
        n_voxels=int(line["n_voxels"]),
        volume=float(volume),
        box=Box(
            zyx(int(line[f"start_{axis}"]) for axis in "zyx"),
            zyx(int(line[f"stop_{axis}"]) for axis in "zyx"),
        ),
        touches_edge=line["touches_edge"] == "1",
    )
