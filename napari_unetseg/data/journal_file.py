"""The SQLite file of the journal: its tables, how it is opened, what can go wrong."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_unetseg.errors import (
    DamagedJournalError,
    DiskFullError,
    NewerProjectError,
    ProjectError,
    ReadOnlyError,
)

# 0: before there was a number; no row of the kind revert, regions without class and
# seconds.
VERSION = 1
_ADDED = {"class_id": "INT", "seconds": "REAL"}  # to the table reviewed
_SCHEMA = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS strokes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL, kind TEXT NOT NULL,
    target INTEGER, annotator TEXT NOT NULL, time TEXT NOT NULL, tool TEXT NOT NULL,
    model_version TEXT, z0 INT, y0 INT, x0 INT, z1 INT, y1 INT, x1 INT,
    n_voxels INT NOT NULL, n_added INT NOT NULL, mask BLOB, old BLOB, new BLOB);
CREATE TABLE IF NOT EXISTS reviewed (
    id INTEGER PRIMARY KEY, annotator TEXT NOT NULL, time TEXT NOT NULL,
    state TEXT NOT NULL, model_version TEXT,
    z0 INT, y0 INT, x0 INT, z1 INT, y1 INT, x1 INT, class_id INT, seconds REAL);
CREATE TABLE IF NOT EXISTS rejected_clicks (
    id INTEGER PRIMARY KEY, annotator TEXT NOT NULL, time TEXT NOT NULL,
    model_version TEXT, z INT, y INT, x INT, class_id INT);
CREATE INDEX IF NOT EXISTS strokes_by_annotator ON strokes (annotator);
PRAGMA user_version = {VERSION};
COMMIT;
"""


class JournalFile:
    """The open file: one connection for all threads, one statement at a time.

    Another process opens the file itself, with ``read_only``: WAL lets it read while
    this one writes.

    Parameters
    ----------
    path
        The file; made if absent, unless ``read_only``.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._lock = threading.RLock()
        with explained(self._path):
            self._connection = connect(path, read_only=read_only)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Everything inside is one transaction."""
        with self._lock, explained(self._path), self._connection:
            yield

    def _write(self, statement: str, values: Sequence[Any]) -> None:
        with self._writing():
            self._connection.execute(statement, values)

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, explained(self._path):
            return self._connection.execute(statement, values).fetchall()


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file, or make it; one that only reads makes nothing.

    Raises
    ------
    NewerProjectError
        If a later version of the program wrote it; it is not touched.
    DamagedJournalError
        If its end is missing.
    """
    check_length(path)
    if read_only:
        return _connect_to_read(path)
    if mark_of(path).exists():
        raise damaged(path, "as was found when it was open")
    connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
    try:
        version = _checked_version(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        if version < VERSION:  # a full disk can still be opened
            connection.executescript(_SCHEMA)
            for name in columns_without(connection):
                added = f"ALTER TABLE reviewed ADD COLUMN {name} {_ADDED[name]}"
                connection.execute(added)
    except (sqlite3.Error, NewerProjectError):
        connection.close()
        raise
    return connection


def columns_without(connection: sqlite3.Connection) -> list[str]:
    """Return the columns of ``reviewed`` that an older program has not made."""
    known = {row[1] for row in connection.execute("PRAGMA table_info(reviewed)")}
    return [name for name in _ADDED if name not in known]


def check_length(path: Path) -> None:
    """Notice a file that was cut off: SQLite would, but only where it reads.

    Raises
    ------
    DamagedJournalError
        If it is shorter than its header says (bytes 16 and 28 of the file format,
        https://www.sqlite.org/fileformat.html).
    """
    wal = path.with_name(f"{path.name}-wal")
    try:
        if wal.exists() and wal.stat().st_size:
            return  # a checkpoint that was killed: what is missing is in there
        with path.open("rb") as file:
            header = file.read(100)
            n_bytes = os.fstat(file.fileno()).st_size
    except OSError:
        return  # what SQLite says about it is good enough
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        return
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    if n_bytes < page * int.from_bytes(header[28:32], "big"):
        raise damaged(path, "its end is missing")


def mark_of(path: Path) -> Path:
    """Return the empty file beside a journal in which damage was found."""
    return path.with_suffix(".damaged")


def damaged(path: Path, why: object) -> DamagedJournalError:
    """Return the error for a file whose content cannot be read."""
    return DamagedJournalError(
        f"The journal {path} is damaged, {why}",
        do="Open the project to write: what can be read is restored.",
    )


def _checked_version(connection: sqlite3.Connection, path: Path) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise NewerProjectError(
            f"The journal {path} was written by a later version",
            got=f"format {version}",
            expected=f"format {VERSION} or older",
            do="Update napari-unetseg to open it.",
        )
    return version


def _connect_to_read(path: Path) -> sqlite3.Connection:
    if not path.exists():
        return _nothing()
    if path.with_name(f"{path.name}-wal").exists() or os.access(path.parent, os.W_OK):
        options = "mode=ro"
    else:
        # WAL would want files beside it; without any the file cannot change either.
        options = "mode=ro&immutable=1"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}", uri=True, check_same_thread=False
    )
    try:
        _checked_version(connection, path)
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.OperationalError as error:
        connection.close()
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_CANTOPEN"):
            raise ReadOnlyError(
                f"The journal {path} was left by a program that did not end well, and "
                "its folder is read-only",
                do="Copy the project to a place where you may write, and open that.",
            ) from error
        raise
    except (sqlite3.Error, NewerProjectError):
        connection.close()
        raise
    if ("strokes",) not in tables:
        connection.close()
        return _nothing()
    return connection


def _nothing() -> sqlite3.Connection:
    empty = sqlite3.connect(":memory:", check_same_thread=False)
    empty.executescript(_SCHEMA)
    return empty


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's failures into sentences."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explanation(error, path) from error


def _explanation(error: sqlite3.Error, path: Path) -> Exception:
    name = getattr(error, "sqlite_errorname", "")  # misuse by the program has none
    if name == "SQLITE_FULL":
        return DiskFullError(
            f"The disk is full, the stroke could not be written to {path}",
            do="Free some space and try again; nothing written before is lost.",
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return ReadOnlyError(
            f"The stroke could not be written, {path} is read-only",
            do="Give yourself write access, or work in another folder.",
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return ReadOnlyError(
            f"The journal {path.name} is held by another program",
            do="Close it there and try again.",
        )
    if name.startswith("SQLITE_IOERR"):
        return ProjectError(
            f"The disk does not answer as it should, {path} could not be used: {error}",
            do="Check the disk, its quota or the network, and try again.",
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(path, error)
    if "closed" in str(error):
        return ProjectError(
            "The project was closed meanwhile", do="Open it again to go on."
        )
    return ProjectError(f"The journal {path} cannot be used, {error}")
