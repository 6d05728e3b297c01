from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.components import Components, find_components
from napari_unetseg.data.split_objects import Splitting
from napari_unetseg.data.steps import Steps
from napari_unetseg.events import ignore_event, never_cancelled
from napari_unetseg.geometry import Box, Zyx

ISOTROPIC = (1.0, 1.0, 1.0)
SPLITTING = Splitting(0.7, ISOTROPIC)


def balls(
    shape: Zyx, *places: tuple[float, float, float, float], step: float = 1.0
) -> np.ndarray:
    """Balls (z, y, x, radius); along z a voxel is ``step`` long."""
    z, y, x = np.indices(shape, float)
    filled = np.zeros(shape, bool)
    for cz, cy, cx, r in places:
        filled |= (step * (z - cz)) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= r**2
    return filled.astype(np.uint8)


def find(
    values: np.ndarray, folder: Path, *, tile: Zyx, splitting: Splitting | None
) -> Components:
    shape: Zyx = (values.shape[0], values.shape[1], values.shape[2])
    steps = Steps("export", 0, ignore_event, never_cancelled)
    return find_components(
        lambda box: values[box.slices],
        shape,
        folder,
        steps,
        tile=tile,
        splitting=splitting,
    )


def is_same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]).astype(np.int64), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_balls_that_touch_are_two_objects() -> None:
    values = balls((24, 24, 40), (12, 12, 11, 9), (12, 12, 27, 9))
    ids, n = SPLITTING.label(values)
    assert n == 2
    assert set(np.unique(ids)) == {0, 1, 2}
    np.testing.assert_array_equal(ids > 0, values > 0)
    assert ids[12, 12, 11] != ids[12, 12, 27]
    sizes = np.bincount(ids.ravel())[1:]
    assert abs(int(sizes[0]) - int(sizes[1])) < 0.03 * sizes.sum()


@pytest.mark.parametrize(("neck", "n_objects"), [(0.05, 1), (0.7, 2), (1.0, 2)])
def test_the_neck_decides(neck: float, n_objects: int) -> None:
    # Radius 9, centres 14 apart: the neck has 5.7, 0.63 of it.
    values = balls((24, 24, 40), (12, 12, 12, 9), (12, 12, 26, 9))
    assert Splitting(neck, ISOTROPIC).label(values)[1] == n_objects


def test_what_has_no_neck_stays_whole() -> None:
    bent = balls(
        (24, 24, 44), *((12, 12 + 0.02 * (x - 22) ** 2, x, 6) for x in range(9, 36))
    )
    rough = np.random.default_rng(0).random(bent.shape) < 0.02
    bumpy = bent | (rough & (balls((24, 24, 44), (12, 12, 22, 30)) > 0)).astype(
        np.uint8
    )
    assert SPLITTING.label(bent)[1] == 1
    ids, _ = SPLITTING.label(bumpy)
    largest = np.bincount(ids[bent > 0]).max()
    assert largest == bent.sum()


def test_flat_voxels_are_measured_as_long_as_they_are() -> None:
    flat = balls((12, 30, 24), (6, 15, 12, 10), step=4.0)
    assert Splitting(0.7, (4.0, 1.0, 1.0)).label(flat)[1] == 1
    two = balls((12, 24, 48), (6, 12, 12, 10), (6, 12, 30, 10), step=4.0)
    assert Splitting(0.7, (4.0, 1.0, 1.0)).label(two)[1] == 2


def test_classes_that_touch_are_two_objects() -> None:
    values = balls((20, 20, 20), (10, 10, 10, 8))
    values[:, :, 10:] *= 2
    ids, n = SPLITTING.label(values)
    assert n == 2
    assert len(np.unique(ids[values == 1])) == len(np.unique(ids[values == 2])) == 1


def test_nothing_and_everything() -> None:
    assert SPLITTING.label(np.zeros((4, 5, 6), np.uint8))[1] == 0
    ids, n = SPLITTING.label(np.ones((4, 5, 6), np.uint8))
    assert n == 1
    assert (ids == 1).all()


@pytest.mark.parametrize("tile", [(24, 24, 24), (48, 24, 36)])
def test_tiles_give_the_objects_of_a_single_pass(tmp_path: Path, tile: Zyx) -> None:
    rng = np.random.default_rng(2)
    places = [
        (*rng.uniform(4, 44, 2), rng.uniform(4, 68), rng.uniform(5, 8))
        for _ in range(20)
    ]
    values = balls((48, 48, 72), *places)
    whole, n = SPLITTING.label(values)
    found = find(values, tmp_path / "ids", tile=tile, splitting=SPLITTING)
    plain = find(values, tmp_path / "plain", tile=tile, splitting=None)
    assert plain.n_objects < n
    assert found.n_objects == n
    ids = found.read(Box.whole((48, 48, 72)))
    assert is_same_partition(ids, whole)
    np.testing.assert_array_equal(found.sizes[1:], np.bincount(ids.ravel())[1:])


def test_small_objects_are_dropped_after_the_split(tmp_path: Path) -> None:
    values = balls((20, 20, 36), (10, 10, 10, 8), (10, 10, 22, 5))
    size = int(np.bincount(SPLITTING.label(values)[0].ravel())[2])
    steps = Steps("export", 0, ignore_event, never_cancelled)
    found = find_components(
        lambda box: values[box.slices],
        (20, 20, 36),
        tmp_path / "ids",
        steps,
        tile=(16, 16, 16),
        min_voxels=size + 1,
        splitting=SPLITTING,
    )
    assert found.n_objects == 1
