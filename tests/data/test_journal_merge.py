"""Two people worked on copies of a project: afterwards it is one project again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET, CorrectionStore, Stroke
from napari_unetseg.data.journal_merge import merge_journals
from napari_unetseg.errors import LabelsError, ProjectNotFoundError, ReadOnlyError
from napari_unetseg.geometry import Box

SHAPE = (8, 32, 32)
WHOLE = Box.whole(SHAPE)
LAYOUT: dict[str, Any] = {
    "shape": SHAPE, "voxel_size": (1.0, 1.0, 1.0), "chunk": (4, 16, 16),
}  # fmt: skip
U = UNSET


@contextmanager
def opened(folder: Path, **options: Any) -> Iterator[CorrectionStore]:
    folder.mkdir(exist_ok=True)
    store = CorrectionStore.open(folder, **LAYOUT, **options)
    try:
        yield store
    finally:
        store.close()


def paint(store: CorrectionStore, name: str, x: int, value: int) -> Stroke:
    """Paint a slab of 8 columns."""
    box = Box((0, 0, x), (8, 32, x + 8))
    mask = np.ones(box.shape, bool)
    return store.commit(box, mask, value, annotator=name, tool="brush")


def row(store: CorrectionStore, name: str) -> list[int]:
    """Return every eighth voxel of a line."""
    return [int(v) for v in store.read(name, WHOLE)[0, 0, ::8]]


def everything(store: CorrectionStore) -> dict[str, Any]:
    return {
        "strokes": store.strokes(),
        "reviewed": store.reviewed(),
        "clicks": store.rejected_clicks(),
        "counts": store.counts(),
        "labels": {n: store.read(n, WHOLE).tobytes() for n in store.annotators()},
    }


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with the same strokes of Ana and Bo."""
    here, there = tmp_path / "here", tmp_path / "there"
    with opened(here) as store:
        paint(store, "Ana", 0, 1)
        paint(store, "Bo", 0, 2)
        paint(store, "Bo", 8, 3)
        store.add_reviewed(WHOLE, "Ana", "v1")
    shutil.copytree(here, there)
    return here, there


def test_everybody_ends_up_with_what_they_did(copies: tuple[Path, Path]) -> None:
    here, there = copies
    with opened(here) as store:
        paint(store, "Ana", 16, 4)
        store.undo("Ana")
        store.redo("Ana")
    with opened(there) as store:
        added = [paint(store, "Bo", 16, 5), store.undo("Bo"), paint(store, "Cy", 0, 6)]
        added += [store.undo_stroke(store.strokes("Bo")[0])]
        bo, cy = store.read("Bo", WHOLE), store.read("Cy", WHOLE)
        counts = store.counts()
    with opened(here) as store:
        ana = store.read("Ana", WHOLE)
        merged = merge_journals(store, there)
        assert merged.strokes == {"Bo": 3, "Cy": 1} and merged.renamed == {}
        for name, expected in {"Ana": ana, "Bo": bo, "Cy": cy}.items():
            np.testing.assert_array_equal(store.read(name, WHOLE), expected)
            store.rebuild(name)
            np.testing.assert_array_equal(store.read(name, WHOLE), expected)
        assert store.counts() == counts | {"Ana": store.counts()["Ana"]}
        brought = store.strokes()[-4:]
        assert [s.uuid for s in brought] == [s.uuid for s in added if s is not None]
        assert [s.time for s in brought] == [s.time for s in added if s is not None]
        assert store.undo("Bo") is not None  # the revert
        assert row(store, "Bo") == [2, 3, U, U]


def test_merging_again_changes_nothing(copies: tuple[Path, Path]) -> None:
    here, there = copies
    with opened(here) as store:
        paint(store, "Ana", 8, 1)
    with opened(there) as store:
        paint(store, "Ana", 16, 4)
        paint(store, "Bo", 16, 5)
        store.add_reviewed(Box((0, 0, 0), (1, 1, 1)), "Bo")
        store.add_rejected_click((1, 2, 3), 2, "Bo", "v1")
    with opened(here) as store:
        merged = merge_journals(store, there)
        assert (merged.n_reviewed, merged.n_rejected_clicks) == (1, 1)
        assert len(store.reviewed()) == 2
        before = everything(store)
        again = merge_journals(store, there)
        assert (again.strokes, again.n_reviewed, again.n_rejected_clicks) == ({}, 0, 0)
        assert everything(store) == before
    with opened(here) as store:
        assert everything(store) == before


def test_what_is_new_since_the_last_merge_comes_in(copies: tuple[Path, Path]) -> None:
    here, there = copies
    for value in (5, 6):
        with opened(there) as store:
            paint(store, "Bo", 16, value)
        with opened(here) as store:
            assert merge_journals(store, there).strokes == {"Bo": 1}
            assert row(store, "Bo") == [2, 3, value, U]


