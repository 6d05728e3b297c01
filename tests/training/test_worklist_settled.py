from __future__ import annotations

import numpy as np

from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.geometry import Box
from napari_unetseg.training.worklist_settled import SettledRegions

TILE = (8, 16, 16)
CELL = Box((0, 0, 0), (8, 16, 32))  # two tiles
ALL = tuple(np.arange(n) for n in CELL.shape)


def label(store: CorrectionStore, box: Box, version: str | None = None) -> None:
    store.commit(
        box, np.ones(box.shape, bool), 1, annotator="Ana", tool="brush",
        model_version=version,
    )  # fmt: skip


def settled(store: CorrectionStore) -> np.ndarray:
    """Return which voxels of the cell are settled."""
    return ~SettledRegions(store, "v2").open_voxels(CELL, TILE, ALL)


def expected(*boxes: Box) -> np.ndarray:
    mask = np.zeros(CELL.shape, bool)
    for box in boxes:
        mask[box.slices] = True
    return mask


def test_nothing_is_settled_where_nobody_was(corrections: CorrectionStore) -> None:
    assert not settled(corrections).any()


def test_a_few_labels_settle_themselves(corrections: CorrectionStore) -> None:
    few = Box((0, 0, 0), (2, 16, 16))
    label(corrections, few, "v1")
    np.testing.assert_array_equal(settled(corrections), expected(few))


def test_labels_and_reviews_of_most_of_a_tile_settle_it(
    corrections: CorrectionStore,
) -> None:
    label(corrections, Box((0, 0, 0), (3, 16, 16)))
    reviewed = Box((5, 0, 0), (8, 16, 20))
    corrections.add_reviewed(reviewed, "Ana", "v0", "skipped")
    tile = Box((0, 0, 0), TILE)
    np.testing.assert_array_equal(settled(corrections), expected(tile, reviewed))


def test_a_correction_of_this_prediction_settles_its_tile(
    corrections: CorrectionStore,
) -> None:
    place = Box((1, 1, 17), (2, 4, 20))
    label(corrections, place, "v2")
    tile = Box((0, 0, 16), (8, 16, 32))
    np.testing.assert_array_equal(settled(corrections), expected(tile))
    corrections.undo("Ana")
    assert not settled(corrections).any()


def test_a_coarse_grid_says_the_same_at_its_voxels(
    corrections: CorrectionStore,
) -> None:
    label(corrections, Box((0, 0, 3), (8, 16, 9)))
    corrections.add_reviewed(Box((0, 0, 16), (8, 16, 32)), "Ana", "v1")
    grid = tuple(np.arange(2, n, 4) for n in CELL.shape)
    coarse = SettledRegions(corrections, "v2").open_voxels(CELL, TILE, grid)
    np.testing.assert_array_equal(~coarse, settled(corrections)[np.ix_(*grid)])


def test_rounds_are_the_versions_that_were_corrected_before(
    corrections: CorrectionStore,
) -> None:
    def rounds() -> int:
        return SettledRegions(corrections, "v2").rounds

    label(corrections, Box((0, 0, 0), (1, 1, 1)))  # before there was a model
    label(corrections, Box((0, 0, 1), (1, 1, 2)), "v2")
    assert rounds() == 0
    label(corrections, Box((0, 0, 2), (1, 1, 3)), "v1")
    corrections.add_reviewed(Box((0, 0, 2), (1, 1, 3)), "Ana", "v1")
    assert rounds() == 1
    corrections.add_reviewed(Box((0, 0, 2), (1, 1, 3)), "Ana", "v0")
    assert rounds() == 2
