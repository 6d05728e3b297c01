"""Human correction effort, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.data.hce import HumanEffort, human_effort, slice_effort

EMPTY = np.zeros((30, 30), bool)
NOTHING = HumanEffort(0, 0)


def square(start: int = 8, stop: int = 20) -> np.ndarray:
    mask = EMPTY.copy()
    mask[start:stop, start:stop] = True
    return mask


def line() -> np.ndarray:
    mask = EMPTY.copy()
    mask[9, 4:24] = True
    return mask


def test_a_perfect_prediction_costs_nothing() -> None:
    assert slice_effort(square(), square()) == NOTHING
    assert slice_effort(EMPTY, EMPTY) == NOTHING


def test_a_square_is_its_corners_and_one_region() -> None:
    missing = slice_effort(EMPTY, square())
    assert missing == HumanEffort(points=4, regions=1)
    assert missing.total == 5
    assert slice_effort(square(), EMPTY) == missing


@pytest.mark.parametrize(("start", "stop"), [(7, 21), (9, 19)])
def test_a_rim_within_gamma_costs_nothing(start: int, stop: int) -> None:
    assert slice_effort(square(start, stop), square(), gamma=1) == NOTHING
    # Without relaxing it is a frame: four corners outside, four inside.
    assert slice_effort(square(start, stop), square(), gamma=0) == HumanEffort(8, 1)


def test_a_thicker_rim_needs_a_larger_gamma() -> None:
    assert slice_effort(square(10, 18), square(), gamma=1) == HumanEffort(8, 1)
    assert slice_effort(square(10, 18), square(), gamma=2) == NOTHING


def test_a_thin_thing_that_is_missing_is_no_rim() -> None:
    """The skeleton is kept: a line has two ends, and is one region."""
    assert slice_effort(EMPTY, line(), gamma=1) == HumanEffort(2, 1)
    assert slice_effort(line(), EMPTY, gamma=1) == NOTHING


def test_a_hole_has_an_outline_too() -> None:
    holed = square()
    holed[12:16, 12:16] = False
    assert slice_effort(holed, square()) == HumanEffort(4, 1)
    assert slice_effort(EMPTY, holed) == HumanEffort(8, 1)


def test_what_is_smaller_than_the_tolerance_is_a_point() -> None:
    dot = EMPTY.copy()
    dot[9, 9] = True
    assert slice_effort(EMPTY, dot) == HumanEffort(1, 1)


def test_the_sides_of_the_box_are_no_rims() -> None:
    assert slice_effort(EMPTY, ~EMPTY, gamma=2) == HumanEffort(4, 1)


def test_regions_that_touch_at_a_corner_are_one() -> None:
    two = EMPTY.copy()
    two[4:10, 4:10] = two[10:16, 10:16] = True
    assert slice_effort(EMPTY, two).regions == 1
    two[10:16] = np.roll(two[10:16], 3, axis=1)
    assert slice_effort(EMPTY, two).regions == 2


def test_where_the_outline_begins_does_not_matter() -> None:
    shape = square()
    shape[14:18, 20:26] = True
    turned = [np.rot90(shape, n) for n in range(4)]
    assert len({slice_effort(EMPTY, one) for one in turned}) == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_is_the_sum_of_its_slices(axis: int) -> None:
    labels = np.zeros((5, 30, 30), np.uint8)
    labels[1:4] = square()
    labels = np.moveaxis(labels, 0, axis)
    found = human_effort(np.zeros_like(labels), labels, (1, 2), axis=axis)
    assert found == {1: HumanEffort(3 * 4, 3), 2: NOTHING}


def test_a_wrong_class_costs_both_classes() -> None:
    labels = square().astype(np.uint8)[None]
    found = human_effort(2 * labels, labels, (1, 2))
    assert found == {1: HumanEffort(4, 1), 2: HumanEffort(4, 1)}


def test_what_does_not_count_is_taken_to_be_right() -> None:
    labels = np.zeros((1, 30, 30), np.uint8)
    labels[0, 4:10, 4:10] = labels[0, 20:26, 20:26] = 1
    counted = np.zeros(labels.shape, bool)
    counted[:, :15] = True
    found = human_effort(np.zeros_like(labels), labels, (1,), counted=counted)
    assert found == {1: HumanEffort(4, 1)}
