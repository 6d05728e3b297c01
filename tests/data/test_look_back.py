from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET, CorrectionStore, Stroke
from napari_unetseg.data.journal import Journal, StrokeVoxels
from napari_unetseg.data.look_back import history_page, labels_at
from napari_unetseg.geometry import Box, zyx

SHAPE = (8, 32, 32)
WHOLE = Box.whole(SHAPE)


def opened(folder: Path) -> CorrectionStore:
    return CorrectionStore.open(
        folder, shape=SHAPE, voxel_size=(1, 1, 1), chunk=(4, 16, 16)
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CorrectionStore]:
    store = opened(tmp_path)
    yield store
    store.close()


def paint(store: CorrectionStore, value: int, annotator: str = "Ana") -> Stroke:
    start = np.random.default_rng(value).integers(0, (4, 16, 16))
    box = Box(zyx(start), zyx(start + np.array((4, 16, 16))))
    mask = np.random.default_rng(value).random(box.shape) < 0.6
    return store.commit(
        box, mask, value, annotator=annotator, tool="brush", model_version="v1"
    )


def test_a_page_tells_who_did_what_newest_first(store: CorrectionStore) -> None:
    first, other = paint(store, 1), paint(store, 2, "Bo")
    undone = paint(store, 3)
    store.undo("Ana")
    page = history_page(store)
    assert [(r.stroke, r.is_undone) for r in page] == [
        (undone, True), (other, False), (first, False),
    ]  # fmt: skip
    assert [r.stroke for r in history_page(store, "Bo")] == [other]
    assert history_page(store, "Nobody") == []


def test_a_revert_is_a_line_and_crosses_out_another(store: CorrectionStore) -> None:
    first = paint(store, 1)
    second = paint(store, 2)
    revert = store.undo_stroke(first)
    assert [(r.stroke, r.is_undone) for r in history_page(store)] == [
        (revert, False), (second, False), (first, True),
    ]  # fmt: skip
    store.undo("Ana")
    assert [r.is_undone for r in history_page(store)] == [True, False, False]


def test_pages_follow_each_other_without_gap(store: CorrectionStore) -> None:
    strokes = [paint(store, n, ("Ana", "Bo")[n % 2]) for n in range(1, 12)]
    seen: list[Stroke] = []
    before = None
    while page := history_page(store, before=before, size=4):
        seen += [r.stroke for r in page]
        before = seen[-1].sequence
    assert seen == strokes[::-1]


def test_labels_as_they_were_after_every_row(store: CorrectionStore) -> None:
    states = {0: store.read("Ana", WHOLE)}

    def note(row: Stroke | None) -> Stroke:
        assert row is not None
        states[row.sequence] = store.read("Ana", WHOLE)
        return row

    first = note(paint(store, 1))
    for value in (2, 0, UNSET, 5):
        note(paint(store, value))
        note(paint(store, 7, "Bo"))
    note(store.undo("Ana"))
    note(store.undo("Ana"))
    note(store.redo("Ana"))
    note(store.undo_stroke(first))
    note(store.undo("Ana"))
    for sequence, expected in states.items():
        np.testing.assert_array_equal(
            labels_at(store, "Ana", sequence, WHOLE), expected
        )
    part = Box((2, 5, 7), (6, 21, 30))
    np.testing.assert_array_equal(
        labels_at(store, "Ana", first.sequence, part),
        states[first.sequence][part.slices],
    )


def test_the_first_page_of_a_long_journal_is_quick(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", "uint8")
    box = Box((0, 0, 0), (1, 4, 4))
    zeros = np.zeros(16, np.uint8)
    rare = journal.add_edit(
        box, StrokeVoxels(np.ones(box.shape, bool), zeros + UNSET, zeros),
        annotator="Bo", tool="brush", model_version=None,
    )  # fmt: skip
    with journal._writing():
        journal._connection.execute(
            "INSERT INTO strokes SELECT NULL, hex(randomblob(16)), kind, target, 'Ana',"
            " time, tool, model_version, z0, y0, x0, z1, y1, x1, n_voxels, n_added,"
            " mask, old, new FROM strokes, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
            " SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n)"
        )
    journal.close()
    store = CorrectionStore.open(
        tmp_path, shape=SHAPE, voxel_size=(1, 1, 1), read_only=True
    )

    def quickest(annotator: str | None) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            page = history_page(store, annotator)
            times.append(time.perf_counter() - start)
        assert page[-1].stroke.sequence >= rare.sequence
        return min(times)

    assert max(map(quickest, (None, "Ana", "Bo"))) < 0.02
    store.close()
