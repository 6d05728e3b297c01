from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.config import TOTAL_UNCERTAINTY
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.events import BlockState
from napari_unetseg.geometry import Block, BlockGrid, Box, Zyx
from napari_unetseg.inference.unchanged import (
    GIVE_UP,
    Earlier,
    EarlierPrediction,
    LookFirst,
    places_to_look,
)

SHAPE: Zyx = (16, 32, 64)
GRID = BlockGrid(SHAPE, (16, 32, 32), halo=(2, 2, 2), stride=(4, 4, 4))
CHOICES = {"volume": "a phantom", "flips": 1}
BORDER = Box((8, 0, 0), (16, 32, 64))


def made(shape: Zyx, labels: np.ndarray, doubt: np.ndarray) -> BlockPrediction:
    probability = np.where(labels > 0, 255, 0).astype(np.uint8)[None]
    return BlockPrediction(labels, probability, {TOTAL_UNCERTAINTY: doubt})


@dataclass
class Thresholds:
    """Says 1 where a voxel is above a threshold, and remembers what it was asked."""

    threshold: float
    asked: list[Box] = field(default_factory=list)
    halo: Zyx = GRID.halo
    stride: Zyx = GRID.stride
    n_channels: int = 1
    class_names: tuple[str, ...] = ("cell",)
    rater_names: tuple[str, ...] = ()
    map_names: tuple[str, ...] = (TOTAL_UNCERTAINTY,)
    mvoxel_per_s: float = 0.0

    def predict(self, voxels: np.ndarray, block: Block) -> BlockPrediction:
        assert voxels.shape[1:] == block.read_box.shape
        self.asked.append(block.write_box)
        inner = block.write_box.relative_to(block.read_box).slices
        image = voxels[0][inner]
        labels = (image > self.threshold).astype(np.uint8)
        return made(image.shape, labels, np.zeros(image.shape, np.uint8))

    def bytes_for(self, read_shape: Zyx) -> int:
        return 0


def store_at(path: Path, classes: Sequence[str] = ("cell",)) -> PredictionStore:
    return PredictionStore.create(
        path,
        shape=SHAPE,
        voxel_size=(1, 1, 1),
        chunk=(16, 32, 32),
        class_names=classes,
        maps=(TOTAL_UNCERTAINTY,),
    )


@pytest.fixture
def image() -> np.ndarray:
    """Voxels of 0.5 in the lower half, with one of 0.9 in the second block."""
    voxels = np.zeros(SHAPE, np.float32)
    voxels[BORDER.slices] = 0.5
    return voxels


@pytest.fixture
def earlier(tmp_path: Path, image: np.ndarray) -> Earlier:
    """What a version said that drew at 0.3; both blocks are done."""
    store = store_at(tmp_path / "v1.zarr")
    with DoneLog.open(tmp_path / "v1.jsonl", {**CHOICES, "block": GRID.block}) as log:
        for block in GRID:
            found = Thresholds(0.3).predict(read(image, block), block)
            store.write(block, found)
            log.record(block.index, BlockState.DONE)
    return Earlier("v1", tmp_path / "v1.zarr", tmp_path / "v1.jsonl")


def read(image: np.ndarray, block: Block) -> np.ndarray:
    return image[None][(slice(None), *block.read_box.slices)]


def look_first(
    earlier: Earlier, tmp_path: Path, network: Thresholds, **choices: object
) -> LookFirst:
    store = store_at(tmp_path / "v2.zarr")
    return LookFirst(network, EarlierPrediction(earlier, store, {**CHOICES, **choices}))


def test_a_block_in_which_nothing_changes_is_kept_and_says_from_where(
    earlier: Earlier, tmp_path: Path, image: np.ndarray
) -> None:
    network = Thresholds(0.4)
    found = look_first(earlier, tmp_path, network).predict(
        read(image, GRID[0]), GRID[0]
    )
    assert found.taken_from == "v1"
    assert (found.labels == (image[GRID[0].write_box.slices] > 0.4)).all()
    assert [box.shape for box in network.asked] == [(4, 8, 8)] * 2
    assert all(box.start[0] in (0, 4, 8) for box in network.asked)


def test_a_block_that_changes_is_predicted(
    earlier: Earlier, tmp_path: Path, image: np.ndarray
) -> None:
    network = Thresholds(0.6)
    found = look_first(earlier, tmp_path, network).predict(
        read(image, GRID[0]), GRID[0]
    )
    assert found.taken_from == ""
    assert not found.labels.any()
    assert network.asked[-1] == GRID[0].write_box


def test_blocks_with_new_labels_are_always_predicted(
    earlier: Earlier, tmp_path: Path, image: np.ndarray
) -> None:
    learned = Box((0, 0, 40), (1, 1, 41))
    earlier = Earlier("v1", earlier.prediction_path, earlier.log_path, (learned,))
    first = look_first(earlier, tmp_path, Thresholds(0.4))
    kept = [first.predict(read(image, block), block).taken_from for block in GRID]
    assert kept == ["v1", ""]


@pytest.mark.parametrize(
    "choices", [{"flips": 2}, {"volume": "another one"}], ids=["flips", "volume"]
)
def test_what_was_predicted_otherwise_is_not_kept(
    earlier: Earlier, tmp_path: Path, image: np.ndarray, choices: dict[str, object]
) -> None:
    network = Thresholds(0.4)
    first = look_first(earlier, tmp_path, network, **choices)
    assert first.predict(read(image, GRID[0]), GRID[0]).taken_from == ""
    assert network.asked == [GRID[0].write_box]


def test_what_was_never_predicted_is_not_kept(
    earlier: Earlier, tmp_path: Path, image: np.ndarray
) -> None:
    with DoneLog.open(earlier.log_path, {**CHOICES, "block": GRID.block}) as log:
        log.reset([1])
    first = look_first(earlier, tmp_path, Thresholds(0.4))
    kept = [first.predict(read(image, block), block).taken_from for block in GRID]
    assert kept == ["v1", ""]


def test_predictions_of_other_classes_are_not_kept(
    earlier: Earlier, tmp_path: Path, image: np.ndarray
) -> None:
    store = store_at(tmp_path / "v2.zarr", ("cell", "fibre"))
    first = LookFirst(Thresholds(0.4), EarlierPrediction(earlier, store, CHOICES))
    assert first.predict(read(image, GRID[0]), GRID[0]).taken_from == ""


def test_it_stops_looking_where_everything_changes(
    earlier: Earlier, tmp_path: Path, image: np.ndarray
) -> None:
    network = Thresholds(0.6)
    first = look_first(earlier, tmp_path, network)
    for _ in range(GIVE_UP):
        first.predict(read(image, GRID[0]), GRID[0])
    network.asked.clear()
    first.predict(read(image, GRID[0]), GRID[0])
    assert network.asked == [GRID[0].write_box]


def test_it_looks_where_most_is_in_doubt_and_where_most_borders_are() -> None:
    box = Box((16, 32, 32), (32, 64, 64))
    labels = np.zeros(box.shape, np.uint8)
    labels[4:6, 9:12, 17:20] = 1
    doubt = np.zeros(box.shape, np.uint8)
    doubt[13, 30, 1] = 200
    places = list(places_to_look(made(box.shape, labels, doubt), box, (4, 4, 4)))
    assert places == [
        Box((28, 56, 32), (32, 64, 40)),
        Box((20, 40, 48), (24, 48, 56)),
    ]
