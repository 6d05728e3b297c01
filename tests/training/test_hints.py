from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import Block, BlockGrid, Box
from napari_unetseg.training.stored_versions import StoredVersion
from napari_unetseg.training.training_set import TrainingSet, collect

SHAPE = (16, 48, 48)
WHOLE = Box.whole(SHAPE)
EDIT = Box((4, 8, 8), (5, 9, 10))  # two voxels of one slice
Classes = tuple[ClassInfo, ...]


def predicted(folder: Path, labels: np.ndarray, without: int = -1) -> StoredVersion:
    store = PredictionStore.create(
        folder / "v1.zarr", shape=SHAPE, voxel_size=(1.0, 1.0, 1.0),
        chunk=(16, 16, 16), class_names=("cell", "fibre"), maps=(),
    )  # fmt: skip
    chances = np.zeros((2, *SHAPE), np.uint8)
    store.write(Block(0, WHOLE, WHOLE), BlockPrediction(labels, chances))
    grid = BlockGrid(SHAPE, (16, 16, 16))
    states = {n: BlockState.DONE for n in range(len(grid)) if n != without}
    plan = BlocksPlanned(grid.counts, grid.block, (), states)
    return StoredVersion("v1", datetime(2026, 3, 1, tzinfo=UTC), store, plan)


@pytest.fixture
def cells(tmp_path: Path) -> StoredVersion:
    """A model that found a cell everywhere."""
    return predicted(tmp_path, np.ones(SHAPE, np.uint8))


def edit(store: CorrectionStore, box: Box, value: int, annotator: str = "Ana") -> None:
    mask = np.ones(box.shape, bool)
    store.commit(
        box, mask, value, annotator=annotator, tool="brush", model_version="v1"
    )


def labels_of(
    store: CorrectionStore, classes: Classes, *versions: StoredVersion
) -> TrainingSet:
    """Return what there is to learn; a label elsewhere makes two kinds of them."""
    edit(store, Box((15, 0, 47), (16, 1, 48)), 1, "Cy")
    return collect(store, None, classes, versions=versions, implied=0.3)


def test_what_was_left_beside_an_edit_is_learned_a_little(
    corrections: CorrectionStore, classes: Classes, cells: StoredVersion
) -> None:
    edit(corrections, EDIT, 0)
    ids, weights = labels_of(corrections, classes, cells).labels.weighted(WHOLE)
    assert weights[EDIT.slices].tolist() == [[[1.0, 1.0]]]
    assert ids[EDIT.slices].tolist() == [[[0, 0]]]
    assert ids[4, 8, 10:16].tolist() == [1] * 6, "what the prediction showed"
    assert np.unique(weights).tolist() == pytest.approx([0, 0.3, 1])
    assert ids[4, 14, 14] == 1, "√(6² + 5²) voxels away"
    assert ids[4, 15, 15] == UNSET, "√(7² + 6²) voxels away"
    assert (ids[[3, 5]] == UNSET).all(), "other slices were not looked at"
    assert (ids[4, :, 16:] == UNSET).all(), (
        "nor is it known from a chunk without labels"
    )


def test_hints_are_never_measured(
    corrections: CorrectionStore, classes: Classes, cells: StoredVersion
) -> None:
    edit(corrections, EDIT, 0)
    found = labels_of(corrections, classes, cells)
    assert np.count_nonzero(found.labels.read(WHOLE) != UNSET) == 3
    assert found.n_voxels == {"background": 2, "cell": 1, "fibre": 0}


def test_a_later_correction_is_stronger(
    corrections: CorrectionStore, classes: Classes, cells: StoredVersion
) -> None:
    edit(corrections, EDIT, 0)
    edit(corrections, Box((4, 9, 8), (5, 10, 9)), 2, "Bo")
    found = labels_of(corrections, classes, cells)
    ids, weights = found.labels.weighted(WHOLE)
    assert (ids[4, 9, 8], weights[4, 9, 8]) == (2, 1.0)
    ids, weights = found.by_rater["Ana"].weighted(WHOLE)
    assert (ids[4, 9, 8], weights[4, 9, 8]) == (1, pytest.approx(0.3)), "Ana left it"


def test_nothing_is_implied_where_nobody_saw_a_prediction(
    corrections: CorrectionStore, classes: Classes, tmp_path: Path
) -> None:
    edit(corrections, EDIT, 0)
    gone = labels_of(corrections, classes).labels.weighted(WHOLE)[0]
    assert np.count_nonzero(gone != UNSET) == 3
    partly = predicted(tmp_path, np.ones(SHAPE, np.uint8), without=0)
    ids = labels_of(corrections, classes, partly).labels.weighted(WHOLE)[0]
    assert np.count_nonzero(ids[:, :16, :16] != UNSET) == 2


def test_neither_undone_nor_thick_edits_imply_anything(
    corrections: CorrectionStore, classes: Classes, cells: StoredVersion
) -> None:
    edit(corrections, Box((8, 8, 8), (10, 10, 10)), 0)
    edit(corrections, EDIT, 0)
    corrections.undo("Ana")
    ids = labels_of(corrections, classes, cells).labels.weighted(WHOLE)[0]
    assert np.count_nonzero(ids[:, :16, :16] != UNSET) == 8


def test_what_a_rejected_click_found_is_background(
    corrections: CorrectionStore, classes: Classes, tmp_path: Path
) -> None:
    labels = np.ones(SHAPE, np.uint8)
    labels[8, 20, 21] = 2
    shown = predicted(tmp_path, labels)
    edit(corrections, EDIT, 0)
    corrections.add_rejected_click((8, 20, 20), 1, "Bo", "v1")
    corrections.add_rejected_click((8, 40, 40), 2, "Bo", "v1")  # none was found there
    corrections.add_rejected_click((8, 40, 40), 1, "Bo", "v0")  # nobody knows any more
    edit(corrections, Box((8, 20, 19), (9, 21, 20)), 1, "Bo")
    found = labels_of(corrections, classes, shown)
    box = Box((6, 18, 18), (11, 23, 23))
    assert found.rejected == (box,)
    for labels_read in (found.labels, found.by_rater["Bo"]):
        ids, weights = labels_read.weighted(box)
        ball = weights == 1
        assert np.count_nonzero(ball) == 32, "33 voxels but the one of the other class"
        assert ids[2, 2].tolist() == [0, 1, 0, 2, 0], "Bo drew a cell, a fibre is left"
        assert weights[2, 2].tolist() == pytest.approx([1, 1, 1, 0.3, 1])
    ids = found.by_rater["Ana"].weighted(box)[0]
    assert (ids == UNSET).all()
    assert found.n_voxels["background"] == 2
