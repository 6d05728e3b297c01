from __future__ import annotations

import numpy as np

from napari_unetseg.interactive.simulated_annotator import (
    paths_in_slice,
    worst_slices,
)


def _truth() -> np.ndarray:
    truth = np.zeros((40, 60), "uint8")
    truth[5:15, 5:45] = 1
    truth[25:31, 20:30] = 2
    return truth


def test_a_missed_object_is_painted_along_its_middle() -> None:
    truth = _truth()
    path = paths_in_slice(np.zeros_like(truth), truth, 7, n_paths=1)[0]

    assert (path.z, path.class_id, path.n_wrong) == (7, 1, 400)
    assert all(truth[point] == 1 for point in path.points)
    assert 5 <= path.brush_size <= 10
    assert len(path.points) > 5


def test_what_was_invented_is_erased() -> None:
    truth = _truth()
    predicted = truth.copy()
    predicted[33:38, 40:55] = 2
    path = paths_in_slice(predicted, truth, 0, n_paths=3)[0]

    assert path.class_id == 0
    assert all(predicted[point] == 2 and truth[point] == 0 for point in path.points)


def test_mistakes_come_largest_first_and_specks_not_at_all() -> None:
    truth = _truth()
    predicted = np.zeros_like(truth)
    predicted[39, 59] = 1
    paths = paths_in_slice(predicted, truth, 0, n_paths=9)
    assert [path.n_wrong for path in paths] == [400, 60]


def test_a_right_slice_needs_no_stroke() -> None:
    assert paths_in_slice(_truth(), _truth(), 0, n_paths=9) == []


def test_the_worst_slices_are_no_neighbours() -> None:
    truth = np.zeros((6, 4, 4), "uint8")
    predicted = truth.copy()
    for z, n_wrong in enumerate([0, 3, 4, 1, 0, 2]):
        predicted[z].flat[:n_wrong] = 1
    assert worst_slices(predicted, truth, n=3) == [2, 5, 0]
