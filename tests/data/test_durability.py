"""Whatever happens to the program or the disk: an acknowledged stroke is there."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.composite import CompositeLabels
from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.journal import Journal, StrokeVoxels
from napari_unetseg.errors import DiskFullError, ReadOnlyError
from napari_unetseg.geometry import Box, zyx

SHAPE = (16, 48, 48)
WHOLE = Box.whole(SHAPE)
LAYOUT: dict[str, Any] = {
    "shape": SHAPE, "voxel_size": (1.0, 1.0, 1.0), "chunk": (8, 16, 16),
}  # fmt: skip
BOX = Box((4, 4, 4), (12, 20, 20))
ALL = np.ones(BOX.shape, bool)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CorrectionStore]:
    store = CorrectionStore.open(tmp_path, **LAYOUT)
    yield store
    store.close()


def opened(folder: Path, **options: Any) -> CorrectionStore:
    return CorrectionStore.open(folder, **LAYOUT, **options)


def paint(store: CorrectionStore, value: int, box: Box = BOX) -> None:
    mask = np.ones(box.shape, bool)
    store.commit(box, mask, value, annotator="Ana", tool="brush")


def random_edits(store: CorrectionStore, n: int) -> None:
    random = np.random.default_rng(5)
    for number in range(n):
        start = random.integers(0, (8, 32, 32))
        box = Box(zyx(start), zyx(start + np.array((8, 16, 16))))
        store.commit(
            box, random.random(box.shape) < 0.3,
            random.choice([0, 1, 2, UNSET], box.shape), annotator="Ana", tool="brush",
        )  # fmt: skip
        if number % 4 == 3:
            store.undo("Ana")
        if number % 8 == 7:
            store.redo("Ana")


def chunk_files(folder: Path) -> dict[str, bytes]:
    chunks = folder / "labels" / "Ana.zarr" / "c"
    return {
        path.relative_to(chunks).as_posix(): path.read_bytes()
        for path in chunks.rglob("*")
        if path.is_file()
    }


_CHILD = """
import sys, numpy as np
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.geometry import Box
store = CorrectionStore.open(sys.argv[1], shape=(16, 48, 48), voxel_size=(1, 1, 1),
                             chunk=(8, 16, 16))
for n in range(1000):
    box = Box((n % 12, n % 40, 0), (n % 12 + 4, n % 40 + 8, 48))
    stroke = store.commit(box, np.ones(box.shape, bool), n % 3, annotator="Ana",
                          tool="brush")
    sys.stdout.write(stroke.uuid + "\\n")
    sys.stdout.flush()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_program_loses_no_acknowledged_stroke(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(17)]
    child.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    store = opened(tmp_path)
    known = [stroke.uuid for stroke in store.strokes()]
    assert known[: len(acknowledged)] == acknowledged
    assert len(known) <= len(acknowledged) + 1  # one may be written, not yet told
    seen = store.read("Ana", WHOLE)
    store.rebuild("Ana")
    np.testing.assert_array_equal(store.read("Ana", WHOLE), seen)
    expected = np.full(SHAPE, UNSET, np.uint8)
    for n in range(len(known)):
        expected[n % 12 : n % 12 + 4, n % 40 : n % 40 + 8] = n % 3
    np.testing.assert_array_equal(seen, expected)
    store.close()


def test_killed_between_journal_and_overlay(
    store: CorrectionStore, tmp_path: Path
) -> None:
    paint(store, 1)
    store.close()
    journal = Journal(tmp_path / "journal.sqlite", "uint8")
    journal.add_edit(
        BOX, StrokeVoxels(ALL, np.full(ALL.sum(), 1, np.uint8),
                          np.full(ALL.sum(), 2, np.uint8)),
        annotator="Ana", tool="brush", model_version=None,
    )  # fmt: skip
    journal.close()
    reader = opened(tmp_path, read_only=True)
    assert (reader.read("Ana", BOX) == 2).all()
    assert reader.counts() == {"Ana": ALL.sum()}
    reader.close()
    again = opened(tmp_path)
    assert (again.read("Ana", BOX) == 2).all()
    again.undo("Ana")
    assert (again.read("Ana", BOX) == 1).all()
    again.close()


