from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.staple import RaterQuality, rater_table, staple
from napari_unetseg.data.vote_patterns import PatternTable
from napari_unetseg.errors import LabelsError

NAMES = ("Ana", "Bo", "Cy")


def jittered(seed: int = 0) -> tuple[list[np.ndarray], PatternTable]:
    rng = np.random.default_rng(seed)
    truth = rng.random((8, 9, 10)) < 0.4
    wrong = (0.05, 0.15, 0.3)
    values = [
        np.where(rng.random(truth.shape) < w, ~truth, truth).astype(np.uint8)
        for w in wrong
    ]
    return values, PatternTable.of(NAMES, values)


def staple_voxel_by_voxel(values: list[np.ndarray], n: int) -> tuple[np.ndarray, ...]:
    """Warfield's equations as they stand in the paper, over all voxels."""
    votes = np.array([v.ravel() for v in values], float)
    w = votes.mean(axis=0)
    f = w.mean()
    for _ in range(n):
        p = (votes * w).sum(axis=1) / w.sum()
        q = ((1 - votes) * (1 - w)).sum(axis=1) / (1 - w).sum()
        a = np.where(votes == 1, p[:, None], 1 - p[:, None]).prod(axis=0)
        b = np.where(votes == 1, 1 - q[:, None], q[:, None]).prod(axis=0)
        w = f * a / (f * a + (1 - f) * b)
    return p, q, w


def test_the_table_gives_what_all_voxels_give() -> None:
    values, table = jittered()
    quality = staple(table, 1)
    p, q, w = staple_voxel_by_voxel(values, quality.n_iterations + 1)

    assert quality.sensitivity == pytest.approx(p, abs=1e-12)
    assert quality.specificity == pytest.approx(q, abs=1e-12)
    patterns = np.stack([v.ravel() for v in values], axis=1)
    assert quality.weights(patterns) == pytest.approx(w, abs=1e-12)
    assert quality.sensitivity[0] > quality.sensitivity[1] > quality.sensitivity[2]


def test_one_weight_done_by_hand() -> None:
    quality = RaterQuality(1, np.array([0.9, 0.8]), np.array([0.7, 0.6]), 0.25)
    # (1, 0): a = 0.9 * 0.2, b = 0.3 * 0.6; W = 0.25 a / (0.25 a + 0.75 b).
    expected = 0.25 * 0.18 / (0.25 * 0.18 + 0.75 * 0.18)
    assert quality.weights(np.array([[1, 0]])) == pytest.approx([expected])
    # Without Bo: a = 0.9, b = 0.3.
    expected = 0.25 * 0.9 / (0.25 * 0.9 + 0.75 * 0.3)
    assert quality.weights(np.array([[1, UNSET]])) == pytest.approx([expected])


def test_missing_votes_change_nothing_where_the_others_are() -> None:
    _values, table = jittered()
    padded = {**table.votes, (UNSET, UNSET, UNSET): 10_000}
    again = staple(PatternTable(NAMES, padded), 1)
    assert again.sensitivity == pytest.approx(staple(table, 1).sensitivity)
    assert again.prior == staple(table, 1).prior


def test_classes_are_estimated_each_against_the_rest() -> None:
    values, table = jittered()
    other = [np.where(v == 1, 7, 2).astype(np.uint8) for v in values]
    found = staple(PatternTable.of(NAMES, other), 7)
    assert found.sensitivity == pytest.approx(staple(table, 1).sensitivity)


def test_two_raters_are_too_few_and_the_error_says_why() -> None:
    table = PatternTable(("Ana", "Bo"), {(0, 1): 3, (1, 1): 5})
    with pytest.raises(LabelsError, match="nothing tells which of them is right"):
        staple(table, 1)
    rows = rater_table(table, str)
    assert [row["sensitivity"] for row in rows] == [None, None]
    assert [row["n_voxels"] for row in rows] == [5, 8]


def test_raters_who_agree_are_perfect() -> None:
    table = PatternTable(NAMES, {(0, 0, 0): 90, (1, 1, 1): 10})
    quality = staple(table, 1)
    assert quality.sensitivity == pytest.approx([1, 1, 1])
    assert quality.weights(table.patterns) == pytest.approx([0, 1])
    rows = rater_table(table, lambda c: f"class {c}")
    assert rows[0] == {
        "rater": "Ana", "class": "class 1", "n_voxels": 10,
        "sensitivity": 1.0, "specificity": 1.0,
    }  # fmt: skip
