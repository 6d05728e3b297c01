from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET, CorrectionStore, Stroke
from napari_unetseg.errors import LabelsError, ReadOnlyError
from napari_unetseg.geometry import Box, Zyx, zyx

SHAPE = (24, 60, 60)
WHOLE = Box.whole(SHAPE)
LAYOUT: dict[str, Any] = {
    "shape": SHAPE, "voxel_size": (2.0, 1.0, 1.0), "unit": "micrometer",
    "chunk": (8, 32, 32),
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CorrectionStore]:
    store = CorrectionStore.open(tmp_path, **LAYOUT)
    yield store
    store.close()


def cube(corner: Zyx, side: int = 4) -> Box:
    z, y, x = corner
    return Box(corner, (z + side, y + side, x + side))


def paint(
    store: CorrectionStore, box: Box, value: int, annotator: str = "Ana"
) -> Stroke:
    mask = np.ones(box.shape, bool)
    return store.commit(box, mask, value, annotator=annotator, tool="brush")


def reopened(store: CorrectionStore, folder: Path, **options: Any) -> CorrectionStore:
    store.close()
    return CorrectionStore.open(folder, **LAYOUT, **options)


def test_a_stroke_is_where_it_was_painted(store: CorrectionStore) -> None:
    mask = np.zeros((2, 3, 4), bool)
    mask[1, 2, :] = True
    stroke = store.commit(
        Box((7, 30, 30), (9, 33, 34)), mask, 2, annotator="Ana", tool="brush",
        model_version="v3",
    )  # fmt: skip
    expected = np.full(SHAPE, UNSET, np.uint8)
    expected[8, 32, 30:34] = 2
    np.testing.assert_array_equal(store.read("Ana", WHOLE), expected)
    assert (stroke.n_voxels, stroke.model_version, stroke.tool) == (4, "v3", "brush")
    voxels = store.voxels(stroke)
    assert (voxels.old == UNSET).all() and (voxels.new == 2).all()


def test_values_may_differ_within_a_stroke(store: CorrectionStore) -> None:
    values = np.arange(64, dtype=np.int64).reshape(4, 4, 4)
    store.commit(
        cube((0, 0, 0)), np.ones((4, 4, 4)), values, annotator="Ana", tool="fill"
    )
    np.testing.assert_array_equal(store.read("Ana", cube((0, 0, 0))), values)


def test_people_do_not_see_each_other(store: CorrectionStore) -> None:
    paint(store, cube((0, 0, 0)), 1, "Ana")
    paint(store, cube((2, 2, 2)), 2, "Bo")
    assert store.annotators() == ["Ana", "Bo"]
    assert (store.read("Bo", cube((0, 0, 0), 2)) == UNSET).all()
    assert (store.read("Nobody", WHOLE) == UNSET).all()
    assert store.annotators() == ["Ana", "Bo"]


def test_reading_makes_no_folder(store: CorrectionStore, tmp_path: Path) -> None:
    store.read("Ana", WHOLE)
    assert store.labelled_boxes("Ana") == []
    assert not (tmp_path / "labels").exists()


def test_who_edited_last_wins(store: CorrectionStore) -> None:
    paint(store, cube((0, 0, 0)), 1, "Ana")
    paint(store, cube((2, 2, 2)), 2, "Bo")
    both = cube((2, 2, 2), 1)
    assert store.read_all(both) == 2
    paint(store, cube((20, 50, 50)), 1, "Ana")
    assert store.read_all(both) == 1
    assert store.read_all(both, ["Bo"]) == 2
    assert store.read_all(cube((4, 4, 4), 1)) == 2
    store.undo("Ana")
    assert store.read_all(both) == 2


def test_undo_and_redo_to_any_depth_also_after_reopening(
    store: CorrectionStore, tmp_path: Path
) -> None:
    states = [store.read("Ana", WHOLE)]
    for value in range(1, 13):
        paint(store, cube((value, 2 * value, value), 6), value % 5)
        states.append(store.read("Ana", WHOLE))
    for n in range(11, 5, -1):
        store.undo("Ana")
        np.testing.assert_array_equal(store.read("Ana", WHOLE), states[n])
    store = reopened(store, tmp_path)
    for n in range(5, -1, -1):
        assert store.can_undo("Ana")
        store.undo("Ana")
        np.testing.assert_array_equal(store.read("Ana", WHOLE), states[n])
    assert not store.can_undo("Ana") and store.undo("Ana") is None
    store = reopened(store, tmp_path)
    for n in range(1, 13):
        row = store.redo("Ana")
        assert row is not None and row.kind == "redo"
        np.testing.assert_array_equal(store.read("Ana", WHOLE), states[n])
    assert not store.can_redo("Ana") and store.redo("Ana") is None
    store.close()


