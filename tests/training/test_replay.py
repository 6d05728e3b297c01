from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Block, Box
from napari_unetseg.training.dataset import REPLAYED, Patches
from napari_unetseg.training.losses import IGNORE
from napari_unetseg.training.replay import N_PLACES, unlabelled_places
from napari_unetseg.training.training_set import ArrayLabels, Region, TrainingSet

SHAPE = (16, 48, 48)
WHOLE = Box.whole(SHAPE)
PATCH = (8, 8, 8)


@pytest.fixture
def left() -> ArrayLabels:
    """Labels in the left half alone."""
    values = np.full(SHAPE, UNSET, np.uint8)
    values[:, :, :24] = 0
    return ArrayLabels(values)


@pytest.fixture
def predictions(tmp_path: Path) -> PredictionStore:
    """An object in the upper right corner."""
    store = PredictionStore.create(
        tmp_path / "v1.zarr", shape=SHAPE, voxel_size=(1.0, 1.0, 1.0),
        chunk=(16, 16, 16), class_names=("cell",), maps=(),
    )  # fmt: skip
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, :16, 32:] = 1
    chances = np.zeros((1, *SHAPE), np.uint8)
    store.write(Block(0, WHOLE, WHOLE), BlockPrediction(labels, chances))
    return store


def test_places_to_replay_have_no_label_and_half_of_them_an_object(
    left: ArrayLabels, predictions: PredictionStore
) -> None:
    rng = np.random.default_rng(0)
    found = unlabelled_places(predictions, left, SHAPE, PATCH, rng)
    assert len(found) == N_PLACES
    assert all(place[2] >= 28 for place in found)
    in_objects = [place for place in found if place[1] < 16 and place[2] >= 32]
    assert len(in_objects) >= N_PLACES / 2
    anywhere = unlabelled_places(None, left, SHAPE, PATCH, np.random.default_rng(0))
    assert any(place[1] >= 20 for place in anywhere)


def test_a_volume_full_of_labels_has_no_such_place() -> None:
    labels = ArrayLabels(np.zeros(SHAPE, np.uint8))
    rng = np.random.default_rng(0)
    assert unlabelled_places(None, labels, SHAPE, PATCH, rng) == ()


def test_every_fourth_patch_is_a_replay(phantom_path: Path, left: ArrayLabels) -> None:
    labels = TrainingSet((Region(WHOLE, "imported", ""),), left, {})
    patches = Patches(
        Volume.open(phantom_path), Normalisation(low=(0.0,), high=(255.0,)), labels,
        raters=(), patch=PATCH, seed=0, replay=[(8, 24, 44)],
    )  # fmt: skip
    drawn = [patches.draw(1) for _ in range(3 * REPLAYED)]
    said = [bool((batch.target != IGNORE).any()) for batch in drawn]
    assert said == [True, True, True, False] * 3
    assert all(bool((b.weight > 0).any()) is is_said
               for b, is_said in zip(drawn, said, strict=True))  # fmt: skip
