"""What labels survive: programs killed at random moments while somebody paints.

A child process paints, clicks, joins, undoes, redoes, takes strokes back, changes
people, marks regions and opens the project again, and tells of each stroke as soon as
it is acknowledged. It is killed, and a plain model in numpy, which knows nothing of the
package, replays the rows of the SQLite file::

    child ── acknowledged: id, checksum ──▶ pipe ──▶ is that row there, as told?
      └─ SIGKILL
    journal.sqlite ──▶ sqlite3, zlib, numpy ──▶ labels of the model ══ labels on disk?

The same child painting into a zarr array in place is the baseline: no journal, no undo.
"""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.common import Target, parse_args, write_report
from benchmarks.killing import killed
from benchmarks.painters import (
    CHUNK,
    SHAPE,
    UNSET,
    checksum,
    child,
    in_place_stroke,
    open_store,
)
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.geometry import Box


@dataclass
class Model:
    """The labels by a plain replay of the SQLite file, and what it found wrong."""

    labels: dict[str, np.ndarray] = field(default_factory=dict)
    checksums: dict[str, int] = field(default_factory=dict)
    edits: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    last_row: int = 0
    n_reviewed: int = 0
    is_sound: bool = True

    def follow(self, path: Path) -> None:
        """Replay the rows that are new."""
        if not path.exists():
            return
        with closing(sqlite3.connect(path)) as connection:
            ok = connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            self.is_sound &= ok
            self.n_reviewed = connection.execute(
                "SELECT count(*) FROM reviewed"
            ).fetchone()[0]
            rows = connection.execute(
                "SELECT sequence, uuid, kind, target, annotator, z0, y0, x0, z1, y1,"
                " x1, mask, old, new FROM strokes WHERE sequence > ? ORDER BY sequence",
                (self.last_row,),
            )
            for row in rows:
                self._take(row)

    def _take(self, row: tuple[Any, ...]) -> None:
        sequence, uuid, kind, target, annotator = row[:5]
        self.last_row = sequence
        if kind in ("undo", "redo"):
            self.checksums[uuid] = 0
            box, packed, old, new = self.edits[target]
        else:
            box, (packed, old, new) = row[5:11], row[11:]
            self.edits[sequence] = (box, packed, old, new)
        z0, y0, x0, z1, y1, x1 = box
        shape = (z1 - z0, y1 - y0, x1 - x0)
        bits = np.frombuffer(zlib.decompress(packed), np.uint8)
        mask = np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape) == 1
        if kind == "undo":
            old, new = new, old
        values = np.frombuffer(zlib.decompress(new), np.uint8)
        if kind not in ("undo", "redo"):
            where = Box((z0, y0, x0), (z1, y1, x1))
            self.checksums[uuid] = checksum(where, mask, values)
        labels = self.labels.setdefault(annotator, np.full(SHAPE, UNSET, np.uint8))
        there = labels[z0:z1, y0:y1, x0:x1]
        before = np.frombuffer(zlib.decompress(old), np.uint8)
        self.is_sound &= np.array_equal(there[mask], before)
        there[mask] = values


def with_journal(
    folder: Path, n_kills: int, context: ForkServerContext
) -> dict[str, Any]:
    """Kill the program again and again on one project."""
    model, torn, unequal, lost, n_told, n_noted = Model(), 0, 0, 0, 0, 0
    seconds = []
    for seed in range(n_kills):
        told = killed(context, child, "journal", folder, seed)
        torn += sum(torn_chunks(path) for path in folder.glob("labels/*.zarr"))
        model.follow(folder / "journal.sqlite")
        start = time.perf_counter()
        store = open_store(folder)
        seconds.append(time.perf_counter() - start)
        unequal += not is_equal(store, model)
        store.close()
        strokes = [words for words in told if words[0] == "stroke"]
        n_told += len(strokes)
        n_noted += len(told) - len(strokes)
        lost += sum(is_lost(words, model) for words in strokes)
        lost += max(0, n_noted - model.n_reviewed)
        progress(seed, n_kills, f"{n_told} acknowledged, {lost} lost")
    store = open_store(folder)
    start = time.perf_counter()
    for name in store.annotators():
        store.rebuild(name)
    rebuilding = time.perf_counter() - start
    unequal += not is_equal(store, model)
    store.close()
    return {
        "kills": n_kills,
        "acknowledged_strokes": n_told,
        "acknowledged_reviews": n_noted,
        "rows": model.last_row,
        "lost_strokes": lost,
        "kills_after_which_labels_differ": unequal,
        "torn_chunks": torn,
        "journal_sound": model.is_sound,
        "seconds_to_open_after_a_kill": {
            "median": float(np.median(seconds)), "worst": max(seconds),
        },
        "seconds_to_rebuild_all": rebuilding,
        "journal_mb": (folder / "journal.sqlite").stat().st_size / 1e6,
    }  # fmt: skip


