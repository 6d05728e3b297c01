from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.config import TOTAL_UNCERTAINTY
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.geometry import Box
from napari_unetseg.training.worklist_maps import CoarseMaps
from tests.helpers.predicted import predicted

SHAPE = (20, 200, 200)
TILE = (8, 16, 16)


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> PredictionStore:
    """Two levels; the doubt of a voxel is its z."""
    doubt = np.zeros(SHAPE, np.uint8)
    doubt[:] = np.arange(20)[:, None, None]
    probability = np.zeros((2, *SHAPE), np.uint8)
    probability[1, :, :100] = 200
    folder = tmp_path_factory.mktemp("maps")
    return predicted(folder / "v1.zarr", probability, {TOTAL_UNCERTAINTY: doubt})


def test_a_small_prediction_is_seen_as_it_is(predictions: PredictionStore) -> None:
    maps = CoarseMaps(predictions, SHAPE, TILE, TOTAL_UNCERTAINTY)
    assert maps.cell == TILE
    box = Box((16, 192, 0), (20, 200, 16))  # at the end of the volume
    found = {cell: (number, seen) for number, cell, seen in maps.cells()}
    number, seen = found[box]
    assert number == (2 * 13 + 12) * 13
    assert len(found) == maps.n_cells == 3 * 13 * 13
    assert seen.values[:, 0, 0].tolist() == [16, 17, 18, 19]
    assert seen.probability.shape == (2, 4, 8, 16)
    assert seen.is_open.all()
    assert [axis[0] for axis in maps.voxels(box)] == [16, 192, 0]


def test_a_large_one_is_seen_coarsely_in_larger_cells(
    predictions: PredictionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unetseg.training.worklist_maps.MAX_VOXELS", 2**17)
    maps = CoarseMaps(predictions, SHAPE, TILE, TOTAL_UNCERTAINTY)
    assert maps.cell == (16, 16, 16)  # eight coarse voxels along every edge
    assert maps.n_cells == 2 * 13 * 13
    _, box, seen = next(iter(maps.cells()))
    assert (box, seen.values.shape) == (Box((0, 0, 0), (16, 16, 16)), (8, 8, 8))
    z, _, _ = maps.voxels(box)
    assert z.tolist() == [1, 3, 5, 7, 9, 11, 13, 15]
    by_tile = CoarseMaps(predictions, SHAPE, TILE, by_tile=True)
    assert by_tile.cell == TILE


def test_without_a_map_the_likeliest_class_counts(predictions: PredictionStore) -> None:
    maps = CoarseMaps(predictions, SHAPE, TILE)
    seen = maps.read(Box((0, 96, 0), (1, 104, 1)))
    assert seen.values[0, :, 0].tolist() == [200] * 4 + [0] * 4
    # Cells without anything are left out, and numbers go on as if they were there.
    numbers = [number for number, _, _ in maps.cells()]
    assert len(numbers) == 3 * 7 * 13
    assert numbers[-1] == (2 * 13 + 6) * 13 + 12


def test_a_voxel_is_inside_the_tile_that_it_is_seen_by(
    predictions: PredictionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unetseg.training.worklist_maps.MAX_VOXELS", 2**17)
    maps = CoarseMaps(predictions, SHAPE, (1, 1, 1), by_tile=True)
    assert [axis.tolist() for axis in maps.voxels(Box((4, 6, 9), (5, 7, 10)))] == [
        [4], [6], [9],
    ]  # fmt: skip
