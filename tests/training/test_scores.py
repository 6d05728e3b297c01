from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.training.bootstrap import Score
from napari_unetseg.training.scores import (
    Truth,
    calibration_error,
    near_objects,
    score,
)

SHAPE = (4, 12, 12)


@pytest.fixture
def square() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 3:9, 3:9] = 1
    return labels


def dice(counted: Score) -> float:
    return float(counted.right[0] / counted.size[0])


def drawn(labels: np.ndarray) -> Truth:
    return Truth(labels, np.ones(labels.shape, bool))


def accepted(labels: np.ndarray) -> Truth:
    return Truth(labels, np.zeros(labels.shape, bool))


def test_what_was_drawn_counts_to_the_voxel(square: np.ndarray) -> None:
    assert dice(score(square, drawn(square), 1)) == 1
    off = np.roll(square, 1, axis=2)
    both = np.count_nonzero((off == 1) & (square == 1))
    plain = 2 * both / (np.count_nonzero(off) + np.count_nonzero(square))
    assert dice(score(off, drawn(square), 1)) == pytest.approx(plain)
    assert plain < 0.9


def test_an_outline_that_was_accepted_may_be_off_by_a_voxel(square: np.ndarray) -> None:
    off = np.roll(square, 1, axis=2)
    assert dice(score(off, accepted(square), 1)) == 1
    assert dice(score(np.roll(square, 3, axis=2), accepted(square), 1)) < 0.9
    missed = np.zeros_like(square)
    assert dice(score(missed, accepted(square), 1)) == 0
    invented = square.copy()
    invented[:, :, 11] = 1
    assert dice(score(invented, accepted(square), 1)) < 0.8


def test_what_is_not_known_does_not_count(square: np.ndarray) -> None:
    some = square.copy()
    some[:, 6:] = UNSET
    wrong_there = square.copy()
    wrong_there[:, 6:] = 1 - wrong_there[:, 6:]
    assert dice(score(wrong_there, drawn(some), 1)) == 1
    assert drawn(some).count(1).tolist() == [252, 36]


def test_a_class_is_counted_by_itself(square: np.ndarray) -> None:
    found = np.where(square == 1, 2, 0)
    counted = score(found, drawn(square), 2)
    assert counted.right.tolist() == [0, 0]
    assert counted.size.tolist() == [72, 72]


def test_far_from_all_objects_nothing_is_calibrated() -> None:
    labels = np.zeros((1, 1, 20), np.uint8)
    labels[0, 0, 5] = 1
    labels[0, 0, 6] = UNSET
    found = np.zeros_like(labels)
    found[0, 0, 12] = 1
    near = near_objects(drawn(labels), found)[0, 0]
    assert np.flatnonzero(near).tolist() == [2, 3, 4, 5, 7, 8, *range(9, 16)]


def test_the_calibration_error_is_the_gap() -> None:
    said, so = np.full((1, 100), 0.9), np.zeros((1, 100))
    so[0, :70] = 1
    assert calibration_error(said, so) == pytest.approx(0.2)
    assert calibration_error(said[:, :0], so[:, :0]) == 0
