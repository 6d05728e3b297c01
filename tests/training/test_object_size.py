from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.geometry import Box
from napari_unetseg.training.object_size import measured, object_size
from napari_unetseg.training.training_set import ArrayLabels

SHAPE = (4, 200, 200)


def discs(*spots: tuple[int, int, int, int], section: int = 1) -> np.ndarray:
    """Return labels of one section with discs (y, x, radius, class)."""
    labels = np.full(SHAPE, UNSET, np.uint8)
    labels[section] = 0
    y, x = np.indices(SHAPE[1:])
    for cy, cx, radius, class_id in spots:
        labels[section][(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = class_id
    return labels


def size_of(labels: np.ndarray, n_classes: int = 1) -> float:
    boxes = list(Box.whole(SHAPE).cells((2, 64, 64)))
    return object_size(ArrayLabels(labels), boxes, SHAPE, n_classes)


def test_a_disc_has_its_diameter() -> None:
    assert size_of(discs((100, 100, 20, 1))) == pytest.approx(40, abs=1)


def test_half_of_the_voxels_lie_in_smaller_objects() -> None:
    many = discs((40, 40, 20, 1), (40, 120, 20, 1), (120, 40, 20, 1), (120, 120, 2, 1),
                 (150, 150, 2, 1), (120, 180, 2, 1), (180, 120, 2, 1))  # fmt: skip
    assert size_of(many) == pytest.approx(40, abs=1)


def test_the_class_with_the_largest_objects_decides() -> None:
    two = discs((60, 60, 30, 1), (150, 150, 8, 2))
    assert size_of(two, n_classes=2) == pytest.approx(60, abs=1)


def test_a_line_counts_with_a_few_times_its_width() -> None:
    labels = np.full(SHAPE[1:], 0, np.uint8)
    labels[100:103, 20:180] = 1
    area, diameter, is_whole = measured(labels, 1)[0]
    assert area == 3 * 160
    assert diameter == 4 * 3  # not 2 sqrt(480 / pi) = 24.7
    assert is_whole


def test_what_is_cut_counts_only_if_there_is_little_else() -> None:
    labels = np.zeros(SHAPE[1:], np.uint8)
    labels[:, :50] = 1  # ends at the border of the window
    labels[20:30, 100:110] = labels[60:70, 100:110] = labels[90:100, 100:110] = 1
    rows = measured(labels, 1)
    assert rows[:, 2].tolist() == [0, 1, 1, 1]
    volume = np.full(SHAPE, UNSET, np.uint8)
    volume[0] = labels
    assert size_of(volume) == pytest.approx(2 * np.sqrt(100 / np.pi))
    volume[0][:, 100:] = 0
    assert size_of(volume) > 100


def test_where_nothing_is_known_an_object_is_cut() -> None:
    labels = np.full((20, 20), UNSET, np.uint8)
    labels[5:10, 5:10] = 1
    assert measured(labels, 1)[0, 2] == 0


def test_background_alone_says_nothing() -> None:
    assert size_of(discs()) == 0