def test_rebuilding_restores_the_overlay_bit_for_bit(
    store: CorrectionStore, tmp_path: Path
) -> None:
    random_edits(store, 40)
    before, counts = chunk_files(tmp_path), store.counts()
    boxes = store.labelled_boxes("Ana")
    assert len(before) > 4
    store.rebuild("Ana")
    assert chunk_files(tmp_path) == before
    assert store.counts() == counts and store.labelled_boxes("Ana") == boxes
    store.close()
    shutil.rmtree(tmp_path / "labels")
    opened(tmp_path).close()
    assert chunk_files(tmp_path) == before


def test_a_power_cut_that_took_the_overlay_since_opening(
    store: CorrectionStore, tmp_path: Path
) -> None:
    paint(store, 1)
    store.close()
    store = opened(tmp_path)
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "labels", kept)
    random_edits(store, 12)
    expected = store.read("Ana", WHOLE)
    store._journal.close()  # no checkpoint: as if the program had ended here
    # Chunks were not on disk yet, the small file that says how far they are was.
    (kept / "Ana.zarr" / "zarr.json").write_bytes(
        (tmp_path / "labels" / "Ana.zarr" / "zarr.json").read_bytes()
    )
    shutil.rmtree(tmp_path / "labels")
    kept.rename(tmp_path / "labels")
    again = opened(tmp_path)
    np.testing.assert_array_equal(again.read("Ana", WHOLE), expected)
    again.close()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_torn_chunk_is_mended_from_the_journal(
    store: CorrectionStore,
    tmp_path: Path,
    read_only: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    random_edits(store, 10)
    expected = store.read("Ana", WHOLE)
    store.close()
    before = chunk_files(tmp_path)
    torn = tmp_path / "labels" / "Ana.zarr" / "c" / next(iter(before))
    torn.write_bytes(torn.read_bytes()[:5])
    again = opened(tmp_path, read_only=read_only)
    np.testing.assert_array_equal(again.read("Ana", WHOLE), expected)
    assert "are damaged" in caplog.text
    again.close()
    assert (chunk_files(tmp_path) == before) is not read_only


def test_painting_over_a_torn_chunk(store: CorrectionStore, tmp_path: Path) -> None:
    paint(store, 1)
    (tmp_path / "labels" / "Ana.zarr" / "c" / "0" / "0" / "0").write_bytes(b"")
    paint(store, 2, Box((4, 4, 4), (5, 5, 5)))
    values = store.read("Ana", BOX)
    assert values[0, 0, 0] == 2 and (values.ravel()[1:] == 1).all()
    store.undo("Ana")
    assert (store.read("Ana", BOX) == 1).all()


def _full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_disk_that_fills_between_journal_and_overlay_loses_nothing(
    store: CorrectionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(store, 1)
    with monkeypatch.context() as patch:
        patch.setattr("zarr.storage._local._put", _full)
        paint(store, 2)  # its row is on disk: it is saved
        assert (store.read("Ana", BOX) == 2).all()
        store.undo("Ana")
        assert (store.read("Ana", BOX) == 1).all()
        store.redo("Ana")
        assert store.counts() == {"Ana": ALL.sum()}
    paint(store, 3, Box((0, 0, 0), (1, 1, 1)))
    assert (store.read("Ana", BOX) == 2).all()
    store.close()
    again = opened(tmp_path, read_only=True)
    assert (again.read("Ana", BOX) == 2).all()
    again.close()


def test_a_full_disk_does_not_keep_a_project_from_opening(
    store: CorrectionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(store, 1)
    store.close()
    shutil.rmtree(tmp_path / "labels")
    with monkeypatch.context() as patch:
        patch.setattr("zarr.storage._local._put", _full)
        again = opened(tmp_path)
        assert (again.read("Ana", BOX) == 1).all()
        with pytest.raises(DiskFullError, match="disk is full, the labels"):
            paint(again, 2)
        assert again.n_strokes == 1
    paint(again, 2)
    assert (again.read("Ana", BOX) == 2).all()
    again.close()


def fill_up(store: CorrectionStore) -> None:
    """Let the journal have no more pages: what SQLite answers is what ENOSPC gives."""
    pages = store._journal._connection.execute("PRAGMA page_count").fetchone()[0]
    store._journal._connection.execute(f"PRAGMA max_page_count = {pages}")


def free_space(store: CorrectionStore) -> None:
    store._journal._connection.execute("PRAGMA max_page_count = 1000000")


def test_a_stroke_on_a_full_disk_stays_pending_and_is_written_later(
    store: CorrectionStore, tmp_path: Path
) -> None:
    paint(store, 1)
    window = CompositeLabels(store, None, annotator="Ana", window=WHOLE)
    noise = np.random.default_rng(0).integers(2, 250, SHAPE).astype(np.uint8)
    window[...] = noise
    fill_up(store)
    for _ in range(2):
        with pytest.raises(DiskFullError, match=r"disk is full, the stroke .* Free"):
            window.commit("brush")
        assert window.has_pending
        np.testing.assert_array_equal(np.asarray(window), noise)
        assert store.n_strokes == 1
        assert (store.read("Ana", BOX) == 1).all()
    free_space(store)
    assert window.commit("brush") is not None
    store.close()
    again = opened(tmp_path)
    np.testing.assert_array_equal(again.read("Ana", WHOLE), noise)
    again.undo("Ana")
    assert (again.read("Ana", BOX) == 1).all()
    again.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
def test_a_file_that_may_not_grow_is_a_sentence(tmp_path: Path) -> None:
    script = """
import resource, signal, sys, numpy as np
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Box
store = CorrectionStore.open(sys.argv[1], shape=(16, 256, 256), voxel_size=(1, 1, 1))
box = Box.whole((16, 256, 256))
def paint(value):
    return store.commit(box, np.ones(box.shape, bool), value, annotator="Ana",
                        tool="brush")
paint(1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
noise = np.random.default_rng(0).integers(0, 250, box.shape).astype(np.uint8)
try:
    paint(noise)
except UnetsegError as error:
    sys.stdout.write(str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
assert (store.read("Ana", box) == 1).all() and store.n_strokes == 1
paint(noise)
store.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "The disk" in done.stdout and "try again" in done.stdout
    store = CorrectionStore.open(tmp_path, shape=(16, 256, 256), voxel_size=(1, 1, 1))
    assert store.n_strokes == 2
    store.close()


def test_a_journal_that_cannot_be_written_keeps_the_stroke_pending(
    store: CorrectionStore,
) -> None:
    window = CompositeLabels(store, None, annotator="Ana", window=WHOLE)
    window[BOX.slices] = 1
    store._journal._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(ReadOnlyError, match="stroke could not be written"):
        window.commit("brush")
    assert window.has_pending and (window[BOX.slices] == 1).all()
    store._journal._connection.execute("PRAGMA query_only = OFF")
    assert window.commit("brush") is not None


def test_a_read_only_project_keeps_the_stroke_pending(
    store: CorrectionStore, tmp_path: Path
) -> None:
    store.close()
    reader = opened(tmp_path, read_only=True)
    window = CompositeLabels(reader, None, annotator="Ana", window=WHOLE)
    window[BOX.slices] = 1
    with pytest.raises(ReadOnlyError, match="read-only, nothing can be labelled"):
        window.commit("brush")
    assert window.has_pending
    window.discard()
    assert not np.asarray(window).any()
    reader.close()


def test_rows_of_two_writers_at_once_do_not_lock_anybody_out(
    store: CorrectionStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paint(store, 1)
    store.undo("Ana")
    store.close()
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    with connection:
        connection.execute(
            "INSERT INTO strokes SELECT NULL, 'again', kind, target, annotator, time,"
            " tool, model_version, z0, y0, x0, z1, y1, x1, n_voxels, n_added, mask,"
            " old, new FROM strokes WHERE kind = 'undo'"
        )
    connection.close()
    again = opened(tmp_path)
    assert "what is not last" in caplog.text
    assert again.n_strokes == 0 and again.can_redo("Ana")
    again.redo("Ana")
    assert (again.read("Ana", BOX) == 1).all()
    again.close()
