from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from napari import Viewer

from napari_unetseg.app.session import Session
from napari_unetseg.events import BlocksPlanned, BlockState
from napari_unetseg.geometry import BlockGrid, zyx
from napari_unetseg.viewer.failed_blocks import FailedBlocks, cell_of
from napari_unetseg.viewer.layers import SessionLayers
from napari_unetseg.viewer.project_layers import FAILED_BLOCKS

BLOCK = zyx((8, 16, 24))


@pytest.fixture
def failed(layers: SessionLayers) -> Iterator[FailedBlocks]:
    failed = FailedBlocks(layers)
    yield failed
    failed.close()


@pytest.mark.parametrize(
    ("shape", "block", "cell"),
    [
        ((10, 100, 1000), (16, 64, 448), (10, 64, 64)),
        ((100, 100, 300), (32, 48, 112), (32, 48, 56)),
    ],
)
def test_cells_are_pieces_of_blocks(
    shape: tuple[int, int, int], block: tuple[int, int, int], cell: tuple[int, int, int]
) -> None:
    assert cell_of(BlockGrid(shape, block)) == cell


def test_a_failed_block_is_red_where_it_is_until_it_is_done(
    viewer: Viewer, session: Session, failed: FailedBlocks
) -> None:
    assert session.project is not None
    grid = BlockGrid(session.project.volume.shape, BLOCK)
    plan = BlocksPlanned(grid.counts, BLOCK, tuple(range(len(grid))))
    failed.set_plan(plan, {0: BlockState.DONE}, grid.shape)
    assert FAILED_BLOCKS not in viewer.layers

    last = len(grid) - 1
    failed.set_state(last, BlockState.FAILED)
    layer = viewer.layers[FAILED_BLOCKS]
    assert not layer.editable
    box = grid[last].write_box
    size = np.asarray(session.project.volume.voxel_size)
    for voxel, value in (
        (box.centre, 1),
        (box.start, 1),
        (np.asarray(box.start) - 1, 0),
        ((0, 0, 0), 0),
    ):
        cell = np.round(layer.world_to_data(np.asarray(voxel) * size)).astype(int)
        assert layer.data[tuple(cell)] == value
    high = layer.extent.world[1]
    assert (high <= (np.asarray(grid.shape) + 0.01) * size).all()

    failed.set_state(0, BlockState.FAILED)
    assert np.count_nonzero(viewer.layers[FAILED_BLOCKS].data) >= 2
    for index in (0, last):
        failed.set_state(index, BlockState.DONE)
    assert FAILED_BLOCKS not in viewer.layers


def test_it_lies_under_what_is_painted(
    viewer: Viewer, session: Session, failed: FailedBlocks
) -> None:
    assert session.project is not None
    grid = BlockGrid(session.project.volume.shape, BLOCK)
    plan = BlocksPlanned(grid.counts, BLOCK, (0,))
    failed.set_plan(plan, {0: BlockState.FAILED}, grid.shape)
    names = [layer.name for layer in viewer.layers]
    assert (
        names.index("image") < names.index(FAILED_BLOCKS) < names.index("corrections")
    )
    assert viewer.layers.selection.active is not viewer.layers[FAILED_BLOCKS]
