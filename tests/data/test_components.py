from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from napari_unetseg.data.components import Components, find_components
from napari_unetseg.data.split_objects import Splitting
from napari_unetseg.data.steps import Steps
from napari_unetseg.errors import Cancelled
from napari_unetseg.events import ignore_event, never_cancelled
from napari_unetseg.geometry import Box


def _find(labels, folder, *, tile=(3, 4, 5), min_voxels=0, cancelled=never_cancelled):
    steps = Steps("export", 0, ignore_event, cancelled)
    return find_components(
        lambda box: labels[box.slices],
        labels.shape,
        folder / "ids",
        steps,
        tile=tile,
        min_voxels=min_voxels,
    )


def _all(components: Components, shape) -> np.ndarray:
    return components.read(Box.whole(shape))


def _same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), tile=st.tuples(*[st.integers(1, 9)] * 3))
def test_tiles_give_the_objects_of_a_single_pass(tmp_path_factory, seed, tile) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice([0, 0, 0, 1, 2], (5, 7, 8)).astype(np.uint8)
    folder = tmp_path_factory.mktemp("components")

    found = _find(values, folder, tile=tile)

    expected, n = label(values, background=0, connectivity=3, return_num=True)
    ids = _all(found, values.shape)
    assert found.n_objects == n
    assert _same_partition(ids, expected)
    np.testing.assert_array_equal(found.class_of[ids], values)
    np.testing.assert_array_equal(found.sizes[1:], np.bincount(ids.ravel())[1:])


def test_objects_touching_in_a_corner_of_four_tiles_are_one(tmp_path) -> None:
    values = np.zeros((4, 4, 4), np.uint8)
    values[1, 2, 1] = values[2, 1, 2] = 1  # diagonal through the middle

    assert _find(values, tmp_path, tile=(2, 2, 2)).n_objects == 1


def test_touching_classes_are_two_objects(tmp_path) -> None:
    values = np.ones((4, 4, 4), np.uint8)
    values[:, :, 2:] = 2

    found = _find(values, tmp_path, tile=(2, 2, 2))

    assert found.class_of.tolist() == [0, 1, 2]
    assert found.sizes.tolist() == [0, 32, 32]


def test_small_objects_are_dropped_by_their_whole_size(tmp_path) -> None:
    values = np.zeros((2, 2, 12), np.uint8)
    values[0, 0, 0:2] = 1
    values[0, 0, 4:10] = 1  # six voxels over two tiles of four

    found = _find(values, tmp_path, tile=(2, 2, 4), min_voxels=5)

    ids = _all(found, values.shape)
    assert found.n_objects == 1
    assert ids[0, 0].tolist() == [0] * 4 + [1] * 6 + [0] * 2
    assert found.read_classes(Box.whole(values.shape)).sum() == 6


def test_nothing_is_no_objects(tmp_path) -> None:
    found = _find(np.zeros((3, 3, 3), np.uint8), tmp_path)

    assert found.n_objects == 0
    assert not _all(found, (3, 3, 3)).any()


def test_every_voxel_is_read_once(tmp_path) -> None:
    reads = np.zeros((6, 6, 6), int)

    def read(box: Box) -> np.ndarray:
        reads[box.slices] += 1
        return np.ones(box.shape, np.uint8)

    steps = Steps("export", 0, ignore_event, never_cancelled)
    find_components(read, (6, 6, 6), tmp_path / "ids", steps, tile=(4, 4, 4))

    assert (reads == 1).all()


class Killed(BaseException):
    """What nobody catches."""


@pytest.mark.parametrize("splitting", [None, Splitting(0.7, (1, 1, 1))])
def test_a_killed_run_goes_on_after_the_last_tile(tmp_path, splitting) -> None:
    values = (np.random.default_rng(3).random((12, 12, 12)) < 0.3).astype(np.uint8)
    values[:4] = 0
    reads: list[Box] = []

    def find(folder, *, last: int = 1000, fingerprint: str = "as it was"):
        def read(box: Box) -> np.ndarray:
            if len(reads) == last:
                raise Killed
            reads.append(box)
            return values[box.slices]

        steps = Steps("export", 0, ignore_event, never_cancelled)
        found = find_components(
            read,
            values.shape,
            folder,
            steps,
            tile=(4, 6, 6),
            splitting=splitting,
            fingerprint=fingerprint,
        )
        return _all(found, values.shape)

    expected = find(tmp_path / "undisturbed")
    n_tiles = len(reads)
    for last in (5, 9):
        reads.clear()
        with pytest.raises(Killed):
            find(tmp_path / "killed", last=last - (last > 5) * 5)
    reads.clear()
    np.testing.assert_array_equal(find(tmp_path / "killed"), expected)
    assert len(reads) == n_tiles - 9
    reads.clear()
    find(tmp_path / "killed", fingerprint="somebody painted")
    assert len(reads) == n_tiles


def test_stops_when_asked(tmp_path) -> None:
    with pytest.raises(Cancelled, match="stopped"):
        _find(np.ones((4, 4, 4), np.uint8), tmp_path, cancelled=lambda: True)
