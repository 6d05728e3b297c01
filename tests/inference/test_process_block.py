from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import MissingChunkError
from napari_unetseg.geometry import BlockGrid, Box
from napari_unetseg.inference.executors import take_block
from napari_unetseg.inference.process_block import predict_steps, read_block

GRID = BlockGrid((12, 12, 400), (8, 16, 64), halo=(2, 3, 5), stride=(2, 4, 4))
NORMALISATION = Normalisation(low=(0.0,), high=(200.0,))


def test_a_block_is_predicted_from_its_read_box(run: Any, voxels: np.ndarray) -> None:
    block = GRID[3]
    steps = predict_steps(run.volume, NORMALISATION, run.plus_one.predict, run.store)
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


def test_a_block_whose_coarse_voxels_are_alike_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = np.zeros((16, 16, 64), np.uint8)
    voxels[8, 8, 40] = 200
    volume = _with_levels(tmp_path / "volume.zarr", voxels, n_levels=3)
    left, right = BlockGrid((16, 16, 64), (16, 16, 32))
    reads: list[Box] = []
    read = Volume.read

    def counted(volume: Volume, box: Box, *args: Any, **more: Any) -> np.ndarray:
        reads.append(box)
        return read(volume, box, *args, **more)

    monkeypatch.setattr(Volume, "read", counted)
    assert read_block(volume, NORMALISATION, left, skip_flat=True) is None
    assert reads == []
    assert read_block(volume, NORMALISATION, left) is None
    assert read_block(volume, NORMALISATION, right, skip_flat=True) is not None
    assert reads == [left.read_box, right.read_box]


def test_a_coarse_chunk_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "volume.zarr"
    voxels = np.full((16, 16, 64), 9, np.uint8)
    voxels[2, 2, 2] = 10
    volume = _with_levels(path, voxels, n_levels=3)
    whole = Box.whole((16, 16, 64))
    assert volume.looks_flat(Box((8, 8, 32), (16, 16, 64)))
    assert not volume.looks_flat(Box((8, 8, 32), (10, 10, 34)))  # too small to tell
    for level in ("1", "2"):
        shutil.rmtree(path / level / "c")
    assert not volume.looks_flat(whole)
    shutil.rmtree(path / "0" / "c")
    assert volume.looks_flat(whole)


def _with_levels(path: Path, voxels: np.ndarray, n_levels: int) -> Volume:
    group = create_image(
        path,
        shape=voxels.shape,
        dtype="uint8",
        voxel_size=(1.0, 1.0, 1.0),
        chunk=(16, 16, 32),
        n_levels=n_levels,
    )
    write_pyramid_block(group, Box.whole(voxels.shape), voxels)
    return Volume.open(path)


def test_a_lost_chunk_is_raised_or_filled(run: Any) -> None:
    (run.path / "volume.zarr" / "0" / "c" / "0" / "0" / "1").unlink()
    with pytest.raises(MissingChunkError, match="lost a chunk"):
        read_block(run.volume, NORMALISATION, GRID[0])
    read = read_block(run.volume, NORMALISATION, GRID[0], missing="fill")
    assert read is not None
    assert (read[..., :8, :12, 16:32] == -1).all()
