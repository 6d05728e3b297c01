from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data import rater_import
from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.foreign_labels import ForeignLabels, ValueMap
from napari_unetseg.data.rater_import import import_labels
from napari_unetseg.data.rater_matrix import NAME, class_counts
from napari_unetseg.errors import Cancelled, LabelsError
from napari_unetseg.geometry import Box

SHAPE = (40, 20, 24)
WHOLE = Box.whole(SHAPE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CorrectionStore]:
    store = CorrectionStore.open(tmp_path, shape=SHAPE, voxel_size=(1, 1, 1))
    yield store
    store.close()


def labels_of(values: np.ndarray) -> ForeignLabels:
    return ForeignLabels(
        "bo.zarr", values.shape, values.dtype, lambda box: values[box.slices]
    )


def some_labels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, SHAPE).astype(np.uint8)


CLASSES = ValueMap.of(("nerve", "vessel"))


def test_labels_become_strokes_of_the_rater(store) -> None:
    values = some_labels()
    found = import_labels(store, labels_of(values), CLASSES, rater="Bo")

    assert (store.read("Bo", WHOLE) == values).all()
    assert found == {"rater": "Bo", "strokes": 2, "voxels": values.size,
                     "labelled": values.size}  # fmt: skip
    assert {row.tool for row in store.strokes("Bo")} == {"import"}
    store.undo("Bo")
    assert (store.read("Bo", Box((32, 0, 0), SHAPE)) == UNSET).all()


def test_what_was_not_labelled_stays_unset(store) -> None:
    values = some_labels()
    partial = ValueMap.of(("nerve", "vessel"), partial=0)
    found = import_labels(store, labels_of(values), partial, rater="Bo")
    said = store.read("Bo", WHOLE)
    assert (said == np.where(values == 0, UNSET, values)).all()
    assert found["labelled"] == (values > 0).sum()


def test_importing_again_brings_only_what_has_changed(store) -> None:
    values = some_labels()
    import_labels(store, labels_of(values), CLASSES, rater="Bo")
    assert import_labels(store, labels_of(values), CLASSES, rater="Bo")["strokes"] == 0
    values[35, 3, 4] = (values[35, 3, 4] + 1) % 3
    found = import_labels(store, labels_of(values), CLASSES, rater="Bo")
    assert (found["strokes"], found["voxels"]) == (1, 1)


def test_an_import_that_was_stopped_goes_on(store) -> None:
    values, asked = some_labels(), iter([False, True])
    with pytest.raises(Cancelled, match="import again to go on"):
        import_labels(store, labels_of(values), CLASSES, rater="Bo",
                      is_cancelled=lambda: next(asked))  # fmt: skip
    assert store.n_strokes == 1
    assert import_labels(store, labels_of(values), CLASSES, rater="Bo")["strokes"] == 1
    assert (store.read("Bo", WHOLE) == values).all()


def test_box_sizes_do_not_matter(store, monkeypatch) -> None:
    values = some_labels()
    monkeypatch.setattr(rater_import, "_CELL", (7, 6, 128))
    monkeypatch.setattr(rater_import, "_BOX_VOXELS", 1)
    import_labels(store, labels_of(values), CLASSES, rater="Bo")
    assert (store.read("Bo", WHOLE) == values).all()


def test_what_a_person_painted_is_not_overwritten(store) -> None:
    box = Box((0, 0, 0), (1, 1, 1))
    store.commit(box, np.ones((1, 1, 1), bool), 2, annotator="Bo", tool="brush")
    with pytest.raises(LabelsError, match="Bo has painted"):
        import_labels(store, labels_of(some_labels()), CLASSES, rater="Bo")
    assert store.n_strokes == 1


@pytest.mark.parametrize(
    ("values", "rater", "sentence"),
    [
        (np.zeros((2, 2, 2), np.uint8), "Bo", "another shape"),
        (np.zeros(SHAPE, complex), "Bo", "no integers"),
        (np.full(SHAPE, 9, np.uint8), "Bo", "what the value 9 of bo.zarr means"),
        (np.zeros(SHAPE, np.uint8), " ", "no name"),
    ],
)
def test_labels_that_do_not_fit_change_nothing(store, values, rater, sentence) -> None:
    with pytest.raises(LabelsError, match=sentence):
        import_labels(store, labels_of(values), CLASSES, rater=rater)
    assert store.n_strokes == 0


def counted(store: CorrectionStore, name: str) -> dict[int, int]:
    values, counts = np.unique(store.read(name, WHOLE), return_counts=True)
    pairs = zip(values, counts, strict=True)
    return {int(v): int(n) for v, n in pairs if v != UNSET}


def test_counts_follow_the_journal_through_undo_and_erasing(store, tmp_path) -> None:
    import_labels(store, labels_of(some_labels()), CLASSES, rater="Bo")
    box = Box((3, 3, 3), (9, 9, 9))
    mask = np.ones(box.shape, bool)
    store.commit(box, mask, 1, annotator="Ana", tool="brush")
    for value in (2, UNSET):
        part = Box((4, 4, 4), (6, 6, 6))
        store.commit(part, mask[:2, :2, :2], value, annotator="Ana", tool="brush")
        assert class_counts(store, tmp_path)["Ana"] == counted(store, "Ana")
    store.undo("Ana")
    found = class_counts(store, tmp_path)
    assert found == {name: counted(store, name) for name in ("Bo", "Ana")}
    assert found["Ana"] == {1: 208, 2: 8}


def test_only_new_rows_are_added_up_again(store, tmp_path, monkeypatch) -> None:
    import_labels(store, labels_of(some_labels()), CLASSES, rater="Bo")
    first = class_counts(store, tmp_path)
    asked: list[int] = []
    voxels = store.voxels
    monkeypatch.setattr(
        store, "voxels", lambda row: (asked.append(row.sequence), voxels(row))[1]
    )
    assert class_counts(store, tmp_path) == first
    assert asked == []
    (tmp_path / "labels" / NAME).write_text("torn")
    assert class_counts(store, tmp_path) == first
    assert asked == [1, 2]