def is_lost(words: list[str], model: Model) -> bool:
    """Whether an acknowledged row is not there, or not as it was told."""
    known = model.checksums.get(words[1])
    return known is None or (words[2] != "-" and known != int(words[2]))


def is_equal(store: CorrectionStore, model: Model) -> bool:
    """Whether the labels on disk are those of the model."""
    whole = Box.whole(SHAPE)
    return all(
        np.array_equal(store.read(name, whole), labels)
        for name, labels in model.labels.items()
    ) and set(store.annotators()) == set(model.labels)


def torn_chunks(path: Path) -> int:
    """Return how many chunks of an array cannot be decoded."""
    try:
        array: Any = zarr.open_array(path, mode="r")
    except FileNotFoundError:  # killed before it was made
        return 0
    n_torn = 0
    for cell in Box.whole(array.shape).cells(array.chunks):
        try:
            array[cell.slices]
        except (ValueError, RuntimeError):
            n_torn += 1
    return n_torn


def in_place(folder: Path, n_kills: int, context: ForkServerContext) -> dict[str, Any]:
    """Kill somebody who paints into an array; each time into a new one."""
    lost = half = torn = n_told = 0
    for seed in range(n_kills):
        site = folder / str(seed)
        array: Any = zarr.create_array(
            site / "labels.zarr",
            shape=SHAPE,
            chunks=CHUNK,
            dtype="uint8",
            fill_value=UNSET,
        )
        n_done = len(killed(context, child, "in place", site, seed))
        n_told += n_done
        if n := torn_chunks(site / "labels.zarr"):
            torn += n
            continue
        values, randomness = array[:], random.Random(seed)
        expected = np.full(SHAPE, UNSET, np.uint8)
        for number in range(n_done):
            box, mask, value = in_place_stroke(randomness, number)
            expected[box.slices][mask] = value
        box, mask, value = in_place_stroke(randomness, n_done)  # the one in flight
        inside = np.zeros(SHAPE, bool)
        inside[box.slices] = mask
        lost += bool((values != expected)[~inside].any())
        is_there = values[inside] == value
        half += bool(is_there.any() and not is_there.all())
        progress(seed, n_kills, f"in place: {half} strokes half there")
    return {
        "kills": n_kills,
        "acknowledged_strokes": n_told,
        "kills_after_which_an_acknowledged_stroke_was_lost": lost,
        "torn_chunks": torn,
        "kills_after_which_a_stroke_was_half_there": half,
        "strokes_that_can_be_undone_after_a_kill": 0,
    }


def progress(number: int, n: int, text: str) -> None:
    """Say how far it is, now and then."""
    if (number + 1) % 20 == 0:
        print(f"{number + 1}/{n} kills: {text}", flush=True)


def main() -> None:
    """Do all of it."""
    arguments = parse_args(__doc__.splitlines()[0])
    n_kills = 20 if arguments.quick else 200
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.painters"])
    runs: dict[str, Callable[..., dict[str, Any]]] = {
        "journal": with_journal, "in_place": in_place,
    }  # fmt: skip
    figures: dict[str, Any] = {}
    for name, run in runs.items():
        with tempfile.TemporaryDirectory() as scratch:
            figures[name] = run(Path(scratch), n_kills, context)
        print(figures[name], flush=True)
    found = figures["journal"]
    is_equal_always = found["kills_after_which_labels_differ"] == 0
    targets = [
        Target("kills", found["kills"], ">=", n_kills),
        Target("lost_strokes", found["lost_strokes"], "==", 0),
        Target("overlay_equals_replay", float(is_equal_always), "==", 1),
        Target("torn_chunks", found["torn_chunks"], "==", 0),
        Target("journal_sound", float(found["journal_sound"]), "==", 1),
    ]
    write_report(arguments.json, figures, targets)


if __name__ == "__main__":
    main()
