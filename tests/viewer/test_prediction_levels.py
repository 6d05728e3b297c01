from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.predictions import (
    LABELS,
    PROBABILITY,
    BlockPrediction,
    PredictionStore,
)
from napari_unetseg.geometry import Block, Box
from napari_unetseg.viewer.chunk_cache import CachedArray
from napari_unetseg.viewer.prediction_levels import PredictionLevels

WHOLE = Box((0, 0, 0), (4, 32, 32))
CORNER = Box((0, 0, 0), (4, 16, 16))
EVERYTHING = tuple(slice(0, n) for n in WHOLE.shape)


def make_store(path: Path) -> PredictionStore:
    return PredictionStore.create(
        path, shape=WHOLE.shape, voxel_size=(1.0, 1.0, 1.0), chunk=(4, 16, 16),
        maps=(), class_names=("cell",),
    )  # fmt: skip


def write(store: PredictionStore, box: Box, value: int) -> None:
    labels = np.full(box.shape, value % 2, np.uint8)
    probability = np.full((1, *box.shape), value, np.uint8)
    store.write(Block(0, box, box), BlockPrediction(labels, probability))


def values(levels: Sequence[CachedArray]) -> np.ndarray:
    """Return the finest level without its channel."""
    finest = levels[0]
    lead = (slice(0, 1),) * (len(finest.shape) - 3)
    return np.asarray(finest[(*lead, *EVERYTHING)]).reshape(WHOLE.shape)


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    return make_store(tmp_path / "predicted.zarr")


def test_what_was_read_stays_until_it_is_forgotten(store: PredictionStore) -> None:
    levels = PredictionLevels(10**6)
    write(store, WHOLE, 11)
    assert (values(levels.of(store, PROBABILITY)) == 11).all()
    write(store, WHOLE, 20)
    assert (values(levels.of(store, PROBABILITY)) == 11).all()
    levels.forget(CORNER)
    mixed = values(levels.of(store, PROBABILITY))
    assert (mixed[CORNER.slices] == 20).all()
    assert (mixed[:, 16:] == 11).all()
    levels.forget()
    assert (values(levels.of(store, PROBABILITY)) == 20).all()


def test_all_images_forget_a_box(store: PredictionStore) -> None:
    levels = PredictionLevels(10**6)
    for value in (11, 20):
        write(store, WHOLE, value)
        levels.forget(WHOLE)
        assert (values(levels.of(store, PROBABILITY)) == value).all()
        assert (values(levels.of(store, LABELS)) == value % 2).all()


def test_of_another_prediction_nothing_is_taken_over(
    store: PredictionStore, tmp_path: Path
) -> None:
    levels, other = PredictionLevels(10**6), make_store(tmp_path / "other.zarr")
    write(store, WHOLE, 11)
    write(other, WHOLE, 20)
    for shown, value in ((store, 11), (other, 20), (store, 11)):
        assert (values(levels.of(shown, PROBABILITY)) == value).all()
    write(store, WHOLE, 30)  # whoever comes back reads anew
    levels.of(other, PROBABILITY)
    assert (values(levels.of(store, PROBABILITY)) == 30).all()


def test_the_same_image_is_the_same_levels(store: PredictionStore) -> None:
    levels = PredictionLevels(10**6)
    assert levels.of(store, PROBABILITY) is levels.of(store, PROBABILITY)
