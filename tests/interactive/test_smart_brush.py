from __future__ import annotations

import numpy as np

from napari_unetseg.interactive.smart_brush import snapped


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A bar of probability, and a stroke along it that is three times as wide."""
    probability = np.full((1, 30, 60), 10, np.uint8)
    probability[:, 12:18, :] = 180
    painted = np.zeros((1, 30, 60), bool)
    painted[:, 6:24, 10:50] = True
    return painted, probability


def test_a_wide_stroke_ends_at_the_object() -> None:
    painted, probability = scene()
    kept = snapped(painted, probability)
    expected = np.zeros_like(painted)
    expected[:, 12:18, 10:50] = True
    np.testing.assert_array_equal(kept, expected)


def test_an_object_that_the_network_half_sees_is_followed_too() -> None:
    painted, probability = scene()
    kept = snapped(painted, probability // 3)
    assert kept[:, 12:18, 10:50].all()
    assert not kept[:, :12].any()


def test_where_the_network_sees_nothing_the_stroke_stays() -> None:
    painted, probability = scene()
    np.testing.assert_array_equal(snapped(painted, probability * 0), painted)


def test_the_eraser_spares_what_the_network_takes_for_an_object() -> None:
    painted, probability = scene()
    kept = snapped(painted, probability, erasing=True)
    assert not kept[:, 12:18].any()
    assert kept[:, 6:12, 10:50].all()


def test_an_eraser_inside_an_object_erases() -> None:
    painted = np.ones((1, 3, 3), bool)
    sure = np.full((1, 3, 3), 255, np.uint8)
    np.testing.assert_array_equal(snapped(painted, sure, erasing=True), painted)


def test_an_empty_stroke_stays_empty() -> None:
    nothing = np.zeros((1, 2, 2), bool)
    assert not snapped(nothing, np.zeros((1, 2, 2), np.uint8)).any()
