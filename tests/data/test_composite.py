from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.composite import CompositeLabels, compose, read_composite
from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.geometry import Block, Box

SHAPE = (32, 64, 64)
WHOLE = Box.whole(SHAPE)
WINDOW = Box((4, 10, 20), (28, 60, 62))
VOXEL_SIZE = (1.0, 1.0, 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CorrectionStore]:
    store = CorrectionStore.open(
        tmp_path, shape=SHAPE, voxel_size=VOXEL_SIZE, chunk=(8, 32, 32)
    )
    yield store
    store.close()


@pytest.fixture(scope="module")
def predicted() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)


def write(predictions: PredictionStore, labels: np.ndarray) -> None:
    block = Block(0, WHOLE, WHOLE)
    nothing = np.zeros((2, *SHAPE), np.uint8)
    predictions.write(block, BlockPrediction(labels, nothing))


@pytest.fixture
def predictions(tmp_path: Path, predicted: np.ndarray) -> PredictionStore:
    made = PredictionStore.create(
        tmp_path / "v1.zarr", shape=SHAPE, voxel_size=VOXEL_SIZE, chunk=(16, 32, 32),
        class_names=("cell", "fibre"), maps=(),
    )  # fmt: skip
    write(made, predicted)
    return made


@pytest.fixture
def labels(store: CorrectionStore, predictions: PredictionStore) -> CompositeLabels:
    return CompositeLabels(store, predictions, annotator="Ana", window=WINDOW)


def test_only_unset_lets_the_prediction_through() -> None:
    said = np.array([[[0, 1, UNSET]]], np.uint8)
    assert compose(said, np.full((1, 1, 3), 2, np.uint8)).tolist() == [[[0, 1, 2]]]


def test_read_composite_of_one_and_of_all(
    store: CorrectionStore, predictions: PredictionStore, predicted: np.ndarray
) -> None:
    box = Box((0, 0, 0), (2, 2, 2))
    for name, value in (("Ana", 5), ("Bo", 6)):
        store.commit(box, np.ones((2, 2, 2)), value, annotator=name, tool="brush")
    part = Box((0, 0, 0), (2, 2, 4))
    for name, value in (("Ana", 5), ("Bo", 6), (None, 6)):
        values = read_composite(store, predictions, part, name)
        assert (values[..., :2] == value).all()
        np.testing.assert_array_equal(values[..., 2:], predicted[:2, :2, 2:4])
    values = read_composite(store, None, part, "Cy")
    assert values.dtype == np.uint8 and not values.any()


def test_it_is_an_array_of_the_window(
    labels: CompositeLabels, predicted: np.ndarray
) -> None:
    assert (labels.shape, labels.ndim, labels.dtype) == (WINDOW.shape, 3, np.uint8)
    assert labels.size == labels.nbytes == WINDOW.n_voxels
    assert len(labels) == WINDOW.shape[0]
    np.testing.assert_array_equal(np.asarray(labels), predicted[WINDOW.slices])
    assert np.asarray(labels, dtype=np.int32).dtype == np.int32


