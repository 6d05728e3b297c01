from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.models.rater_metrics import (
    Reliability,
    brier,
    correlation,
    dice_match,
    disagreement,
    energy_distance,
    error_captured,
    region_of_interest,
    reliability,
    risk_coverage,
    soft_dice,
)


def rows(*values: list[int]) -> np.ndarray:
    """Return label images of one row each."""
    return np.array(values, np.uint8)[:, None, None, :]


def test_energy_distance_by_hand() -> None:
    # d(S, Y1) = 1 - 1/2, d(S, Y2) = 1 - 0/2, d(Y1, Y2) = 1 - 1/2
    found = energy_distance(rows([1, 0, 0]), rows([1, 1, 0], [0, 1, 0]))
    assert (found.k, found.n) == (1, 2)
    assert found.between == pytest.approx((0.5 + 1) / 2)
    assert found.v == pytest.approx(2 * 0.75 - 0 - 2 * 0.5 / 4)
    assert found.u == pytest.approx(2 * 0.75 - 0 - 0.5)
    assert found.unbiased(samples_drawn=True, raters_drawn=False) == pytest.approx(
        2 * 0.75 - 0 - 2 * 0.5 / 4
    )


def test_samples_that_were_drawn_are_compared_with_each_other_only() -> None:
    found = energy_distance(rows([1, 1, 0], [0, 1, 0]), rows([1, 1, 0]))
    # d(S1, S2) = 1/2, d(S1, Y) = 0, d(S2, Y) = 1/2
    assert found.v == pytest.approx(2 * 0.25 - 2 * 0.5 / 4)
    assert found.u == pytest.approx(2 * 0.25 - 0.5)
    assert found.unbiased(samples_drawn=False, raters_drawn=True) == found.v


def test_two_empty_masks_are_equal_and_one_is_as_far_as_can_be() -> None:
    empty, full = rows([0, 0]), rows([1, 1])
    assert energy_distance(empty, empty).v == 0
    assert energy_distance(empty, full).v == 2


def test_classes_that_neither_image_has_do_not_count() -> None:
    # class 1: equal; class 2: IoU 1/2; class 3 is in neither of them
    found = energy_distance(rows([1, 2, 2]), rows([1, 2, 0]))
    assert found.between == pytest.approx((0 + 0.5) / 2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4))
def test_the_same_set_has_no_distance_and_no_set_a_negative_one(
    seed: int, k: int, n: int
) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, 2, (k, 1, 3, 4))
    raters = rng.integers(0, 2, (n, 1, 3, 4))
    assert energy_distance(samples, samples[::-1]).v == pytest.approx(0, abs=1e-12)
    assert energy_distance(samples, raters).v > -1e-12


def test_only_one_form_is_right_for_masks_drawn_from_all_raters() -> None:
    rng = np.random.default_rng(0)
    population = rng.integers(0, 2, (4, 1, 4, 8))
    v, u, right = [], [], []
    for _ in range(400):
        found = energy_distance(population[rng.integers(4, size=3)], population)
        v.append(found.v)
        u.append(found.u)
        right.append(found.unbiased(samples_drawn=True, raters_drawn=False))
    assert np.mean(right) == pytest.approx(0, abs=0.02)
    assert np.mean(v) > 0.1
    assert np.mean(u) < -0.1


def test_dice_match_finds_the_best_pairs() -> None:
    samples, raters = rows([0, 1, 1], [1, 0, 0]), rows([1, 1, 0], [0, 1, 1])
    # the second sample must take the first rater: 2·1/3, and the other pair is equal
    assert dice_match(samples, raters) == pytest.approx((2 / 3 + 1) / 2)
    assert dice_match(samples[:1], raters) == 1.0
    assert dice_match(rows([0, 0]), rows([0, 0])) == 1.0