def test_a_new_edit_ends_what_could_be_redone(store: CorrectionStore) -> None:
    paint(store, cube((0, 0, 0)), 1)
    paint(store, cube((0, 0, 0)), 2)
    store.undo("Ana")
    paint(store, cube((0, 0, 0), 2), 3)
    assert not store.can_redo("Ana")
    store.undo("Ana")
    assert (store.read("Ana", cube((0, 0, 0))) == 1).all()


def test_undo_belongs_to_a_person(store: CorrectionStore) -> None:
    paint(store, cube((0, 0, 0)), 1, "Ana")
    paint(store, cube((0, 0, 0)), 2, "Bo")
    assert not store.can_undo("Cy")
    store.undo("Ana")
    assert (store.read("Ana", WHOLE) == UNSET).all()
    assert (store.read("Bo", cube((0, 0, 0))) == 2).all()


def test_labels_can_be_taken_away(store: CorrectionStore) -> None:
    paint(store, cube((0, 0, 0)), 0)
    assert store.counts() == {"Ana": 64}
    paint(store, cube((0, 0, 0)), UNSET)
    assert (store.read("Ana", WHOLE) == UNSET).all()
    assert store.counts() == {"Ana": 0}
    assert store.labelled_boxes("Ana") == []


def test_counts_follow_every_edit(store: CorrectionStore, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for n in range(20):
        name = ("Ana", "Bo")[n % 2]
        corner = zyx(random.integers(0, (18, 54, 54)))
        paint(store, cube(corner, 6), int(random.choice([0, 1, 2, UNSET])), name)
        if n % 5 == 4:
            store.undo(name)
        assert store.counts() == {
            name: int((store.read(name, WHOLE) != UNSET).sum())
            for name in store.annotators()
        }
    known = store.counts()
    store = reopened(store, tmp_path)
    assert store.counts() == known
    store.close()


def test_labelled_boxes_are_chunks_with_labels(store: CorrectionStore) -> None:
    paint(store, cube((6, 30, 0)), 1)
    assert [box.start for box in store.labelled_boxes("Ana")] == [
        (0, 0, 0), (0, 32, 0), (8, 0, 0), (8, 32, 0),
    ]  # fmt: skip
    paint(store, cube((20, 56, 56)), 1)
    assert store.labelled_boxes("Ana")[-1] == Box((16, 32, 32), (24, 60, 60))
    store.undo("Ana")
    assert len(store.labelled_boxes("Ana")) == 4


def test_strokes_that_count(store: CorrectionStore, tmp_path: Path) -> None:
    first, second = (paint(store, cube((0, 0, n)), 1) for n in (0, 5))
    other = paint(store, cube((0, 0, 0)), 1, "Bo")
    store.undo("Ana")
    assert store.n_strokes == 2
    assert store.stroke_ids() == (first.uuid, other.uuid)
    assert store.stroke_ids(("Bo", "Nobody")) == (other.uuid,)
    assert store.strokes_since([first.uuid]) == 1
    store = reopened(store, tmp_path)
    store.redo("Ana")
    assert store.stroke_ids() == (first.uuid, second.uuid, other.uuid)
    assert [s.kind for s in store.strokes("Ana")] == ["edit", "edit", "undo", "redo"]
    store.close()


def test_people_stay_in_the_order_of_their_first_stroke(
    store: CorrectionStore, tmp_path: Path
) -> None:
    store.read("Cy", WHOLE)
    for name in ("Bo", "Ana", "Cy", "Bo"):
        paint(store, cube((0, 0, 0)), 1, name)
    assert store.annotators() == ["Bo", "Ana", "Cy"]
    store = reopened(store, tmp_path)
    assert store.annotators() == ["Bo", "Ana", "Cy"]
    store.close()


@pytest.mark.parametrize(
    ("box", "mask", "value", "words"),
    [
        (Box((22, 0, 0), (26, 4, 4)), np.ones((4, 4, 4), bool), 1, "does not fit"),
        (Box((-1, 0, 0), (3, 4, 4)), np.ones((4, 4, 4), bool), 1, "does not fit"),
        (cube((0, 0, 0)), np.ones((4, 4, 5), bool), 1, "does not fit the volume: got"),
        (cube((0, 0, 0)), np.zeros((4, 4, 4), bool), 1, "holds no voxel"),
        (cube((0, 0, 0)), np.ones((4, 4, 4), bool), 256, "expected 0 to 254"),
        (cube((0, 0, 0)), np.ones((4, 4, 4), bool), -1, "no labels: got -1"),
    ],
)
def test_strokes_that_make_no_sense_are_refused(
    store: CorrectionStore, box: Box, mask: np.ndarray, value: int, words: str
) -> None:
    with pytest.raises(LabelsError, match=words):
        store.commit(box, mask, value, annotator="Ana", tool="brush")
    assert store.strokes() == []


def test_read_only_reads_everything_and_writes_nothing(
    store: CorrectionStore, tmp_path: Path
) -> None:
    paint(store, cube((0, 0, 0)), 1)
    store.add_reviewed(WHOLE, "Ana")
    reader = reopened(store, tmp_path, read_only=True)
    before = sorted(p for p in tmp_path.rglob("*") if "sqlite-" not in p.name)
    assert (reader.read("Ana", cube((0, 0, 0))) == 1).all()
    assert reader.counts() == {"Ana": 64}
    assert reader.can_undo("Ana")
    for refused in (
        lambda: paint(reader, cube((0, 0, 0)), 1),
        lambda: paint(reader, cube((0, 0, 0)), 1, "Bo"),
        lambda: reader.undo("Ana"),
        lambda: reader.rebuild("Ana"),
        lambda: reader.add_reviewed(WHOLE, "Ana"),
        lambda: reader.remove_reviewed(1),
        lambda: reader.add_rejected_click((0, 0, 0), 1, "Ana"),
    ):
        with pytest.raises(ReadOnlyError, match="project is read-only"):
            refused()
    reader.close()
    after = sorted(p for p in tmp_path.rglob("*") if "sqlite-" not in p.name)
    assert after == before


def test_a_reader_follows_the_writer(store: CorrectionStore, tmp_path: Path) -> None:
    paint(store, cube((0, 0, 0)), 1)
    reader = CorrectionStore.open(tmp_path, **LAYOUT, read_only=True)
    assert reader.counts() == {"Ana": 64}
    for value in (2, 3):
        paint(store, cube((0, 0, value)), value)
    store.undo("Ana")
    paint(store, cube((20, 50, 50)), 4)
    paint(store, cube((0, 0, 0)), 4, "Bo")
    for name in ("Ana", "Bo"):
        np.testing.assert_array_equal(reader.read(name, WHOLE), store.read(name, WHOLE))
    assert reader.labelled_boxes("Ana") == store.labelled_boxes("Ana")
    reader.close()


def test_reviewed_regions(store: CorrectionStore, tmp_path: Path) -> None:
    store.add_reviewed(cube((0, 0, 0)), "Ana", "v1")
    store.add_reviewed(cube((4, 4, 4)), "Bo", state="skipped")
    store = reopened(store, tmp_path)
    assert [(r.annotator, r.state) for r in store.reviewed()] == [
        ("Ana", "accepted"), ("Bo", "skipped"),
    ]  # fmt: skip
    (bo,) = store.reviewed("Bo")
    store.remove_reviewed(bo.id)
    assert [r.box for r in store.reviewed()] == [cube((0, 0, 0))]
    store.add_rejected_click((1, 2, 3), 2, "Ana", "v1")
    assert store.rejected_clicks() == [((1, 2, 3), 2)]
    store.close()


def test_reading_in_another_thread_while_painting(store: CorrectionStore) -> None:
    paint(store, WHOLE, 0)
    seen: list[bool] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            values = store.read("Ana", WHOLE)
            seen.append(bool(np.isin(values, [0, 1]).all()) and store.n_strokes > 0)
            store.labelled_boxes("Ana")

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(15):
        paint(store, cube((n, n, n), 9), 1)
    done.set()
    reader.join()
    assert seen and all(seen)


def test_object_ids_beyond_a_byte(tmp_path: Path) -> None:
    store = CorrectionStore.open(tmp_path, **LAYOUT, dtype="uint32")
    assert store.unset == 2**32 - 1
    paint(store, cube((0, 0, 0)), 70_000)
    assert (store.read("Ana", cube((0, 0, 0))) == 70_000).all()
    assert store.read("Ana", cube((9, 9, 9), 1)) == store.unset
    store.close()