def test_who_worked_on_in_both_copies_keeps_both(copies: tuple[Path, Path]) -> None:
    here, there = copies
    with opened(here) as store:
        paint(store, "Ana", 8, 1)
    with opened(there) as store:
        first = paint(store, "Ana", 16, 4)
        paint(store, "Ana", 16, 5)
    with opened(here) as store:
        merged = merge_journals(store, there)
        assert merged.renamed == {"Ana": "Ana (copy)"}
        assert merged.strokes == {"Ana (copy)": 2}
        assert row(store, "Ana") == [1, 1, U, U]
        # Only what was said since the copies parted: nothing old comes back over new.
        assert row(store, "Ana (copy)") == [U, U, 5, U]
        store.undo("Ana (copy)")
        assert row(store, "Ana (copy)") == [U, U, 4, U]
        (found,) = (s for s in store.strokes() if s.uuid == first.uuid)
        assert (found.time, found.annotator) == (first.time, "Ana (copy)")
    with opened(there) as store:
        paint(store, "Ana", 24, 6)
    with opened(here) as store:  # somebody has undone in the copy meanwhile
        assert merge_journals(store, there).renamed == {"Ana": "Ana (copy 2)"}
        assert row(store, "Ana (copy 2)") == [U, U, U, 6]


def test_a_copy_that_goes_on_stays_the_same_copy(copies: tuple[Path, Path]) -> None:
    here, there = copies
    with opened(here) as store:
        paint(store, "Ana", 8, 1)
    for x in (16, 24):
        with opened(there) as store:
            paint(store, "Ana", x, 4)
        with opened(here) as store:
            assert merge_journals(store, there).renamed == {"Ana": "Ana (copy)"}
    with opened(here) as store:
        assert row(store, "Ana (copy)") == [U, U, 4, 4]
        assert store.annotators() == ["Ana", "Bo", "Ana (copy)"]


def test_undo_in_the_copy_works_also_across_the_parting(
    copies: tuple[Path, Path],
) -> None:
    here, there = copies
    with opened(here) as store:
        paint(store, "Bo", 24, 9)
    with opened(there) as store:
        kept = paint(store, "Bo", 16, 4)
        paint(store, "Bo", 16, 5)
        store.undo("Bo")
        store.redo("Bo")
        store.undo("Bo")  # takes back what is from after the parting
        store.undo_stroke(kept)
        store.undo("Bo")
        store.undo("Bo")
        store.undo("Bo")  # takes back the 3 from before the parting
        assert row(store, "Bo") == [2, U, U, U]
    with opened(here) as store:
        merge_journals(store, there)
        assert row(store, "Bo") == [2, 3, U, 9]
        assert row(store, "Bo (copy)") == [U, U, U, U]
        before = everything(store)
        assert merge_journals(store, there).strokes == {}
        assert everything(store) == before
        store.rebuild("Bo (copy)")
        assert everything(store) == before


def test_both_ways_gives_both_the_same_people(copies: tuple[Path, Path]) -> None:
    here, there = copies
    with opened(here) as store:
        paint(store, "Ana", 8, 1)
        paint(store, "Dee", 8, 1)
    with opened(there) as store:
        paint(store, "Cy", 8, 4)
    for into, other in ((here, there), (there, here)):
        with opened(into) as store:
            merge_journals(store, other)
    with opened(here) as one, opened(there) as two:
        assert set(one.annotators()) == set(two.annotators())
        for name in one.annotators():
            assert row(one, name) == row(two, name)
    for into, other in ((here, there), (there, here)):
        with opened(into) as store:
            assert merge_journals(store, other).strokes == {}


_KILLED = """
import os, signal, sys
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.journal_merge import merge_journals

commit, n = CorrectionStore.commit, 0

def commit_some(*arguments, **more):
    global n
    n += 1
    if n == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return commit(*arguments, **more)

CorrectionStore.commit = commit_some
store = CorrectionStore.open(sys.argv[1], shape=(8, 32, 32), voxel_size=(1, 1, 1),
                             chunk=(4, 16, 16))
merge_journals(store, sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_merge_that_was_killed_goes_on(copies: tuple[Path, Path]) -> None:
    here, there = copies
    with opened(here) as store:
        paint(store, "Ana", 8, 1)
    with opened(there) as store:
        paint(store, "Cy", 0, 1)
        for value in range(6):
            paint(store, "Ana", 16, value)
        store.undo("Ana")
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(here), str(there)], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with opened(here) as store:
        assert len(store.strokes("Ana (copy)")) == 3
        assert merge_journals(store, there).strokes == {"Ana (copy)": 4}
        assert row(store, "Ana (copy)") == [U, U, 4, U]
        assert row(store, "Cy") == [1, U, U, U]


def test_a_project_of_another_shape_is_refused(tmp_path: Path) -> None:
    other = CorrectionStore.open(tmp_path, shape=(8, 32, 64), voxel_size=(1, 1, 1))
    paint(other, "Ana", 48, 1)
    other.close()
    with opened(tmp_path / "here") as store:
        with pytest.raises(LabelsError, match="is about another volume"):
            merge_journals(store, tmp_path)
        assert store.strokes() == []


def test_a_folder_without_a_journal_is_a_sentence(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "here") as store,
        pytest.raises(ProjectNotFoundError, match="no journal at .* Choose the folder"),
    ):
        merge_journals(store, tmp_path)
    assert not (tmp_path / "journal.sqlite").exists()


def test_nothing_is_merged_into_a_read_only_project(copies: tuple[Path, Path]) -> None:
    here, there = copies
    with opened(there) as store:
        paint(store, "Cy", 0, 1)
    with (
        opened(here, read_only=True) as store,
        pytest.raises(ReadOnlyError, match="project is read-only"),
    ):
        merge_journals(store, there)
