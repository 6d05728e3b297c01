"""The journal: every edit as one row of an SQLite file, on disk before anything else.

Rows are only ever added. An undo is a row too; what counts follows from reading them in
order. WAL and ``synchronous=FULL``: after a commit returned, not even a power cut
takes the row away.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from napari_unetseg.data.journal_file import connect, explained
from napari_unetseg.geometry import Box

Kind = Literal["edit", "undo", "redo"]

# What stands for "nothing was said here", per type of label values.
UNSET_OF = {np.dtype("uint8"): 255, np.dtype("uint32"): 2**32 - 1}
UNSET = UNSET_OF[np.dtype("uint8")]

_BOX = "z0, y0, x0, z1, y1, x1"
_STROKE = (
    "sequence, uuid, kind, target, annotator, time, tool, model_version, "
    f"{_BOX}, n_voxels, n_added"
)


@dataclass(frozen=True)
class Stroke:
    """One row of the journal without its voxels.

    Attributes
    ----------
    sequence
        Number of the row, growing.
    kind
        ``"edit"``, or ``"undo"`` and ``"redo"`` of the edit in row ``target``.
    box
        Where; the voxels are a mask inside it.
    n_voxels, n_added
        How many voxels changed, and how many more hold labels since; negative where
        labels were taken away.
    """

    sequence: int
    uuid: str
    kind: Kind
    target: int | None
    annotator: str
    time: str
    tool: str
    model_version: str | None
    box: Box
    n_voxels: int
    n_added: int


@dataclass(frozen=True)
class StrokeVoxels:
    """The voxels of an edit: a mask over its box, old and new values under it."""

    mask: np.ndarray
    old: np.ndarray
    new: np.ndarray

    def dense(self) -> np.ndarray:
        """Return the new values in the shape of the mask, 0 where it is not set."""
        values = np.zeros(self.mask.shape, self.new.dtype)
        values[self.mask] = self.new
        return values


@dataclass(frozen=True)
class Reviewed:
    """A region that somebody looked at; ``state`` is ``accepted`` or ``skipped``."""

    id: int
    box: Box
    annotator: str
    time: str
    state: str
    model_version: str | None


class Journal:
    """The SQLite file.

    One connection serves all threads of the process, one statement at a time. Another
    process opens the file itself, with ``read_only``: WAL lets it read while this one
    writes.

    Parameters
    ----------
    path
        The file; made if absent, unless ``read_only``.
    dtype
        Type of the label values.
    """

    def __init__(self, path: Path, dtype: Any, *, read_only: bool = False) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._lock = threading.RLock()
        with explained(self._path):
            self._connection = connect(path, read_only=read_only)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock:
            self._connection.close()

    def add_edit(
        self,
        box: Box,
        voxels: StrokeVoxels,
        *,
        annotator: str,
        tool: str,
        model_version: str | None,
    ) -> Stroke:
        """Append an edit; on disk when this returns."""
        blobs = (
            _packed(np.packbits(voxels.mask)),
            _packed(voxels.old.astype(self._dtype)),
            _packed(voxels.new.astype(self._dtype)),
        )
        is_set = [
            values != UNSET_OF[self._dtype] for values in (voxels.new, voxels.old)
        ]
        n_added = int(is_set[0].sum()) - int(is_set[1].sum())
        n_voxels = int(voxels.mask.sum())
        return self._add("edit", None, annotator, tool, model_version, box, n_voxels,
                         n_added, blobs)  # fmt: skip

    def add_reversal(self, kind: Literal["undo", "redo"], target: Stroke) -> Stroke:
        """Append the undo or redo of an edit; on disk when this returns."""
        n_added = target.n_added if kind == "redo" else -target.n_added
        return self._add(kind, target.sequence, target.annotator, target.tool,
                         target.model_version, target.box, target.n_voxels, n_added,
                         (None, None, None))  # fmt: skip

    def strokes(self, *, after: int = 0, annotator: str | None = None) -> list[Stroke]:
        """Return the rows after a number in order, of one annotator or of all."""
        rows = self._rows(
            f"SELECT {_STROKE} FROM strokes WHERE sequence > ?"
            " AND (? IS NULL OR annotator = ?) ORDER BY sequence",
            (after, annotator, annotator),
        )
        return [_stroke(row) for row in rows]

    def voxels(self, stroke: Stroke) -> StrokeVoxels:
        """Return the voxels of an edit, or of the edit that a reversal is about.

        An undo's ``old`` and ``new`` are exchanged, so that applying ``new`` is always
        right.
        """
        sequence = stroke.sequence if stroke.target is None else stroke.target
        row = self._rows(
            "SELECT mask, old, new FROM strokes WHERE sequence = ?", (sequence,)
        )[0]
        bits = np.frombuffer(zlib.decompress(row[0]), np.uint8)
        shape = stroke.box.shape
        mask = np.unpackbits(bits, count=int(np.prod(shape))).astype(bool)
        old, new = (np.frombuffer(zlib.decompress(b), self._dtype) for b in row[1:])
        if stroke.kind == "undo":
            old, new = new, old
        return StrokeVoxels(mask.reshape(shape), old, new)

    def add_reviewed(
        self, box: Box, annotator: str, model_version: str | None, state: str
    ) -> None:
        """Note that somebody looked at a region."""
        self._write(
            f"INSERT INTO reviewed (annotator, time, state, model_version, {_BOX})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (annotator, _now(), state, model_version, *_numbers(box)),
        )

    def reviewed(self) -> list[Reviewed]:
        """Return the regions that somebody looked at, oldest first."""
        rows = self._rows(
            f"SELECT id, annotator, time, state, model_version, {_BOX} FROM reviewed"
            " ORDER BY id"
        )
        return [
            Reviewed(r[0], Box(r[5:8], r[8:11]), r[1], r[2], r[3], r[4]) for r in rows
        ]

    def remove_reviewed(self, identifier: int) -> None:
        """Take a note back."""
        self._write("DELETE FROM reviewed WHERE id = ?", (identifier,))

    def add_rejected_click(
        self,
        point: Sequence[int],
        class_id: int,
        annotator: str,
        model_version: str | None,
    ) -> None:
        """Note that a click found something that nobody wanted."""
        self._write(
            "INSERT INTO rejected_clicks (annotator, time, model_version, z, y, x,"
            " class_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (annotator, _now(), model_version, *(int(p) for p in point), int(class_id)),
        )

    def rejected_clicks(self) -> list[tuple[tuple[int, int, int], int]]:
        """Return point and class of the clicks that were rejected."""
        rows = self._rows("SELECT z, y, x, class_id FROM rejected_clicks ORDER BY id")
        return [((r[0], r[1], r[2]), r[3]) for r in rows]

    def _add(
        self,
        kind: Kind,
        target: int | None,
        annotator: str,
        tool: str,
        model_version: str | None,
        box: Box,
        n_voxels: int,
        n_added: int,
        blobs: tuple[bytes | None, bytes | None, bytes | None],
    ) -> Stroke:
        uuid, time = uuid4().hex, _now()
        names = _STROKE.removeprefix("sequence, ") + ", mask, old, new"
        places = ", ".join("?" * (names.count(",") + 1))
        values = (uuid, kind, target, annotator, time, tool, model_version,
                  *_numbers(box), n_voxels, n_added, *blobs)  # fmt: skip
        sequence = self._write(
            f"INSERT INTO strokes ({names}) VALUES ({places})", values
        )
        return Stroke(sequence, uuid, kind, target, annotator, time, tool,
                      model_version, box, n_voxels, n_added)  # fmt: skip

    def _write(self, statement: str, values: Sequence[Any]) -> int:
        with self._lock, explained(self._path), self._connection:
            return self._connection.execute(statement, values).lastrowid or 0

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, explained(self._path):
            return self._connection.execute(statement, values).fetchall()


def _stroke(row: Sequence[Any]) -> Stroke:
    sequence, uuid, kind, target, annotator, time, tool, model_version = row[:8]
    return Stroke(
        sequence=sequence,
        uuid=uuid,
        kind=kind,
        target=target,
        annotator=annotator,
        time=time,
        tool=tool,
        model_version=model_version,
        box=Box((row[8], row[9], row[10]), (row[11], row[12], row[13])),
        n_voxels=row[14],
        n_added=row[15],
    )


def _numbers(box: Box) -> list[int]:
    return [int(n) for n in (*box.start, *box.stop)]


def _packed(values: np.ndarray) -> bytes:
    return zlib.compress(np.ascontiguousarray(values).tobytes(), level=1)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
