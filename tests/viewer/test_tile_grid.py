from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.data.pyramid import downsample_mean
from napari_unetseg.geometry import zyx
from napari_unetseg.viewer.tile_grid import TileGrid

small = st.tuples(*[st.integers(1, 20)] * 3)
chunks = st.tuples(*[st.integers(1, 9)] * 3)
factors = st.tuples(*[st.sampled_from([1, 2, 4, 8])] * 3)
grids = st.builds(TileGrid, small, chunks, factors)


@given(grids)
def test_tiles_cover_the_level_once(grid: TileGrid) -> None:
    covered = np.zeros(grid.level_shape, int)
    for index in product(*map(range, grid.n_tiles)):
        covered[grid.target(index)] += 1
    assert (covered == 1).all()


@given(grids)
def test_a_tile_is_what_its_part_of_the_source_becomes(grid: TileGrid) -> None:
    image = np.arange(np.prod(grid.shape), dtype=np.float64).reshape(grid.shape)
    for index in product(*map(range, grid.n_tiles)):
        voxels = image[grid.source(index)]
        tile = downsample_mean(voxels, grid.reduction(voxels))
        assert tile.shape == tuple(s.stop - s.start for s in grid.target(index))


@given(small, factors, st.integers(1, 3))
def test_with_chunks_of_whole_cells_the_level_is_the_mean(
    shape: tuple[int, int, int], factor: tuple[int, int, int], n_cells: int
) -> None:
    grid = TileGrid(shape, tuple(f * n_cells for f in factor), factor)
    image = np.random.default_rng(0).normal(size=shape)
    level = np.zeros(grid.level_shape)
    for index in product(*map(range, grid.n_tiles)):
        voxels = image[grid.source(index)]
        level[grid.target(index)] = downsample_mean(voxels, grid.reduction(voxels))
    np.testing.assert_allclose(level, downsample_mean(image, zyx(factor)))


def test_a_cell_longer_than_a_chunk_is_the_chunk_of_its_centre() -> None:
    grid = TileGrid((8, 64, 64), (1, 32, 32), (4, 4, 4))
    assert grid.source((1, 0, 1)) == (slice(6, 7), slice(0, 32), slice(32, 64))
    assert grid.cells == (1, 8, 8)
