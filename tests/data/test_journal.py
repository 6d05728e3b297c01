from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.journal import Journal, Stroke, StrokeVoxels
from napari_unetseg.data.journal_notes import Reviewed
from napari_unetseg.errors import DiskFullError, ProjectError, ReadOnlyError
from napari_unetseg.geometry import Box

BOX = Box((2, 3, 4), (4, 8, 7))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite", "uint8")
    yield journal
    journal.close()


def some_voxels(seed: int = 0) -> StrokeVoxels:
    random = np.random.default_rng(seed)
    mask = random.random(BOX.shape) < 0.5
    old, new = random.integers(0, 250, (2, int(mask.sum()))).astype(np.uint8)
    return StrokeVoxels(mask, old, new)


def add(journal: Journal, annotator: str = "Ana", seed: int = 0) -> Stroke:
    return journal.add_edit(
        BOX, some_voxels(seed), annotator=annotator, tool="brush", model_version="v2"
    )


def test_an_edit_comes_back_as_it_was(journal: Journal, tmp_path: Path) -> None:
    written = add(journal)
    journal.close()
    again = Journal(tmp_path / "journal.sqlite", "uint8")
    (read,) = again.strokes()
    voxels = again.voxels(read)
    again.close()
    assert read == written
    assert (read.kind, read.tool, read.model_version) == ("edit", "brush", "v2")
    assert read.box == BOX and read.n_voxels == some_voxels().mask.sum()
    for name in ("mask", "old", "new"):
        np.testing.assert_array_equal(
            getattr(voxels, name), getattr(some_voxels(), name)
        )


