"""Rescue: when the journal is damaged, what can be read of it and of the labels.

The labels are a second copy of what was said. So both are asked::

    damaged journal ──▶ rows that can be read ──▶ new journal, the old file is kept
    overlay, ahead of the journal ──▶ what it holds more ──▶ strokes "restored"
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_unetseg.data.journal import Journal, StrokeVoxels, unpacked
from napari_unetseg.data.journal_file import mark_of
from napari_unetseg.data.overlay import Overlay, owners
from napari_unetseg.data.replay import said_last
from napari_unetseg.errors import DamagedOverlayError, explained_writing
from napari_unetseg.geometry import Box

_LOG = logging.getLogger(__name__)
_TABLES = {"strokes": 19, "reviewed": 13, "rejected_clicks": 8}  # columns


def rescue_journal(path: Path, dtype: Any) -> str:
    """Put a new journal in the place of a damaged one, with all that can be read.

    Returns
    -------
    str
        A sentence that says what was done; the damaged file is kept.
    """
    kept = _free_name(path)
    new = path.with_name(f"{path.stem}.rescued.sqlite")
    with explained_writing("the rescued journal", path):
        new.unlink(missing_ok=True)
        shutil.copy2(path, kept)
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists():
            shutil.copy2(wal, kept.with_name(f"{kept.name}-wal"))
        found = {table: list(_readable(path, table)) for table in _TABLES}
        found["strokes"] = _usable(found["strokes"], dtype)
        Journal(new, dtype).close()
        with contextlib.closing(sqlite3.connect(new)) as connection, connection:
            for table, n_columns in _TABLES.items():
                places = ", ".join("?" * n_columns)
                statement = f"INSERT INTO {table} VALUES ({places})"
                # Rows of an older file are shorter.
                rows = [
                    (*row, *[None] * (n_columns - len(row))) for row in found[table]
                ]
                connection.executemany(statement, rows)
        for suffix in ("-wal", "-shm"):
            path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
        new.replace(path)
        mark_of(path).unlink(missing_ok=True)
    sentence = (
        f"The journal was damaged, {len(found['strokes'])} of its rows could be read. "
        f"The damaged file is kept as {kept.name}."
    )
    _LOG.warning("%s", sentence)
    return sentence


def restore_from_labels(
    journal: Journal, folder: Path, layout: dict[str, Any], *, trusting: bool
) -> list[str]:
    """Write what overlays hold and the journal does not know as strokes.

    An overlay never is ahead of its journal, unless the journal has lost rows. It is
    thrown away afterwards, to be made anew.

    Parameters
    ----------
    folder
        Of all overlays.
    layout
        How overlays are made: shape, dtype, chunk, voxel_size, unit.
    trusting
        Whether rows are only missing at the end of the journal, if any are.

    Returns
    -------
    list of str
        A sentence for each person whose labels were restored.
    """
    sentences = []
    for annotator, path in owners(folder):
        overlay = Overlay.open(folder, annotator, **layout | {"read_only": True})
        if overlay is None or (trusting and not _is_ahead(overlay, journal)):
            continue
        n = sum(_restored(journal, overlay, annotator, b) for b in overlay.stored())
        with explained_writing("the labels", path):
            shutil.rmtree(path)
        if n:
            sentences.append(
                f"{n:,} voxels of {annotator} were missing in the journal; they were "
                'read from the labels and are a stroke named "restored" now.'
            )
            _LOG.warning("%s", sentences[-1])
    return sentences


def _is_ahead(overlay: Overlay, journal: Journal) -> bool:
    known = journal.uuid_of(overlay.reached)
    return overlay.reached > 0 and (
        known is None or overlay.last_uuid not in (None, known)
    )


def _restored(journal: Journal, overlay: Overlay, annotator: str, box: Box) -> int:
    """Write what a chunk holds more than the journal; return how many voxels."""
    try:
        held = overlay.read(box)
    except DamagedOverlayError as error:
        _LOG.warning("%s", error)
        return 0
    rows = journal.strokes(annotator=annotator, within=box)
    said = said_last(reversed(rows), box, journal.voxels, dtype=held.dtype)
    # UNSET may be a chunk that was lost: what the journal says stays.
    mask = (held != said) & (held != overlay.unset)
    if mask.any():
        journal.add_edit(
            box,
            StrokeVoxels(mask, said[mask], held[mask]),
            annotator=annotator,
            tool="restored",
            model_version=None,
        )
    return int(mask.sum())


def _readable(path: Path, table: str) -> Iterator[Sequence[Any]]:
    """Yield the rows of a table, one by one: each may lie on a damaged page."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        # Else SQLite refuses a file that is cut off, whatever is asked of it.
        connection.execute("PRAGMA writable_schema = ON")
        for number in range(1, _last_number(connection, table) + 1):
            with contextlib.suppress(sqlite3.Error):
                yield from connection.execute(
                    f"SELECT * FROM {table} WHERE rowid = ?", (number,)
                )


def _last_number(connection: sqlite3.Connection, table: str) -> int:
    numbers = [0]
    for statement in (
        f"SELECT max(rowid) FROM {table}",
        f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'",
    ):
        with contextlib.suppress(sqlite3.Error):
            numbers += [row[0] or 0 for row in connection.execute(statement)]
    return max(numbers)


def _usable(rows: Sequence[Sequence[Any]], dtype: Any) -> list[Sequence[Any]]:
    """Return the rows whose voxels can be unpacked, and what undoes and redoes them."""
    usable: dict[int, Sequence[Any]] = {}
    for row in rows:
        sequence, kind, target = row[0], row[2], row[3]
        if kind in ("undo", "redo"):
            if target in usable:
                usable[sequence] = row
            continue
        box = Box((row[8], row[9], row[10]), (row[11], row[12], row[13]))
        with contextlib.suppress(TypeError, ValueError, zlib.error):
            unpacked(row[16:], box, np.dtype(dtype))
            usable[sequence] = row
    return list(usable.values())


def _free_name(path: Path) -> Path:
    number, kept = 1, path.with_name(f"{path.stem}.damaged.sqlite")
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.stem}.damaged-{number}.sqlite")
    return kept
