"""How many voxels each rater gave to each class, from the journal alone.

A row knows what its voxels were and what they became, so that the counts follow from
adding up rows; no volume is read. They are kept beside the overlays together with the
last row that is in them, and only later rows are added::

    {"Ana": {"row": 42, "uuid": "…", "counts": {"0": 1200, "1": 37}}}
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from napari_unetseg.data.corrections import CorrectionStore, Stroke

NAME = "class_counts.json"


def class_counts(store: CorrectionStore, folder: Path) -> dict[str, dict[int, int]]:
    """Return rater → class id → voxels, background too, without what is UNSET.

    Parameters
    ----------
    folder
        Of the project; counts are kept in its ``labels``.
    """
    path = folder / "labels" / NAME
    known = _read(path)
    kept: dict[str, Any] = {}
    for name in store.annotators():
        rows = store.strokes(name)
        counts, after = _start(known.get(name), rows)
        for row in rows:
            if row.sequence > after:
                _add(counts, store, row)
        last = rows[-1]
        plain = {str(k): n for k, n in sorted(counts.items()) if n}
        kept[name] = {"row": last.sequence, "uuid": last.uuid, "counts": plain}
    if kept != known and not store.read_only:
        _write(path, kept)
    return {
        name: {int(k): n for k, n in entry["counts"].items()}
        for name, entry in kept.items()
    }


def _start(entry: Any, rows: list[Stroke]) -> tuple[Counter[int], int]:
    """Return the counts that are known, and up to which row of the journal."""
    try:
        number, uuid = int(entry["row"]), str(entry["uuid"])
        if any(row.sequence == number and row.uuid == uuid for row in rows):
            return Counter({int(k): int(n) for k, n in entry["counts"].items()}), number
    except (TypeError, KeyError, ValueError, AttributeError):
        return Counter(), 0
    return Counter(), 0


def _add(counts: Counter[int], store: CorrectionStore, row: Stroke) -> None:
    voxels = store.voxels(row)
    for values, sign in ((voxels.new, 1), (voxels.old, -1)):
        for value, n in zip(*np.unique(values, return_counts=True), strict=True):
            if value != store.unset:
                counts[int(value)] += sign * int(n)


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text("utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _write(path: Path, counts: dict[str, Any]) -> None:
    """Keep counts; without them they are counted anew."""
    partial = path.with_name(f"{NAME}.{os.getpid()}.partial")
    with contextlib.suppress(OSError):
        partial.write_text(json.dumps(counts), "utf-8")
        partial.replace(path)
