"""The journal: every edit as one row of an SQLite file, on disk before anything else.

Rows are only ever added; what counts follows from reading them in order::

    edit     mask, old and new values
    undo     of the last edit that counts: new is what its old was, no values of its own
    redo     of the edit undone last
    revert   of any earlier edit, ``target``, that counts: has values like an edit, over
             the mask of its target, and is undone like one

A row says values and not differences, so to read any part of the rows in order gives
what a voxel was then. WAL and ``synchronous=FULL``: after a commit returned, not even a
power cut takes the row away.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from napari_unetseg.data.journal_file import damaged, mark_of
from napari_unetseg.data.journal_notes import BOX, ReviewNotes, now, numbers
from napari_unetseg.geometry import Box

Kind = Literal["edit", "revert", "undo", "redo"]
Reversal = Literal["undo", "redo"]
Packed = tuple[bytes | None, bytes | None, bytes | None]

# What stands for "nothing was said here", per type of label values.
UNSET_OF = {np.dtype("uint8"): 255, np.dtype("uint32"): 2**32 - 1}
UNSET = UNSET_OF[np.dtype("uint8")]

_STROKE = (
    "sequence, uuid, kind, target, annotator, time, tool, model_version, "
    f"{BOX}, n_voxels, n_added"
)


@dataclass(frozen=True)
class Stroke:
    """One row of the journal without its voxels.

    Attributes
    ----------
    sequence
        Number of the row, growing.
    kind
        ``"edit"``, or ``"undo"``, ``"redo"``, ``"revert"`` of the row ``target``.
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


