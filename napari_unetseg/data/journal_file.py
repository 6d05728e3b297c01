"""The SQLite file of the journal: its tables, how it is opened, what can go wrong."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_unetseg.errors import DiskFullError, ProjectError, ReadOnlyError

_SCHEMA = """
BEGIN;
CREATE TABLE IF NOT EXISTS strokes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL, kind TEXT NOT NULL,
    target INTEGER, annotator TEXT NOT NULL, time TEXT NOT NULL, tool TEXT NOT NULL,
    model_version TEXT, z0 INT, y0 INT, x0 INT, z1 INT, y1 INT, x1 INT,
    n_voxels INT NOT NULL, n_added INT NOT NULL, mask BLOB, old BLOB, new BLOB);
CREATE TABLE IF NOT EXISTS reviewed (
    id INTEGER PRIMARY KEY, annotator TEXT NOT NULL, time TEXT NOT NULL,
    state TEXT NOT NULL, model_version TEXT,
    z0 INT, y0 INT, x0 INT, z1 INT, y1 INT, x1 INT);
CREATE TABLE IF NOT EXISTS rejected_clicks (
    id INTEGER PRIMARY KEY, annotator TEXT NOT NULL, time TEXT NOT NULL,
    model_version TEXT, z INT, y INT, x INT, class_id INT);
COMMIT;
"""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file, or make it; one that only reads makes nothing."""
    if read_only:
        return _connect_to_read(path)
    connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


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
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.Error:
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
        return ProjectError(
            f"The journal {path} is damaged, {error}",
            do="Restore journal.sqlite from a backup.",
        )
    if "closed" in str(error):
        return ProjectError(
            "The project was closed meanwhile", do="Open it again to go on."
        )
    return ProjectError(f"The journal {path} cannot be used, {error}")