def test_large_object_ids_survive(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", "uint32")
    mask = np.ones(BOX.shape, bool)
    ids = np.arange(BOX.n_voxels, dtype=np.uint32) + 2**31
    row = journal.add_edit(
        BOX, StrokeVoxels(mask, ids, ids + 1), annotator="Ana", tool="fill",
        model_version=None,
    )  # fmt: skip
    np.testing.assert_array_equal(journal.voxels(row).new, ids + 1)
    journal.close()


def test_an_undo_is_a_row_that_exchanges_old_and_new(journal: Journal) -> None:
    edit = add(journal)
    undo = journal.add_reversals("undo", [edit])[0]
    redo = journal.add_reversals("redo", [edit])[0]
    assert [s.kind for s in journal.strokes()] == ["edit", "undo", "redo"]
    assert undo.target == redo.target == edit.sequence
    np.testing.assert_array_equal(journal.voxels(undo).new, some_voxels().old)
    np.testing.assert_array_equal(journal.voxels(redo).new, some_voxels().new)


def test_rows_are_chosen_by_annotator_and_number(journal: Journal) -> None:
    first, _, third = (add(journal, name) for name in ("Ana", "Bo", "Ana"))
    assert journal.strokes(annotator="Ana") == [first, third]
    assert journal.strokes(after=first.sequence, annotator="Ana") == [third]


def test_numbers_of_numpy_are_taken(journal: Journal) -> None:
    start, stop = np.array([0, 1, 2]), np.array([2, 6, 5])
    row = journal.add_edit(
        Box(tuple(start), tuple(stop)), some_voxels(), annotator="Ana", tool="brush",
        model_version=None,
    )  # fmt: skip
    assert journal.strokes()[0].box == Box((0, 1, 2), (2, 6, 5)) == row.box


def test_notes_on_regions_and_clicks(journal: Journal) -> None:
    journal.add_reviewed(BOX, "Ana", "v1", "accepted")
    journal.add_reviewed(BOX, "Bo", None, "skipped")
    journal.remove_reviewed(journal.reviewed()[0].id)
    (left,) = journal.reviewed()
    assert (left.box, left.annotator, left.state) == (BOX, "Bo", "skipped")
    journal.add_rejected_click(np.array([1, 2, 3]), 2, "Ana", "v1")
    assert journal.rejected_clicks() == [((1, 2, 3), 2)]


def test_every_commit_waits_for_the_disk(journal: Journal) -> None:
    pragma = journal._connection.execute
    assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)
    assert pragma("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_cost_follows_the_stroke_and_not_its_box(journal: Journal) -> None:
    mask = np.zeros((16, 512, 512), bool)
    mask[3, 100:120, 100:120] = True
    old = new = np.zeros(400, np.uint8)
    journal.add_edit(
        Box.whole(mask.shape), StrokeVoxels(mask, old, new), annotator="Ana",
        tool="brush", model_version=None,
    )  # fmt: skip
    size = "SELECT length(mask) + length(old) + length(new) FROM strokes"
    assert journal._connection.execute(size).fetchone()[0] < 5000


def test_a_full_disk_is_a_sentence_and_leaves_no_row(journal: Journal) -> None:
    add(journal)
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    noise = np.random.default_rng(0).integers(0, 250, 2**16).astype(np.uint8)
    much = StrokeVoxels(np.ones((1, 256, 256), bool), noise, noise)
    box = Box.whole((1, 256, 256))
    with pytest.raises(DiskFullError, match="disk is full, the stroke .* Free some"):
        journal.add_edit(box, much, annotator="A", tool="brush", model_version=None)
    assert len(journal.strokes()) == 1
    journal._connection.execute("PRAGMA max_page_count = 100000")
    journal.add_edit(box, much, annotator="A", tool="brush", model_version=None)
    assert len(journal.strokes()) == 2


def test_a_file_that_cannot_be_written_is_a_sentence(journal: Journal) -> None:
    journal._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(ReadOnlyError, match="is read-only. Give yourself"):
        add(journal)
    assert isinstance(ReadOnlyError("x"), PermissionError)


def test_a_writer_elsewhere_is_a_sentence(journal: Journal, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "journal.sqlite")
    other.execute("BEGIN IMMEDIATE")
    journal._connection.execute("PRAGMA busy_timeout = 1")
    with pytest.raises(ReadOnlyError, match="held by another program"):
        add(journal)
    other.close()
    assert add(journal).sequence == 1


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this is no database" * 100)
    for read_only in (False, True):
        with pytest.raises(ProjectError, match=r"damaged, .* Open the project"):
            Journal(path, "uint8", read_only=read_only)


def test_reading_after_closing_is_a_sentence(journal: Journal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(ProjectError, match="was closed meanwhile"):
        journal.strokes()


def test_reading_needs_no_file_and_makes_none(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", "uint8", read_only=True)
    assert journal.strokes() == [] == journal.reviewed()
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_what_is_written_meanwhile(
    journal: Journal, tmp_path: Path
) -> None:
    add(journal)
    reader = Journal(tmp_path / "journal.sqlite", "uint8", read_only=True)
    assert len(reader.strokes()) == 1
    add(journal)
    assert len(reader.strokes()) == 2
    with pytest.raises(ReadOnlyError):
        add(reader)
    reader.close()


def test_a_folder_without_write_access_can_be_read(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = add(journal)
    journal.close()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    reader = Journal(tmp_path / "journal.sqlite", "uint8", read_only=True)
    assert reader.strokes() == [written]
    assert not list(tmp_path.glob("*-wal"))
    reader.close()


def test_threads_write_and_read_together(journal: Journal) -> None:
    def work(name: str) -> None:
        for seed in range(10):
            journal.voxels(add(journal, name, seed))

    threads = [threading.Thread(target=work, args=(n,)) for n in ("Ana", "Bo", "Cy")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({s.uuid for s in journal.strokes()}) == 30


def test_regions_of_an_older_journal_have_no_class_and_no_seconds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(
            "CREATE TABLE strokes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, uuid,"
            " kind, target, annotator, time, tool, model_version, z0, y0, x0, z1, y1,"
            " x1, n_voxels, n_added, mask, old, new);"
            "CREATE TABLE reviewed (id INTEGER PRIMARY KEY, annotator, time, state,"
            " model_version, z0, y0, x0, z1, y1, x1);"
            "CREATE TABLE rejected_clicks (id INTEGER PRIMARY KEY, annotator, time,"
            " model_version, z, y, x, class_id);"
            "INSERT INTO reviewed VALUES (1, 'Ana', 't', 'accepted', 'v1', 0, 0, 0, 2,"
            " 2, 2);"
        )
    box = Box((0, 0, 0), (2, 2, 2))
    expected = Reviewed(1, box, "Ana", "t", "accepted", "v1")
    with contextlib.closing(Journal(path, "uint8", read_only=True)) as journal:
        assert journal.reviewed() == [expected]
    with contextlib.closing(Journal(path, "uint8")) as journal:
        journal.add_reviewed(box, "Bo", None, "skipped", class_id=2, seconds=3.5)
        first, second = journal.reviewed()
    assert first == expected
    assert (second.class_id, second.seconds) == (2, 3.5)
