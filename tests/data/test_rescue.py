"""Damage to the files of the labels: what can be restored is, as a sentence says."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.errors import DamagedJournalError, NewerProjectError
from napari_unetseg.geometry import Box, zyx

SHAPE = (16, 64, 64)
WHOLE = Box.whole(SHAPE)
LAYOUT: dict[str, Any] = {
    "shape": SHAPE, "voxel_size": (1.0, 1.0, 1.0), "chunk": (8, 16, 16),
}  # fmt: skip
PEOPLE = ("Ana", "Bo")


def opened(folder: Path, **options: Any) -> CorrectionStore:
    folder.mkdir(exist_ok=True)
    return CorrectionStore.open(folder, **LAYOUT, **options)


def work(store: CorrectionStore, n: int, seed: int = 1) -> None:
    random = np.random.default_rng(seed)
    for number in range(n):
        start = random.integers(0, (8, 40, 40))
        box = Box(zyx(start), zyx(start + np.array((8, 24, 24))))
        values = random.integers(0, 200, box.shape)
        name = PEOPLE[number % 2]
        edit = store.commit(
            box, random.random(box.shape) < 0.5, values, annotator=name, tool="brush"
        )
        if number % 6 == 5:
            store.undo(name)
        if number % 8 == 7:
            store.redo(name)
        if number % 10 == 9 and store.counts_now(edit):
            store.undo_stroke(edit)


def labels(store: CorrectionStore) -> dict[str, np.ndarray]:
    return {name: store.read(name, WHOLE) for name in PEOPLE}


@pytest.fixture
def worked(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder of two people's labels, closed, and what they are."""
    store = opened(tmp_path / "project")
    work(store, 30)
    store.add_reviewed(WHOLE, "Ana")
    expected = labels(store)
    store.close()
    return tmp_path / "project", expected


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name in PEOPLE:
        np.testing.assert_array_equal(found[name], expected[name])


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(9000))


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def cut_last_page(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def cut_to_nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [garbage, cut_in_half, cut_last_page])
def test_a_damaged_journal_is_restored_from_itself_and_the_labels(
    worked: tuple[Path, dict[str, np.ndarray]], damage: Callable[[Path], None]
) -> None:
    folder, expected = worked
    damage(folder / "journal.sqlite")
    damaged = (folder / "journal.sqlite").read_bytes()
    with pytest.raises(DamagedJournalError, match=r"is damaged, .* Open the"):
        opened(folder, read_only=True).strokes()
    again = opened(folder)
    assert "The journal was damaged" in again.restored[0]
    assert (folder / "journal.damaged.sqlite").read_bytes() == damaged
    assert_same(labels(again), expected)
    for name in PEOPLE:
        again.rebuild(name)
    assert_same(labels(again), expected)
    work(again, 4, seed=2)
    expected = labels(again)
    again.close()
    once_more = opened(folder)
    assert once_more.restored == ()
    assert_same(labels(once_more), expected)
    once_more.close()


