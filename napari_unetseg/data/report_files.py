"""The files of a report, which appear whole; and CSV that no program runs."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_unetseg.errors import explained_writing


def write_files(
    folder: Path,
    name: str,
    found: Mapping[str, Any],
    *,
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    page: str,
) -> dict[str, str]:
    """Write ``name.html``, ``name.csv`` and ``name.json`` into a folder.

    Parameters
    ----------
    found
        All that was measured, as it goes into the JSON.
    head, rows
        The table.
    page
        HTML.

    Returns
    -------
    dict
        ``report``, ``csv`` and ``json``: where they are.

    Raises
    ------
    DiskFullError, ReadOnlyError
        If they cannot be written.
    """
    texts = {
        "json": json.dumps(found, indent=2, ensure_ascii=False),
        "csv": as_csv(head, rows),
        "html": page,
    }
    with explained_writing("the report", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            partial = folder / f"{name}.{suffix}.{os.getpid()}.partial"
            partial.write_text(text, "utf-8", newline="")
            partial.replace(folder / f"{name}.{suffix}")
    return {
        "report": str(folder / f"{name}.html"),
        "csv": str(folder / f"{name}.csv"),
        "json": str(folder / f"{name}.json"),
    }


def as_csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as text; a cell that a program might run is defused."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(head)
    for row in rows:
        writer.writerow([_safe(cell) for cell in row])
    return stream.getvalue()


def _safe(cell: Any) -> Any:
    if cell is None:
        return ""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") \
        else cell  # fmt: skip