def test_soft_dice_by_hand() -> None:
    predicted, raters = np.array([0.2, 0.6, 1.0]), np.array([0.0, 1.0, 1.0])
    # > .1: 3 of 3 and 2: 4/5; > .5: equal; > .7: 1 and 2: 2/3
    found = soft_dice(predicted, raters, (0.1, 0.5, 0.7))
    assert found == pytest.approx((4 / 5 + 1 + 2 / 3) / 3)
    assert soft_dice(np.zeros(3), np.zeros(3)) == 1.0


def test_disagreement_is_the_share_of_pairs_that_differ() -> None:
    labels = rows([0, 0, 1], [0, 1, 2], [0, 1, 3])
    np.testing.assert_allclose(disagreement(labels), [[[0, 2 / 3, 1]]], rtol=1e-6)
    with pytest.raises(ValueError, match="at least two"):
        disagreement(labels[:1])


def test_the_region_is_the_union_and_a_margin() -> None:
    masks = rows([0, 0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0, 0])
    region = region_of_interest(masks, margin=2)
    assert region[0, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 0, 0]


def test_correlation_by_hand() -> None:
    assert correlation(np.array([1, 2, 3]), np.array([2, 4, 6])) == pytest.approx(1)
    assert correlation(np.array([0, 1, 2]), np.array([1, 0, 1])) == pytest.approx(0)
    # less the means: (-1, 0, 1) and (-1, 1, 0), so 1 / sqrt(2 · 2)
    found = correlation(np.array([0, 1, 2]), np.array([0, 2, 1]))
    assert found == pytest.approx(1 / 2)
    assert math.isnan(correlation(np.ones(3), np.array([0, 1, 2])))


def test_reliability_and_calibration_error_by_hand() -> None:
    probability = np.array([0.1, 0.2, 0.9, 0.9, 1.0])
    share = np.array([0.0, 1.0, 1.0, 0.5, 1.0])
    found = reliability(probability, share, n_bins=2)
    assert found.count == [2, 3]
    assert found.confidence == pytest.approx([0.15, 2.8 / 3])
    assert found.frequency == pytest.approx([0.5, 2.5 / 3])
    assert found.ece == pytest.approx((2 * 0.35 + 3 * 0.1) / 5)
    assert Reliability([], [], []).ece == 0


def test_bins_without_voxels_are_left_out() -> None:
    found = reliability(np.array([0.05, 0.95]), np.array([0, 1]), n_bins=10)
    assert found.count == [1, 1]


def test_brier_by_hand() -> None:
    assert brier(np.array([0.5, 1.0]), np.array([1.0, 1.0])) == pytest.approx(0.125)


def test_risk_coverage_by_hand() -> None:
    uncertainty = np.array([0.1, 0.4, 0.2, 0.3])
    error = np.array([0, 1, 1, 0], bool)
    found = risk_coverage(uncertainty, error, n_points=4)
    # by rising uncertainty: right, wrong, right, wrong
    assert found.coverage == [0.25, 0.5, 0.75, 1.0]
    assert found.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert found.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    # who knows all errors: right, right, wrong, wrong
    assert found.excess == pytest.approx(found.area - (0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_equal_values_are_taken_in_no_order() -> None:
    error = np.array([1, 0, 0, 0], bool)
    found = risk_coverage(np.zeros(4), error, n_points=4)
    assert found.risk == pytest.approx([0.25] * 4)
    assert error_captured(np.zeros(4), error, 0.5) == pytest.approx(0.5)


def test_errors_captured_by_hand() -> None:
    uncertainty = np.arange(10)
    error = np.isin(uncertainty, (1, 8, 9))
    assert error_captured(uncertainty, error, 0.1) == pytest.approx(1 / 3)
    assert error_captured(uncertainty, error, 0.2) == pytest.approx(2 / 3)
    assert error_captured(-uncertainty, error, 0.1) == pytest.approx(0)
    assert math.isnan(error_captured(uncertainty, np.zeros(10, bool)))
