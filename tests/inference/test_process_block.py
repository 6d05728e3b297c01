from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.errors import MissingChunkError
from napari_unetseg.geometry import BlockGrid
from napari_unetseg.inference.executors import take_block
from napari_unetseg.inference.process_block import predict_steps, read_block

GRID = BlockGrid((12, 12, 400), (8, 16, 64), halo=(2, 3, 5), stride=(2, 4, 4))
NORMALISATION = Normalisation(low=(0.0,), high=(200.0,))


def test_a_block_is_predicted_from_its_read_box(run: Any, voxels: np.ndarray) -> None:
    block = GRID[3]
    steps = predict_steps(run.volume, NORMALISATION, run.plus_one, run.store)
    result = take_block(steps, block)
    assert (result.error, result.empty) == (None, False)
    box = block.write_box
    np.testing.assert_array_equal(run.store.read_labels(box), voxels[box.slices] + 1)


def test_voxels_are_normalised_alike_in_every_block(
    run: Any, voxels: np.ndarray
) -> None:
    for block in (GRID[0], GRID[9]):
        read = read_block(run.volume, NORMALISATION, block)
        assert read is not None
        expected = voxels[(None, *block.read_box.slices)].astype(np.float32) / 100 - 1
        np.testing.assert_allclose(read, expected, atol=1e-6)


def test_a_block_without_anything_to_see_is_empty(make_run: Any) -> None:
    run = make_run(np.full((12, 12, 400), 9, np.uint8))
    assert read_block(run.volume, NORMALISATION, GRID[0]) is None


def test_one_voxel_in_the_halo_is_something_to_see(make_run: Any) -> None:
    voxels = np.full((12, 12, 400), 9, np.uint8)
    voxels[0, 0, 66] = 10  # block 0 ends at 64 and reads up to 72
    run = make_run(voxels)
    assert read_block(run.volume, NORMALISATION, GRID[0]) is not None


def test_a_lost_chunk_is_raised_or_filled(run: Any) -> None:
    (run.path / "volume.zarr" / "0" / "c" / "0" / "0" / "1").unlink()
    with pytest.raises(MissingChunkError, match="lost a chunk"):
        read_block(run.volume, NORMALISATION, GRID[0])
    read = read_block(run.volume, NORMALISATION, GRID[0], missing="fill")
    assert read is not None
    assert (read[..., :8, :12, 16:32] == -1).all()
