"""Back to a point, and one stroke out of many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET, CorrectionStore, Stroke
from napari_unetseg.errors import DiskFullError, LabelsError, ReadOnlyError
from napari_unetseg.geometry import Box

SHAPE = (8, 32, 32)
WHOLE = Box.whole(SHAPE)
LAYOUT: dict[str, Any] = {
    "shape": SHAPE, "voxel_size": (1.0, 1.0, 1.0), "chunk": (4, 16, 16),
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CorrectionStore]:
    store = CorrectionStore.open(tmp_path, **LAYOUT)
    yield store
    store.close()


def paint(store: CorrectionStore, x: int, value: int, width: int = 8) -> Stroke:
    """Paint a slab from column x on."""
    box = Box((0, 0, x), (8, 32, x + width))
    mask = np.ones(box.shape, bool)
    return store.commit(box, mask, value, annotator="Ana", tool="brush")


def row(store: CorrectionStore) -> list[int]:
    """Return every fourth voxel of a line."""
    return [int(v) for v in store.read("Ana", WHOLE)[0, 0, ::4]]


U = UNSET


def test_back_to_a_stroke_and_forth_again(
    store: CorrectionStore, tmp_path: Path
) -> None:
    strokes = [paint(store, 4 * n, n + 1) for n in range(6)]
    before = store.read("Ana", WHOLE)
    rows = store.undo_to(strokes[1])
    assert [r.target for r in rows] == [s.sequence for s in strokes[:1:-1]]
    assert row(store) == [1, 2, 2, U, U, U, U, U]
    assert store.n_strokes == 2
    assert store.counts()["Ana"] == int((store.read("Ana", WHOLE) != U).sum())
    assert store.undo_to(strokes[1]) == []
    store.close()
    again = CorrectionStore.open(tmp_path, **LAYOUT)
    for _ in range(4):
        assert again.redo("Ana") is not None
    assert not again.can_redo("Ana")
    np.testing.assert_array_equal(again.read("Ana", WHOLE), before)
    again.close()


def test_forth_to_a_stroke(store: CorrectionStore) -> None:
    strokes = [paint(store, 4 * n, n + 1) for n in range(4)]
    store.undo_to(strokes[0])
    store.undo("Ana")
    assert len(store.redo_to(strokes[0])) == 1
    assert row(store) == [1, 1, U, U, U, U, U, U]
    assert len(store.redo_to(strokes[2])) == 2
    assert row(store) == [1, 2, 3, 3, U, U, U, U]
    with pytest.raises(LabelsError, match="not undone"):
        store.redo_to(strokes[2])


def test_back_to_a_stroke_that_is_undone_is_a_sentence(store: CorrectionStore) -> None:
    paint(store, 0, 1)
    last = paint(store, 4, 2)
    store.undo("Ana")
    with pytest.raises(LabelsError, match="Ana was taken back already. Redo"):
        store.undo_to(last)
    with pytest.raises(LabelsError, match="taken back already"):
        store.undo_stroke(last)


def test_one_stroke_goes_and_later_ones_stay(store: CorrectionStore) -> None:
    paint(store, 0, 1, 16)
    second = paint(store, 8, 2, 16)
    paint(store, 16, 3, 4)
    assert row(store) == [1, 1, 2, 2, 3, 2, U, U]
    revert = store.undo_stroke(second)
    assert row(store) == [1, 1, 1, 1, 3, U, U, U]
    assert (revert.kind, revert.tool, revert.target) == (
        "revert", "revert", second.sequence,
    )  # fmt: skip
    assert store.n_strokes == 2 and second.uuid not in store.stroke_ids()
    assert store.counts()["Ana"] == int((store.read("Ana", WHOLE) != U).sum())
    with pytest.raises(LabelsError, match="taken back already"):
        store.undo_stroke(second)


def test_a_revert_is_undone_and_redone_like_an_edit(
    store: CorrectionStore, tmp_path: Path
) -> None:
    first = paint(store, 0, 1)
    paint(store, 4, 2)
    store.undo_stroke(first)
    store.undo("Ana")
    assert row(store) == [1, 2, 2, U, U, U, U, U] and store.n_strokes == 2
    store.redo("Ana")
    assert row(store) == [U, 2, 2, U, U, U, U, U] and store.n_strokes == 1
    store.close()
    again = CorrectionStore.open(tmp_path, **LAYOUT)
    assert row(again) == [U, 2, 2, U, U, U, U, U]
    again.rebuild("Ana")
    assert row(again) == [U, 2, 2, U, U, U, U, U]
    for _ in range(3):
        again.undo("Ana")
    assert row(again) == [U] * 8 and not again.can_undo("Ana")
    again.close()


def test_a_revert_is_reverted_while_later_edits_stay(store: CorrectionStore) -> None:
    first = paint(store, 0, 1)
    revert = store.undo_stroke(first)
    paint(store, 4, 3)
    store.undo_stroke(revert)
    assert row(store) == [1, 3, 3, U, U, U, U, U]
    assert store.n_strokes == 2
    again = store.undo_stroke(first)
    assert row(store) == [U, 3, 3, U, U, U, U, U]
    assert store.undo("Ana") is not None and again.target == first.sequence
    assert row(store) == [1, 3, 3, U, U, U, U, U]


def test_what_was_taken_back_does_not_return_from_under_another(
    store: CorrectionStore,
) -> None:
    below, above = paint(store, 0, 1), paint(store, 0, 2)
    store.undo_stroke(below)
    assert row(store)[:2] == [2, 2]
    store.undo_stroke(above)
    assert row(store) == [U] * 8
    assert store.n_strokes == 0


def test_a_stroke_that_is_wholly_painted_over_can_be_taken_back(
    store: CorrectionStore,
) -> None:
    below = paint(store, 0, 1)
    above = paint(store, 0, 2)
    store.undo_stroke(below)
    assert row(store)[:2] == [2, 2]
    assert store.stroke_ids() == (above.uuid,)


def test_other_people_are_not_touched(store: CorrectionStore) -> None:
    first = paint(store, 0, 1)
    mask = np.ones(WHOLE.shape, bool)
    store.commit(WHOLE, mask, 5, annotator="Bo", tool="fill")
    paint(store, 4, 2)
    store.undo_stroke(first)
    store.undo_to(first)
    assert (store.read("Bo", WHOLE) == 5).all()


def test_who_edited_last_is_found_among_edits_in_effect(
    store: CorrectionStore,
) -> None:
    mask = np.ones(WHOLE.shape, bool)
    paint(store, 0, 1)
    store.commit(WHOLE, mask, 5, annotator="Bo", tool="fill")
    last = paint(store, 24, 2)
    assert store.read_all(WHOLE)[0, 0, 0] == 1
    store.undo_stroke(last)
    assert store.read_all(WHOLE)[0, 0, 0] == 5


def test_on_a_full_disk_nothing_is_taken_back(store: CorrectionStore) -> None:
    strokes = [paint(store, 4 * n, n + 1) for n in range(6)]
    before, connection = store.read("Ana", WHOLE), store._journal._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")

    def back_and_forth() -> None:
        for _ in range(200):
            store.undo_to(strokes[0])
            store.redo_to(strokes[-1])

    with pytest.raises(DiskFullError, match="disk is full"):
        back_and_forth()
    connection.execute("PRAGMA max_page_count = 1000000")
    n = store.n_strokes
    assert n in (1, 6)  # never a part of it
    if n == 1:
        store.redo_to(strokes[-1])
    np.testing.assert_array_equal(store.read("Ana", WHOLE), before)


def test_a_read_only_project_takes_nothing_back(
    store: CorrectionStore, tmp_path: Path
) -> None:
    first = paint(store, 0, 1)
    paint(store, 4, 2)
    reader = CorrectionStore.open(tmp_path, **LAYOUT, read_only=True)
    for refused in (reader.undo_to, reader.undo_stroke):
        with pytest.raises(ReadOnlyError, match="project is read-only"):
            refused(first)
    reader.close()


def test_a_journal_from_before_there_were_reverts_is_read_and_written(
    store: CorrectionStore, tmp_path: Path
) -> None:
    first = paint(store, 0, 1)
    store.close()
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    connection.executescript(
        "DROP INDEX strokes_by_annotator; PRAGMA user_version = 0;"
    )
    connection.close()
    reader = CorrectionStore.open(tmp_path, **LAYOUT, read_only=True)
    assert row(reader)[:2] == [1, 1]
    reader.close()
    again = CorrectionStore.open(tmp_path, **LAYOUT)
    assert again.undo_stroke(first).kind == "revert"
    assert row(again) == [U] * 8
    again.close()
