"""A journal of 100,000 strokes: how long it takes to open it and to look back.

Pages of the history, labels as they were, one stroke taken back out of all, a thousand
undone at once. The baseline of the pages is what they replace: reading all rows.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Target, parse_args, write_report
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.journal import Journal, Packed, Stroke, StrokeVoxels
from napari_unetseg.data.look_back import history_page, labels_at
from napari_unetseg.geometry import Box, Zyx, zyx

SHAPE: Zyx = (128, 1024, 1024)
CHUNK: Zyx = (16, 128, 128)
PEOPLE = ("Ana", "Bo", "Cy")


def write_journal(path: Path, n_rows: int) -> None:
    """Write strokes at random places; Cy has ten of them, the first."""
    random = np.random.default_rng(0)
    scratch = Journal(path.with_name("scratch.sqlite"), "uint8")
    kinds: list[tuple[Stroke, Packed]] = []
    for size in range(6, 30):
        shape = (max(1, size // 4), size, size)
        mask = random.random(shape) < 0.6
        values = np.full(int(mask.sum()), size % 3, np.uint8)
        row = scratch.add_edit(
            Box.whole(shape), StrokeVoxels(mask, values * 0 + 255, values),
            annotator="Ana", tool="brush", model_version="v1",
        )  # fmt: skip
        kinds.append((row, scratch.packed(row)))
    scratch.close()

    def row(number: int) -> tuple[Stroke, Packed]:
        kind, packed = kinds[number % len(kinds)]
        start = zyx(random.integers(0, np.array(SHAPE) - kind.box.shape))
        name = PEOPLE[number % 2] if number >= 10 else PEOPLE[2]
        fields = {**vars(kind), "sequence": number, "uuid": f"{number:032x}",
                  "annotator": name, "box": kind.box.shifted(start)}  # fmt: skip
        return Stroke(**fields), packed

    journal = Journal(path, "uint8")
    journal.add_rows((row(number) for number in range(n_rows)), {})
    journal.close()


def opened(folder: Path, **options: Any) -> CorrectionStore:
    """Open the labels as the program does."""
    return CorrectionStore.open(
        folder, shape=SHAPE, voxel_size=(1, 1, 1), chunk=CHUNK, **options
    )


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Return how long something takes, the median of some repeats."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def looking_back(store: CorrectionStore, n_rows: int) -> dict[str, float]:
    """Return milliseconds of everything that a history panel asks for."""
    box = Box.around(zyx(n // 2 for n in SHAPE), (64, 256, 256))
    half = n_rows // 2
    asked: dict[str, Callable[[], object]] = {
        "first_page": lambda: history_page(store),
        "first_page_of_one": lambda: history_page(store, "Ana"),
        "first_page_of_who_did_little": lambda: history_page(store, "Cy"),
        "page_in_the_middle": lambda: history_page(store, before=half),
        "labels_halfway": lambda: labels_at(store, "Ana", half, box),
        "all_rows": lambda: store.strokes(),
    }
    return {
        f"{name}_ms": 1e3 * seconds(work, 1 if name == "all_rows" else 15)
        for name, work in asked.items()
    }


def taking_back(store: CorrectionStore) -> dict[str, float]:
    """Return how long it takes to take strokes back, one by one and many."""
    edits = store.edits_before(None, 1001, "Ana")
    return {
        "undo_ms": 1e3 * seconds(lambda: store.undo("Ana")),
        "redo_ms": 1e3 * seconds(lambda: store.redo("Ana")),
        "undo_to_1000_back_s": seconds(lambda: store.undo_to(edits[-1])),
        "redo_to_1000_s": seconds(lambda: store.redo_to(edits[0])),
        "undo_stroke_ms": 1e3 * seconds(lambda: store.undo_stroke(edits[500])),
    }


def main() -> None:
    """Do all of it."""
    arguments = parse_args(__doc__.splitlines()[0])
    n_rows = 100_000
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_journal(folder / "journal.sqlite", n_rows)
        start = time.perf_counter()
        store = opened(folder, read_only=True)
        figures: dict[str, Any] = {
            "rows": n_rows,
            "journal_mb": (folder / "journal.sqlite").stat().st_size / 1e6,
            "open_to_read_s": time.perf_counter() - start,
            **looking_back(store, n_rows),
        }
        store.close()
        if arguments.quick:  # fewer labels to make anew
            (folder / "journal.sqlite").unlink()
            write_journal(folder / "journal.sqlite", n_rows // 10)
        figures["rows_made_anew"] = n_rows // 10 if arguments.quick else n_rows
        start = time.perf_counter()
        store = opened(folder)
        figures["labels_made_anew_s"] = time.perf_counter() - start
        figures.update(taking_back(store))
        store.close()
        start = time.perf_counter()
        opened(folder).close()
        figures["open_to_write_s"] = time.perf_counter() - start
    print(figures)
    pages = [value for name, value in figures.items() if "page" in name]
    write_report(
        arguments.json, figures, [Target("slowest_page_ms", max(pages), "<=", 20)]
    )


if __name__ == "__main__":
    main()
