"""Notes of the journal beside the edits: regions looked at, clicks that found nothing.

They change no voxel. A region can be taken back, and then leaves no trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from napari_unetseg.data.journal_file import JournalFile, columns_without
from napari_unetseg.geometry import Box

BOX = "z0, y0, x0, z1, y1, x1"
_COLUMNS = {
    "reviewed": f"annotator, time, state, model_version, {BOX}, class_id, seconds",
    "rejected_clicks": "annotator, time, model_version, z, y, x, class_id",
}


@dataclass(frozen=True)
class Reviewed:
    """A region that somebody looked at.

    Attributes
    ----------
    state
        ``accepted``; ``corrected``, if labels were changed first; ``skipped``; or
        ``decided``, if raters disagreed: that says nothing of voxels without a label.
    class_id
        The class that was in doubt, None if it was a part of the view.
    seconds
        How long somebody looked at it, None if nobody knows.
    """

    id: int
    box: Box
    annotator: str
    time: str
    state: str
    model_version: str | None
    class_id: int | None = None
    seconds: float | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether somebody said that all labels are right, the background too."""
        return self.state not in ("skipped", "decided")


class ReviewNotes(JournalFile):
    """The tables of notes."""

    def add_reviewed(
        self,
        box: Box,
        annotator: str,
        model_version: str | None,
        state: str,
        *,
        class_id: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Note that somebody looked at a region."""
        self._write(
            f"INSERT INTO reviewed ({_COLUMNS['reviewed']})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (annotator, now(), state, model_version, *numbers(box), class_id, seconds),
        )

    def reviewed(self) -> list[Reviewed]:
        """Return the regions that somebody looked at, oldest first."""
        rows = self._rows(
            f"SELECT id, {self._known('reviewed')} FROM reviewed ORDER BY id"
        )
        return [Reviewed(r[0], Box(r[5:8], r[8:11]), *r[1:5], *r[11:13]) for r in rows]

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
            (annotator, now(), model_version, *(int(p) for p in point), int(class_id)),
        )

    def rejected_clicks(self) -> list[tuple[tuple[int, int, int], int]]:
        """Return point and class of the clicks that were rejected."""
        rows = self._rows("SELECT z, y, x, class_id FROM rejected_clicks ORDER BY id")
        return [((r[0], r[1], r[2]), r[3]) for r in rows]

    def rejected_by(self) -> list[tuple[str, str, str | None]]:
        """Return annotator, time and model version of the clicks that were rejected."""
        rows = self._rows(
            "SELECT annotator, time, model_version FROM rejected_clicks ORDER BY id"
        )
        return [(r[0], r[1], r[2]) for r in rows]

    def notes(self, table: str) -> list[tuple[Any, ...]]:
        """Return the rows of ``reviewed`` or ``rejected_clicks`` without their ids."""
        return self._rows(f"SELECT {self._known(table)} FROM {table} ORDER BY id")

    def add_notes(self, table: str, notes: Sequence[tuple[Any, ...]]) -> int:
        """Append the notes that are not there yet; return how many."""
        known = set(self.notes(table))
        new = [note for note in dict.fromkeys(notes) if note not in known]
        columns = _COLUMNS[table]
        places = ", ".join("?" * (columns.count(",") + 1))
        with self._writing():
            self._connection.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({places})", new
            )
        return len(new)

    def _known(self, table: str) -> str:
        """Return the columns of a table, NULL for those an older file has not."""
        columns = _COLUMNS[table]
        if table == "reviewed":
            with self._lock:
                missing = columns_without(self._connection)
            for name in missing:
                columns = columns.replace(name, "NULL")
        return columns


def numbers(box: Box) -> list[int]:
    """Return a box as the six numbers of a row."""
    return [int(n) for n in (*box.start, *box.stop)]


def now() -> str:
    """Return the time that a row gets, UTC; for people, order is that of numbers."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