class Journal(ReviewNotes):
    """The rows of an SQLite file.

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
        super().__init__(path, read_only=read_only)
        self._dtype = np.dtype(dtype)

    def add_edit(
        self,
        box: Box,
        voxels: StrokeVoxels,
        *,
        annotator: str,
        tool: str,
        model_version: str | None,
        reverts: Stroke | None = None,
        origin: Stroke | None = None,
    ) -> Stroke:
        """Append an edit; on disk when this returns.

        Parameters
        ----------
        reverts
            The earlier edit that it takes back.
        origin
            The row of another journal that it stands for; it keeps id and time.
        """
        blobs = (
            _packed(np.packbits(voxels.mask)),
            _packed(voxels.old.astype(self._dtype)),
            _packed(voxels.new.astype(self._dtype)),
        )
        is_set = [
            values != UNSET_OF[self._dtype] for values in (voxels.new, voxels.old)
        ]
        stroke = Stroke(
            sequence=0,
            uuid=uuid4().hex if origin is None else origin.uuid,
            kind="edit" if reverts is None else "revert",
            target=None if reverts is None else reverts.sequence,
            annotator=annotator,
            time=now() if origin is None else origin.time,
            tool=tool,
            model_version=model_version,
            box=box,
            n_voxels=int(voxels.mask.sum()),
            n_added=int(is_set[0].sum()) - int(is_set[1].sum()),
        )
        with self._writing():
            return self._insert(stroke, blobs)

    def add_reversals(
        self,
        kind: Reversal,
        targets: Sequence[Stroke],
        origin: Stroke | None = None,
    ) -> list[Stroke]:
        """Append the undo or redo of edits, all or none; on disk when this returns."""
        with self._writing():
            return [
                self._insert(
                    replace(
                        target,
                        uuid=uuid4().hex if origin is None else origin.uuid,
                        kind=kind,
                        target=target.sequence,
                        time=now() if origin is None else origin.time,
                        n_added=target.n_added * (1 if kind == "redo" else -1),
                    ),
                    (None, None, None),
                )
                for target in targets
            ]

    def add_rows(
        self, rows: Iterable[tuple[Stroke, Packed]], own: dict[int, int]
    ) -> list[Stroke]:
        """Append rows of another journal as they are, all or none.

        Parameters
        ----------
        rows
            Rows and their packed voxels, in order.
        own
            Numbers that rows of the other journal have here; it is added to.
        """
        added = []
        with self._writing():
            for row, blobs in rows:
                target = None if row.target is None else own[row.target]
                added.append(self._insert(replace(row, target=target), blobs))
                own[row.sequence] = added[-1].sequence
        return added

    def strokes(
        self,
        *,
        after: int = 0,
        until: int | None = None,
        annotator: str | None = None,
        within: Box | None = None,
    ) -> list[Stroke]:
        """Return rows in order.

        Parameters
        ----------
        after, until
            Only rows with a larger number, and none larger than this.
        annotator
            Only rows of one person.
        within
            Only rows whose box shares a voxel with this one.
        """
        where, values = ["sequence > ?"], [after]
        if until is not None:
            where, values = [*where, "sequence <= ?"], [*values, until]
        if within is not None:
            where += [f"{a}1 > ? AND {a}0 < ?" for a in "zyx"]
            pairs = zip(within.start, within.stop, strict=True)
            values += [int(n) for pair in pairs for n in pair]
        return self._strokes(where, values, annotator, "ORDER BY sequence")

    def edits_before(
        self, before: int | None, n: int, annotator: str | None = None
    ) -> list[Stroke]:
        """Return the last ``n`` edits and reverts before a row, newest first."""
        where, values = ["kind IN ('edit', 'revert')"], []
        if before is not None:
            where, values = [*where, "sequence < ?"], [before]
        order = f"ORDER BY sequence DESC LIMIT {int(n)}"
        return self._strokes(where, values, annotator, order)

    def uuid_of(self, sequence: int) -> str | None:
        """Return the id of a row, None if there is no such row."""
        rows = self._rows("SELECT uuid FROM strokes WHERE sequence = ?", (sequence,))
        return rows[0][0] if rows else None

    def packed(self, stroke: Stroke) -> Packed:
        """Return mask, old and new values of a row as they are stored."""
        (row,) = self._rows(
            "SELECT mask, old, new FROM strokes WHERE sequence = ?", (stroke.sequence,)
        )
        return row[0], row[1], row[2]

    def voxels(self, stroke: Stroke) -> StrokeVoxels:
        """Return the voxels of an edit, or of the edit that a reversal is about.

        An undo's ``old`` and ``new`` are exchanged, so that applying ``new`` is always
        right.

        Raises
        ------
        DamagedJournalError
            If they cannot be unpacked.
        """
        is_reversal = stroke.kind in ("undo", "redo")
        sequence = stroke.target if is_reversal else stroke.sequence
        row = self._rows(
            "SELECT mask, old, new FROM strokes WHERE sequence = ?", (sequence,)
        )
        try:
            voxels = unpacked(row[0], stroke.box, self._dtype)
        except (IndexError, TypeError, ValueError, zlib.error) as error:
            why = f"row {sequence} cannot be unpacked"
            with contextlib.suppress(OSError):
                mark_of(self._path).touch()  # opening it finds damage only at its end
            raise damaged(self._path, why) from error
        if stroke.kind == "undo":
            return StrokeVoxels(voxels.mask, voxels.new, voxels.old)
        return voxels

    def _insert(self, stroke: Stroke, blobs: Packed) -> Stroke:
        names = _STROKE.removeprefix("sequence, ") + ", mask, old, new"
        places = ", ".join("?" * (names.count(",") + 1))
        values = (
            stroke.uuid, stroke.kind, stroke.target, stroke.annotator, stroke.time,
            stroke.tool, stroke.model_version, *numbers(stroke.box), stroke.n_voxels,
            stroke.n_added, *blobs,
        )  # fmt: skip
        cursor = self._connection.execute(
            f"INSERT INTO strokes ({names}) VALUES ({places})", values
        )
        return replace(stroke, sequence=cursor.lastrowid or 0)

    def _strokes(
        self, where: Sequence[str], values: list[int], annotator: str | None, order: str
    ) -> list[Stroke]:
        said_by = ([], []) if annotator is None else (["annotator = ?"], [annotator])
        rows = self._rows(
            f"SELECT {_STROKE} FROM strokes WHERE "
            f"{' AND '.join([*said_by[0], *where])} {order}",
            [*said_by[1], *values],
        )
        return [_stroke(row) for row in rows]


def unpacked(blobs: Sequence[bytes], box: Box, dtype: Any) -> StrokeVoxels:
    """Return the voxels of a row from what is stored.

    Raises
    ------
    ValueError, TypeError, zlib.error
        If that is damaged.
    """
    bits = np.frombuffer(zlib.decompress(blobs[0]), np.uint8)
    mask = np.unpackbits(bits, count=box.n_voxels).astype(bool).reshape(box.shape)
    old, new = (np.frombuffer(zlib.decompress(b), dtype) for b in blobs[1:])
    if not len(old) == len(new) == mask.sum():
        raise ValueError("mask and values do not fit")
    return StrokeVoxels(mask, old, new)


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


def _packed(values: np.ndarray) -> bytes:
    return zlib.compress(np.ascontiguousarray(values).tobytes(), level=1)
