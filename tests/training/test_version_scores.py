"""Versions against reviewed regions: real journals, real predictions on disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.hce import HumanEffort
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.errors import Cancelled
from napari_unetseg.events import BlocksPlanned, BlockState, never_cancelled
from napari_unetseg.geometry import Block, BlockGrid, Box
from napari_unetseg.training import version_scores
from napari_unetseg.training.stored_versions import StoredVersion
from napari_unetseg.training.training_set import Accepted, CorrectedLabels
from napari_unetseg.training.version_scores import (
    LookedAt,
    Measure,
    score_versions,
)

SHAPE = (16, 48, 48)
WHOLE = Box.whole(SHAPE)
BLOCK = (16, 16, 16)
REGION = Box((0, 0, 0), (4, 16, 16))
OTHER = Box((8, 16, 16), (12, 32, 32))
START = datetime(2026, 3, 1, tzinfo=UTC)
MEASURE = Measure((1, 2))


def stored(folder: Path, version: str, labels: np.ndarray, *, day: int = 0,
           without: tuple[int, ...] = ()) -> StoredVersion:  # fmt: skip
    """Write a prediction; blocks in ``without`` were never predicted."""
    store = PredictionStore.create(
        folder / f"{version}.zarr", shape=SHAPE, voxel_size=(1.0, 1.0, 1.0),
        chunk=BLOCK, class_names=("cell", "fibre"), maps=(),
    )  # fmt: skip
    probability = np.zeros((2, *SHAPE), np.uint8)
    store.write(Block(0, WHOLE, WHOLE), BlockPrediction(labels, probability))
    grid = BlockGrid(SHAPE, BLOCK)
    states = {n: BlockState.FAILED if n in without else BlockState.DONE
              for n in range(len(grid))}  # fmt: skip
    plan = BlocksPlanned(grid.counts, BLOCK, (), states)
    return StoredVersion(version, START + timedelta(days=day), store, plan)


def labels_with(box: Box, value: int = 1) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[box.slices] = value
    return labels


def seen(box: Box, over: StoredVersion | None, *, day: int = 0) -> LookedAt:
    when = START + timedelta(days=day)
    if over is None:
        return LookedAt(Accepted(box, None), None, when)
    return LookedAt(Accepted(box, over.predictions), over.version, when)


def paint(store: CorrectionStore, box: Box, value: int) -> None:
    mask = np.ones(box.shape, bool)
    store.commit(box, mask, value, annotator="Ana", tool="brush")


@pytest.fixture
def half() -> np.ndarray:
    """Labels of class 1 in one half of the region."""
    return labels_with(Box((0, 0, 0), (4, 16, 8)))


def test_a_version_accepted_as_it_was_is_its_own_reference(
    corrections: CorrectionStore, tmp_path: Path, half: np.ndarray
) -> None:
    v1 = stored(tmp_path, "v1", half)
    v2 = stored(tmp_path, "v2", labels_with(REGION), day=2)
    looked_at = (seen(REGION, v1, day=1),)
    scores = score_versions(corrections, looked_at, (v1, v2), MEASURE)

    first, second = scores["v1"], scores["v2"]
    assert first.n_voxels == first.n_own == second.n_voxels == REGION.n_voxels
    assert first.dice(1) == 1.0 and first.dice(2) is None
    assert first.effort == {1: HumanEffort(), 2: HumanEffort()}
    assert first.n_elsewhere == 0 and first.dice_elsewhere(1) is None
    assert second.n_own == 0 and second.n_elsewhere == REGION.n_voxels
    assert second.dice(1) == second.dice_elsewhere(1) == pytest.approx(2 / 3)
    # In each of four slices a rectangle too much.
    assert second.effort[1] == HumanEffort(4 * 4, 4)
    assert (first.n_learned, second.n_learned) == (0, REGION.n_voxels)


def test_what_was_corrected_is_no_reference_of_its_own(
    corrections: CorrectionStore, tmp_path: Path, half: np.ndarray
) -> None:
    v1 = stored(tmp_path, "v1", half)
    wrong = Box((0, 0, 0), (4, 16, 4))
    paint(corrections, wrong, 2)
    (score,) = score_versions(corrections, (seen(REGION, v1),), (v1,), MEASURE).values()
    assert score.n_own == REGION.n_voxels - wrong.n_voxels
    n = wrong.n_voxels
    assert score.dice(1) == pytest.approx(2 * n / (2 * n + n))
    assert score.dice(2) == 0
    assert score.effort[2].regions == 4


def test_regions_that_overlap_count_once_and_the_last_look_counts(
    corrections: CorrectionStore, tmp_path: Path, half: np.ndarray
) -> None:
    v1 = stored(tmp_path, "v1", half)
    v2 = stored(tmp_path, "v2", labels_with(REGION))
    top = Box((0, 0, 0), (2, 16, 16))
    looked_at = (seen(REGION, v1), seen(top, v2), seen(OTHER, None))
    scores = score_versions(corrections, looked_at, (v1, v2), MEASURE)
    assert scores["v1"].n_voxels == REGION.n_voxels + OTHER.n_voxels
    assert scores["v1"].n_own == REGION.n_voxels - top.n_voxels
    assert scores["v2"].n_own == top.n_voxels
    # Two slices of v1 are as accepted, and two are of v2, twice as large.
    assert scores["v1"].dice(1) == pytest.approx(2 * 4 / (4 + 6))
    assert scores["v1"].n_elsewhere == top.n_voxels + OTHER.n_voxels


def test_what_was_never_predicted_does_not_count(
    corrections: CorrectionStore, tmp_path: Path, half: np.ndarray
) -> None:
    v1 = stored(tmp_path, "v1", half)
    v2 = stored(tmp_path, "v2", np.zeros(SHAPE, np.uint8), without=(0,))
    looked_at = (seen(REGION, v1), seen(OTHER, v1))
    score = score_versions(corrections, looked_at, (v2,), MEASURE)["v2"]
    assert score.n_voxels == OTHER.n_voxels
    assert score.dice(1) is None
    unknown = StoredVersion("v1", START, v1.predictions, None)
    score = score_versions(corrections, looked_at, (unknown,), MEASURE)["v1"]
    assert score.n_voxels == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_parts_give_what_the_whole_gives(
    corrections: CorrectionStore, tmp_path: Path, monkeypatch, axis: int
) -> None:
    rng = np.random.default_rng(0)
    v1 = stored(tmp_path, "v1", rng.integers(0, 3, SHAPE, np.uint8))
    v2 = stored(tmp_path, "v2", rng.integers(0, 3, SHAPE, np.uint8))
    paint(corrections, Box((1, 3, 3), (3, 20, 20)), 2)
    looked_at = (seen(Box((0, 0, 0), (9, 30, 30)), v1), seen(OTHER, v2))
    measure = Measure((1, 2), axis)
    whole = score_versions(corrections, looked_at, (v1, v2), measure)
    monkeypatch.setattr(version_scores, "PART_VOXELS", 2 * 30 * 30)
    parts = score_versions(corrections, looked_at, (v1, v2), measure)
    for version in ("v1", "v2"):
        assert parts[version].effort == whole[version].effort
        assert np.array_equal(parts[version].overlap, whole[version].overlap)
        assert parts[version].n_own == whole[version].n_own


def test_the_reference_is_what_training_learns_from(
    corrections: CorrectionStore, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    v1 = stored(tmp_path, "v1", rng.integers(0, 3, SHAPE, np.uint8))
    paint(corrections, Box((1, 3, 3), (3, 9, 9)), 2)
    accepted = (seen(REGION, v1),)
    score = score_versions(corrections, accepted, (v1,), MEASURE)["v1"]
    regions = tuple(one.region for one in accepted)
    labels = CorrectedLabels(corrections, regions, ("Ana",)).read(REGION)
    said = v1.predictions.read_labels(REGION)
    shared = np.count_nonzero((said == 1) & (labels == 1))
    assert score.overlap[1].tolist() == [
        shared, np.count_nonzero(said == 1), np.count_nonzero(labels == 1)
    ]  # fmt: skip


def test_it_stops_when_asked(corrections: CorrectionStore, tmp_path: Path) -> None:
    v1 = stored(tmp_path, "v1", np.zeros(SHAPE, np.uint8))
    with pytest.raises(Cancelled, match="comparison of versions was stopped"):
        score_versions(corrections, (seen(REGION, v1),), (v1,), MEASURE,
                       is_cancelled=lambda: True)  # fmt: skip
    heard = []
    score_versions(corrections, (seen(REGION, v1),), (v1,), MEASURE, heard.append,
                   never_cancelled)  # fmt: skip
    assert [type(event).__name__ for event in heard] == ["RunStarted", "Progress"]