def test_a_journal_cut_in_half_keeps_rows_that_can_be_read(
    worked: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, _ = worked
    cut_in_half(folder / "journal.sqlite")
    again = opened(folder)
    tools = [stroke.tool for stroke in again.strokes()]
    assert tools.count("brush") > 5 and "restored" in tools
    assert "voxels of Ana were missing in the journal" in " ".join(again.restored)
    again.close()


@pytest.mark.parametrize("damage", [cut_to_nothing, Path.unlink])
def test_an_empty_journal_gets_all_labels_back(
    worked: tuple[Path, dict[str, np.ndarray]], damage: Callable[[Path], None]
) -> None:
    folder, expected = worked
    damage(folder / "journal.sqlite")
    again = opened(folder)
    assert len(again.restored) == 2
    assert {stroke.tool for stroke in again.strokes()} == {"restored"}
    assert_same(labels(again), expected)
    while again.undo("Ana"):
        pass
    assert (again.read("Ana", WHOLE) == UNSET).all()
    again.close()


def test_a_journal_from_a_backup_is_brought_up_to_the_labels(tmp_path: Path) -> None:
    store = opened(tmp_path)
    work(store, 10)
    store.close()
    shutil.copy(tmp_path / "journal.sqlite", tmp_path / "backup")
    store = opened(tmp_path)
    work(store, 10, seed=2)
    expected = labels(store)
    store.close()
    shutil.copy(tmp_path / "backup", tmp_path / "journal.sqlite")
    again = opened(tmp_path)
    assert again.restored
    assert_same(labels(again), expected)
    again.close()


def test_other_rows_of_the_same_numbers_are_noticed(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        store = opened(tmp_path / name)
        work(store, 10, seed)
        store.close()
    store = opened(tmp_path / "one")
    expected = labels(store)
    store.close()
    shutil.copy(
        tmp_path / "two" / "journal.sqlite", tmp_path / "one" / "journal.sqlite"
    )
    again = opened(tmp_path / "one")
    assert again.restored
    for name, found in labels(again).items():
        said = expected[name] != UNSET
        np.testing.assert_array_equal(found[said], expected[name][said])
    again.close()


def test_a_write_ahead_log_without_its_end_loses_no_labels(tmp_path: Path) -> None:
    store = opened(tmp_path / "project")
    store._journal._connection.execute("PRAGMA wal_autocheckpoint = 0")
    work(store, 12)
    expected = labels(store)
    # What a killed program leaves: the log is not taken into the file.
    shutil.copytree(tmp_path / "project", tmp_path / "killed")
    store.close()
    wal = tmp_path / "killed" / "journal.sqlite-wal"
    content = wal.read_bytes()
    assert len(content) > 100_000
    wal.write_bytes(content[: len(content) * 2 // 3])
    again = opened(tmp_path / "killed")
    assert "were missing in the journal" in again.restored[0]
    assert "restored" in {stroke.tool for stroke in again.strokes()}
    assert_same(labels(again), expected)
    again.close()


def test_new_strokes_after_lost_rows_are_seen(
    worked: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, _ = worked
    connection = sqlite3.connect(folder / "journal.sqlite")
    with connection:
        connection.execute("DELETE FROM strokes WHERE sequence > 10")
        connection.execute("UPDATE sqlite_sequence SET seq = 10")
    connection.close()
    again = opened(folder)
    box = Box((0, 0, 0), (4, 4, 4))
    again.commit(box, np.ones(box.shape, bool), 7, annotator="Ana", tool="brush")
    assert (again.read("Ana", box) == 7).all()
    again.close()
    reader = opened(folder, read_only=True)
    assert (reader.read("Ana", box) == 7).all()
    reader.close()


def test_a_row_that_cannot_be_unpacked_takes_no_label_away(
    worked: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, expected = worked
    connection = sqlite3.connect(folder / "journal.sqlite")
    with connection:
        connection.execute("UPDATE strokes SET new = x'00' WHERE sequence = 3")
    connection.close()
    store = opened(folder)
    assert store.restored == ()
    with pytest.raises(DamagedJournalError, match="row 3 cannot be unpacked. Open"):
        store.rebuild("Ana")
    assert_same(labels(store), expected)
    store.close()
    again = opened(folder)
    assert "The journal was damaged" in again.restored[0]
    assert 3 not in [stroke.sequence for stroke in again.strokes()]
    again.rebuild("Ana")
    assert_same(labels(again), expected)
    assert again.reviewed()
    again.close()
    once_more = opened(folder)
    assert once_more.restored == ()
    once_more.close()


def test_a_journal_of_a_later_version_is_not_touched(
    worked: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, _ = worked
    connection = sqlite3.connect(folder / "journal.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (folder / "journal.sqlite").read_bytes()
    for read_only in (False, True):
        with pytest.raises(NewerProjectError, match=r"later version: .* Update"):
            opened(folder, read_only=read_only)
    assert (folder / "journal.sqlite").read_bytes() == before
    assert not list(folder.glob("*damaged*"))


def test_a_chunk_that_is_gone_is_made_anew(
    worked: tuple[Path, dict[str, np.ndarray]], caplog: pytest.LogCaptureFixture
) -> None:
    folder, expected = worked
    (folder / "labels" / "Ana.zarr" / "c" / "0" / "1" / "1").unlink()
    reader = opened(folder, read_only=True)
    assert_same(labels(reader), expected)
    reader.close()
    again = opened(folder)
    assert_same(labels(again), expected)
    again.close()
    assert "c/0/1/1 is gone" in caplog.text
    assert (folder / "labels" / "Ana.zarr" / "c" / "0" / "1" / "1").exists()


def test_painting_into_a_chunk_that_is_gone_keeps_the_rest(
    worked: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, expected = worked
    store = opened(folder)
    (folder / "labels" / "Ana.zarr" / "c" / "0" / "1" / "1").unlink()
    box = Box((1, 17, 17), (2, 18, 18))
    store.commit(box, np.ones(box.shape, bool), 5, annotator="Ana", tool="brush")
    store.undo("Ana")
    assert_same(labels(store), expected)
    assert len(store.labelled_boxes("Ana")) > 8
    store.close()


@pytest.mark.parametrize("is_open", [False, True])
def test_an_overlay_folder_that_is_gone_is_made_anew(
    worked: tuple[Path, dict[str, np.ndarray]], is_open: bool
) -> None:
    folder, expected = worked
    store = opened(folder)
    if not is_open:
        store.close()
    shutil.rmtree(folder / "labels")
    if not is_open:
        store = opened(folder)
    box = Box((1, 17, 17), (2, 18, 18))
    store.commit(box, np.ones(box.shape, bool), 5, annotator="Ana", tool="brush")
    for found in expected["Ana"], store.read("Ana", WHOLE):
        found[box.slices] = 5
    assert_same(labels(store), expected)
    store.close()
    again = opened(folder)
    assert again.restored == ()
    assert_same(labels(again), expected)
    again.close()


def test_an_overlay_from_before_chunks_were_listed_is_taken(
    worked: tuple[Path, dict[str, np.ndarray]],
) -> None:
    folder, expected = worked
    path = folder / "labels" / "Ana.zarr"
    (path / "chunks.txt").unlink()
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace("lists_chunks", "something_else"))
    store = opened(folder)
    (path / "c" / "0" / "1" / "1").unlink()
    assert_same(labels(store), expected)
    store.close()


def test_the_clock_may_go_backwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    years = iter(range(2050, 1950, -1))
    monkeypatch.setattr(
        "napari_unetseg.data.journal.now", lambda: f"{next(years)}-01-01T00:00:00"
    )
    store = opened(tmp_path)
    work(store, 12)
    expected = labels(store)
    sequences = [stroke.sequence for stroke in store.strokes()]
    assert sequences == sorted(sequences)
    store.close()
    again = opened(tmp_path)
    again.rebuild("Ana")
    assert_same(labels(again), expected)
    last = again.edits_before(None, 1, "Ana")[0]
    undone = again.undo("Ana")
    assert undone is not None and undone.target == last.sequence
    again.close()
