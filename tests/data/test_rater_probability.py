from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.data.rater_probability import (
    HEIGHTS,
    RATER_STEPS,
    labels_at,
    masks_held_possible,
)

ONE_CLASS = np.array([[[0, 63, 65, 127, 128, 255]]], np.uint8)
# Background 102, 50 and 0 of 255.
TWO_CLASSES = np.array([[[90, 5, 155], [63, 200, 100]]], np.uint8)


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        (0.25, [0, 0, 1, 1, 1, 1]),
        (0.5, [0, 0, 0, 0, 1, 1]),
        (0.75, [0, 0, 0, 0, 0, 1]),
    ],
)
def test_one_class_is_cut_at_the_height(height: float, expected: list[int]) -> None:
    assert labels_at(ONE_CLASS, height).tolist() == [expected]


@pytest.mark.parametrize(
    ("height", "expected"),
    [(0.5, [0, 2, 1]), (0.4, [1, 2, 1]), (0.81, [0, 0, 1])],
)
def test_of_several_classes_the_best_is_weighed_against_the_background(
    height: float, expected: list[int]
) -> None:
    assert labels_at(TWO_CLASSES, height).tolist() == [expected]


def test_half_is_the_most_probable_label() -> None:
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(4), (3, 500)) * 255
    rounded = np.moveaxis(probability[..., 1:], -1, 1).round().astype(np.uint8)
    background = 255 - rounded.sum(1, keepdims=True, dtype=int)
    best = np.concatenate([background, rounded], axis=1).argmax(1)
    np.testing.assert_array_equal(labels_at(rounded), best)


def test_what_is_held_possible_is_every_rater_at_every_height() -> None:
    two = np.concatenate([ONE_CLASS, ONE_CLASS[..., ::-1]])
    masks = masks_held_possible(two)
    assert masks.shape == (2 * len(HEIGHTS), 6)
    assert [masks[0].sum(), masks[-1].sum()] == [5, 1]  # generous, strict


def test_the_mean_of_what_is_held_possible_is_the_probability() -> None:
    known = np.arange(RATER_STEPS + 1) * (255 // RATER_STEPS)
    masks = masks_held_possible(known.astype(np.uint8)[None, None])
    np.testing.assert_allclose(masks.mean(0), known / 255)