INDICES = [
    3, -1, np.int64(2), (3, 4, 5), (slice(1, 9, 3), slice(None), 2), (Ellipsis, 5),
    (slice(2, 5),), (2, Ellipsis), Ellipsis, (slice(None), 3, slice(4, 9)), [1, 5],
    (np.array([1, 2, 9]), np.array([4, 5, 6]), np.array([-1, 8, 9])),
    (np.array([[1], [2]]), np.array([4, 5]), 0), (4, slice(2, 9), np.array([1, 1, 5])),
    (), (slice(5, 2),),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_reading_and_writing_as_numpy_does(
    labels: CompositeLabels, predicted: np.ndarray, index: Any, store: CorrectionStore
) -> None:
    expected = predicted[WINDOW.slices].copy()
    found = labels[index]
    np.testing.assert_array_equal(found, expected[index])
    before = expected.copy()
    labels[index] = 7
    expected[index] = 7
    np.testing.assert_array_equal(np.asarray(labels), expected)
    stroke = labels.commit("brush")
    changed = expected != before
    assert (0 if stroke is None else stroke.n_voxels) == changed.sum()
    said = store.read("Ana", WINDOW)
    np.testing.assert_array_equal(said, np.where(changed, 7, UNSET))


def test_a_mask_is_an_index_too(labels: CompositeLabels, predicted: np.ndarray) -> None:
    mask = predicted[WINDOW.slices] == 2
    labels[mask] = 1
    assert not (np.asarray(labels) == 2).any()
    stroke = labels.commit("brush")
    assert stroke is not None and stroke.n_voxels == mask.sum()


def test_what_is_handed_out_is_a_copy(labels: CompositeLabels) -> None:
    before = np.asarray(labels)
    labels[3][:] = 9
    np.asarray(labels)[:] = 9
    np.testing.assert_array_equal(np.asarray(labels), before)
    assert not labels.has_pending


def test_writing_the_same_value_is_no_stroke(
    labels: CompositeLabels, store: CorrectionStore
) -> None:
    labels[2:5] = np.asarray(labels)[2:5]
    assert not labels.has_pending
    assert labels.commit("brush") is None
    assert store.strokes() == []


def test_a_drag_is_one_stroke_with_the_values_from_before(
    labels: CompositeLabels, store: CorrectionStore, predicted: np.ndarray
) -> None:
    store.commit(WHOLE, np.ones(SHAPE), 0, annotator="Ana", tool="fill")
    labels.reload()
    for step in range(6):
        labels[3, 10 + step : 16 + step, 5:11] = 1 + step % 2
    labels[3, 10, 5] = 0
    stroke = labels.commit("brush", "v1")
    assert stroke is not None
    assert (stroke.tool, stroke.model_version) == ("brush", "v1")
    assert stroke.box == Box((7, 20, 25), (8, 31, 31))
    assert stroke.n_voxels == 11 * 6
    voxels = store.voxels(stroke)
    assert (voxels.old == 0).all()
    np.testing.assert_array_equal(store.read("Ana", WINDOW), np.asarray(labels))
    assert not labels.has_pending and labels.commit("brush") is None


def test_strokes_far_apart_are_one_if_they_were_not_committed(
    labels: CompositeLabels, store: CorrectionStore
) -> None:
    labels[0, 0, 0] = 9
    labels[-1, -1, -1] = 9
    stroke = labels.commit("fill")
    assert stroke is not None and stroke.n_voxels == 2
    assert stroke.box == WINDOW


def test_discarding_leaves_no_trace(
    labels: CompositeLabels, predicted: np.ndarray, store: CorrectionStore
) -> None:
    labels[5, 5:9] = 7
    labels.commit("brush")
    before = np.asarray(labels)
    labels[4:8, 3:20] = 9
    labels.discard()
    np.testing.assert_array_equal(np.asarray(labels), before)
    assert not labels.has_pending and store.n_strokes == 1


def test_undo_and_redo_show_here_and_in_the_store(
    labels: CompositeLabels, predicted: np.ndarray, store: CorrectionStore
) -> None:
    before = np.asarray(labels)
    labels[5, 5:9] = 7
    labels.commit("brush")
    after = np.asarray(labels)
    assert labels.undo() is not None
    np.testing.assert_array_equal(np.asarray(labels), before)
    assert (store.read("Ana", WINDOW) == UNSET).all()
    assert labels.redo() is not None
    np.testing.assert_array_equal(np.asarray(labels), after)
    assert labels.redo() is None


def test_an_undo_outside_of_the_window_is_harmless(
    labels: CompositeLabels, store: CorrectionStore
) -> None:
    box = Box((0, 0, 0), (2, 2, 2))
    store.commit(box, np.ones((2, 2, 2)), 1, annotator="Ana", tool="click")
    before = np.asarray(labels)
    stroke = labels.undo()
    assert stroke is not None and stroke.box == box
    np.testing.assert_array_equal(np.asarray(labels), before)


def test_confirming_what_is_right_counts_as_labelled(
    labels: CompositeLabels, predicted: np.ndarray, store: CorrectionStore
) -> None:
    box = Box((2, 3, 4), (5, 9, 9))
    seen = predicted[WINDOW.slices][box.slices]
    mask = np.ones(box.shape, bool)
    labels.touch(box, mask, 0)
    stroke = labels.commit("eraser")
    assert stroke is not None and stroke.n_voxels == (seen == 0).sum()
    said = store.read("Ana", box.shifted(WINDOW.start))
    np.testing.assert_array_equal(said, np.where(seen == 0, 0, UNSET))
    labels.touch(box, mask, 0)  # said once is said
    assert labels.commit("eraser") is None
    labels.undo()
    assert store.counts() == {"Ana": 0}


def test_painting_over_an_object_labels_all_of_it(
    labels: CompositeLabels, predicted: np.ndarray, store: CorrectionStore
) -> None:
    box = Box((2, 3, 4), (5, 9, 9))
    labels[box.slices] = 1
    labels.touch(box, np.ones(box.shape, bool), 1)
    stroke = labels.commit("brush")
    assert stroke is not None and stroke.n_voxels == box.n_voxels


def test_a_new_prediction_shows_and_what_is_pending_stays(
    labels: CompositeLabels, predictions: PredictionStore
) -> None:
    labels[6, 6, 6] = 7
    labels.commit("brush")
    labels[8, 8, 8] = 9
    write(predictions, np.full(SHAPE, 2, np.uint8))
    part = Box((4, 10, 20), (13, 60, 62))
    before = np.asarray(labels)
    labels.reload(part)
    values = np.asarray(labels)
    assert values[6, 6, 6] == 7 and values[8, 8, 8] == 9
    assert (values[:9] == 2).sum() == values[:9].size - 2
    np.testing.assert_array_equal(values[9:], before[9:])
    labels.reload()
    assert (np.asarray(labels)[9:] == 2).all()
    labels.discard()
    assert labels[8, 8, 8] == 2


def test_taking_a_label_away_shows_the_prediction(
    labels: CompositeLabels, predicted: np.ndarray
) -> None:
    labels[6] = 9
    labels.commit("brush")
    labels[6] = UNSET
    labels.commit("eraser")
    np.testing.assert_array_equal(np.asarray(labels), predicted[WINDOW.slices])


def test_planes_are_read_once_and_by_whole_chunks(
    labels: CompositeLabels,
    predictions: PredictionStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[tuple[int, int]] = []
    original = predictions.read_labels

    def counted(box: Box) -> np.ndarray:
        read.append((box.start[0], box.stop[0]))
        return original(box)

    monkeypatch.setattr(predictions, "read_labels", counted)
    for z in (2, 3, 11, 2):
        labels[z]
    assert read == [(4, 16)]  # the planes of the window in the first chunk
    labels[12, 3, 3] = 1
    np.asarray(labels)
    assert read == [(4, 16), (16, 28)]


def test_without_predictions_and_with_large_ids(tmp_path: Path) -> None:
    store = CorrectionStore.open(
        tmp_path, shape=SHAPE, dtype="uint32", voxel_size=VOXEL_SIZE
    )
    labels = CompositeLabels(store, None, annotator="Ana", window=WINDOW)
    labels[3, 4:6, 7:9] = 70_000
    labels.commit("brush")
    again = CompositeLabels(store, None, annotator="Ana", window=WINDOW)
    assert again[3, 5, 8] == 70_000 and np.asarray(again).sum() == 4 * 70_000
    store.close()
