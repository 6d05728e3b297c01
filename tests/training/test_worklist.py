from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.config import RATER_DISAGREEMENT, TOTAL_UNCERTAINTY
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.geometry import Block, Box, Zyx
from napari_unetseg.training.worklist import WorkItem, rank_regions, tile_for

SHAPE = (16, 48, 48)
TILE = (8, 16, 16)
FIRST, SECOND = Box((0, 0, 0), (8, 16, 16)), Box((8, 32, 32), (16, 48, 48))


def store_of(
    folder: Path,
    doubt: np.ndarray,
    probability: np.ndarray,
    differ: np.ndarray | None = None,
    *,
    voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> PredictionStore:
    shape: Zyx = doubt.shape  # type: ignore[assignment]
    maps = {TOTAL_UNCERTAINTY: doubt}
    if differ is not None:
        maps[RATER_DISAGREEMENT] = differ
    store = PredictionStore.create(
        folder / "v1.zarr", shape=shape, voxel_size=voxel_size, chunk=(16, 16, 16),
        class_names=("cell", "fibre"), maps=tuple(maps),
    )  # fmt: skip
    whole = Box.whole(shape)
    labels = np.zeros(shape, np.uint8)
    store.write(Block(0, whole, whole), BlockPrediction(labels, probability, maps))
    return store


@pytest.fixture
def predictions(tmp_path: Path) -> PredictionStore:
    """Doubt about cells in two regions, about a fibre in a third, weaker one."""
    doubt = np.zeros(SHAPE, np.uint8)
    probability = np.zeros((2, *SHAPE), np.uint8)
    for box, value in ((FIRST, 200), (SECOND, 150)):
        doubt[box.slices], probability[0][box.slices] = value, 128
    doubt[:8, 16:32, 16:32] = probability[1, :8, 16:32, 16:32] = 100
    return store_of(tmp_path, doubt, probability)


def ranked(
    predictions: PredictionStore, corrections: CorrectionStore, n: int = 12
) -> tuple[WorkItem, ...]:
    return rank_regions(
        predictions, corrections, volume_shape=predictions.shape, n=n, tile=TILE
    )


def label(store: CorrectionStore, box: Box, version: str | None = None) -> None:
    store.commit(
        box, np.ones(box.shape, bool), 1, annotator="Ana", tool="brush",
        model_version=version,
    )  # fmt: skip


def test_most_doubt_comes_first(
    predictions: PredictionStore, corrections: CorrectionStore
) -> None:
    items = ranked(predictions, corrections)
    assert [item.box for item in items[:2]] == [FIRST, SECOND]
    assert [item.class_id for item in items] == [1, 1, 2]
    assert all(item.box.holds(item.centre) for item in items)
    assert items[0].reason == "unsure about cell"
    assert items[0].state == "open"
    assert 0 < items[1].score < items[0].score < 1


def test_classes_take_turns(
    predictions: PredictionStore, corrections: CorrectionStore
) -> None:
    assert {item.class_id for item in ranked(predictions, corrections, 2)} == {1, 2}


def test_the_list_is_the_same_every_time(
    predictions: PredictionStore, corrections: CorrectionStore
) -> None:
    assert ranked(predictions, corrections) == ranked(predictions, corrections)


@pytest.mark.parametrize("state", ["accepted", "skipped"])
def test_what_was_reviewed_is_not_listed(
    predictions: PredictionStore, corrections: CorrectionStore, state: str
) -> None:
    corrections.add_reviewed(FIRST, "Ana", "v1", state)
    assert FIRST not in [item.box for item in ranked(predictions, corrections)]


def test_a_correction_of_this_prediction_settles_a_region(
    predictions: PredictionStore, corrections: CorrectionStore
) -> None:
    small = Box((1, 1, 1), (2, 4, 4))
    label(corrections, small, "v0")
    assert FIRST in [item.box for item in ranked(predictions, corrections)]
    label(corrections, small, "v1")
    assert FIRST not in [item.box for item in ranked(predictions, corrections)]
    corrections.undo("Ana")
    assert FIRST in [item.box for item in ranked(predictions, corrections)]


def test_labelled_voxels_are_not_in_doubt(
    predictions: PredictionStore, corrections: CorrectionStore
) -> None:
    before = {item.box: item for item in ranked(predictions, corrections)}
    label(corrections, Box((0, 0, 0), (2, 16, 16)))
    after = {item.box: item for item in ranked(predictions, corrections)}
    assert after[FIRST].centre[0] >= 2
    assert after[FIRST].score <= before[FIRST].score
    label(corrections, Box((0, 0, 0), (6, 16, 16)))
    assert FIRST not in [item.box for item in ranked(predictions, corrections)]


def test_raters_who_differ_come_first(
    tmp_path: Path, corrections: CorrectionStore
) -> None:
    doubt = np.zeros(SHAPE, np.uint8)
    doubt[FIRST.slices], doubt[SECOND.slices] = 200, 100
    differ = np.zeros(SHAPE, np.uint8)
    differ[SECOND.slices] = 90
    predictions = store_of(tmp_path, doubt, np.full((2, *SHAPE), 100, np.uint8), differ)
    items = ranked(predictions, corrections)
    assert items[0].box == SECOND
    assert items[0].reason.startswith("raters would disagree")


def test_no_doubt_is_no_work(tmp_path: Path, corrections: CorrectionStore) -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    predictions = store_of(tmp_path, nothing, np.zeros((2, *SHAPE), np.uint8))
    assert ranked(predictions, corrections) == ()


def test_large_predictions_are_ranked_from_a_coarse_level(
    tmp_path: Path, corrections: CorrectionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unetseg.training.worklist.MAX_VOXELS", 2**12)
    shape = (64, 64, 64)
    doubt = np.zeros(shape, np.uint8)
    doubt[40:56, 40:56, 8:24] = 250
    predictions = store_of(tmp_path, doubt, np.full((2, *shape), 128, np.uint8))
    started = time.perf_counter()
    items = rank_regions(
        predictions, corrections, volume_shape=shape, tile=(16, 16, 16)
    )
    assert time.perf_counter() - started < 1
    place = Box((40, 40, 8), (56, 56, 24))
    assert items
    assert all(place.grown(4).holds(item.centre) for item in items)
    assert all(item.box.overlaps(place) for item in items)


@pytest.mark.parametrize(
    ("voxel_size", "tile"),
    [((1.0, 1.0, 1.0), (32, 64, 64)), ((50.0, 4.6, 4.6), (8, 128, 128)),
     ((0.5, 1.0, 1.0), (32, 64, 64))],
)  # fmt: skip
def test_regions_are_flat_where_sections_are_thick(
    tmp_path: Path, voxel_size: tuple[float, float, float], tile: Zyx
) -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    predictions = store_of(
        tmp_path, nothing, np.zeros((2, *SHAPE), np.uint8), voxel_size=voxel_size
    )
    assert tile_for(predictions.voxel_size) == tile
