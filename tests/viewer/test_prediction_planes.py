from __future__ import annotations

from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from napari_unetseg.data.predictions import (
    PROBABILITY,
    RATER_PROBABILITY,
    BlockPrediction,
    PredictionStore,
)
from napari_unetseg.geometry import Block, Box, Zyx
from napari_unetseg.viewer.prediction_planes import PredictionPlanes

SHAPE: Zyx = (8, 40, 48)
WHOLE = Box.whole(SHAPE)
SLICE = Box((3, 0, 0), (4, 40, 48))


def make_store(path: Path, *, shape: Zyx = SHAPE) -> PredictionStore:
    return PredictionStore.create(
        path, shape=shape, voxel_size=(1.0, 1.0, 1.0), chunk=(8, 16, 16), maps=(),
        class_names=("cell", "fibre"), rater_names=("Ana", "Bo"),
    )  # fmt: skip


def write(store: PredictionStore, box: Box, seed: int) -> np.ndarray:
    raters = np.random.default_rng(seed).integers(
        0, 120, (2, 2, *box.shape), dtype=np.uint8
    )
    probability = raters.mean(axis=0).astype(np.uint8)
    labels = np.zeros(box.shape, np.uint8)
    store.write(
        Block(0, box, box),
        BlockPrediction(labels, probability, rater_probability=raters),
    )
    return probability


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    return make_store(tmp_path / "predicted.zarr")


@pytest.mark.parametrize("name", [PROBABILITY, RATER_PROBABILITY])
def test_a_plane_is_what_the_store_says(store: PredictionStore, name: str) -> None:
    write(store, WHOLE, 1)
    plane, cells, factor = PredictionPlanes().read(store, name, SLICE)
    assert (cells, factor) == (SLICE, (1, 1, 1))
    there = np.asarray(store.levels(name)[0][(slice(None), *SLICE.slices)])
    np.testing.assert_array_equal(plane, there)
    assert plane.any()


def test_other_slices_of_a_chunk_are_not_read_again(store: PredictionStore) -> None:
    planes = PredictionPlanes()
    probability = write(store, WHOLE, 1)
    planes.read(store, PROBABILITY, SLICE)
    for chunk in (store.path / PROBABILITY / "0" / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    plane, *_ = planes.read(store, PROBABILITY, SLICE.shifted((1, 0, 0)))
    np.testing.assert_array_equal(plane, probability[:, 4:5])


def test_what_was_predicted_anew_is_read_anew(store: PredictionStore) -> None:
    planes, corner = PredictionPlanes(), Box((0, 0, 0), (8, 16, 16))
    old = write(store, WHOLE, 1)[:, 3:4]
    planes.read(store, PROBABILITY, SLICE)
    new = write(store, corner, 2)[:, 3:4]
    before, *_ = planes.read(store, PROBABILITY, SLICE)
    np.testing.assert_array_equal(before, old)
    planes.forget(corner)
    after, *_ = planes.read(store, PROBABILITY, SLICE)
    np.testing.assert_array_equal(after[..., :16, :16], new)
    np.testing.assert_array_equal(after[..., 16:], old[..., 16:])


def test_many_changes_at_once_are_all_read_anew(store: PredictionStore) -> None:
    planes = PredictionPlanes()
    write(store, WHOLE, 1)
    planes.read(store, PROBABILITY, SLICE)
    probability = write(store, WHOLE, 2)
    for row in range(300):  # none of them says anything of the other columns
        planes.forget(Box((3, row % 40, 0), (4, row % 40 + 1, 1)))
    plane, *_ = planes.read(store, PROBABILITY, SLICE)
    np.testing.assert_array_equal(plane, probability[:, 3:4])


def test_another_prediction_is_another(store: PredictionStore, tmp_path: Path) -> None:
    planes, other = PredictionPlanes(), make_store(tmp_path / "other.zarr")
    write(store, WHOLE, 1)
    probability = write(other, WHOLE, 2)
    planes.read(store, PROBABILITY, SLICE)
    plane, *_ = planes.read(other, PROBABILITY, SLICE)
    np.testing.assert_array_equal(plane, probability[:, 3:4])


def test_a_plane_larger_than_a_screen_is_read_coarser(tmp_path: Path) -> None:
    shape = (4, 1600, 64)
    store = make_store(tmp_path / "wide.zarr", shape=shape)
    box = Box((1, 0, 0), (2, 1600, 64))
    plane, cells, factor = PredictionPlanes().read(store, PROBABILITY, box)
    assert max(plane.shape[-2:]) <= 768
    assert plane.shape[1:] == cells.shape
    assert factor in store.factors(PROBABILITY)
    assert factor[1] > 1


def test_many_threads_read_the_same(store: PredictionStore) -> None:
    planes = PredictionPlanes(max_bytes=4096)  # chunks come and go
    probability = write(store, WHOLE, 1)
    wrong: list[int] = []

    def read(first: int) -> None:
        for z in range(first, first + 8):
            box = SLICE.shifted((z % 8 - 3, 0, 0))
            plane, *_ = planes.read(store, PROBABILITY, box)
            if not np.array_equal(plane[:, 0], probability[:, z % 8]):
                wrong.append(z)
            planes.forget(box)

    threads = [Thread(target=read, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
