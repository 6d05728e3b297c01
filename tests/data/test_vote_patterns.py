from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.vote_patterns import PatternTable, counted, encoded

ANA = np.array([[[0, 1, 1, 2, UNSET]]], np.uint8)
BO = np.array([[[0, 1, 1, 1, 2]]], np.uint8)


def table() -> PatternTable:
    return PatternTable.of(("Ana", "Bo"), [ANA, BO])


def test_voxels_are_counted_by_what_all_said() -> None:
    assert table().votes == {(0, 0): 1, (1, 1): 2, (2, 1): 1, (UNSET, 2): 1}
    assert table().n_voxels == table().n_labelled == 5
    assert table().complete.n_voxels == 4
    assert table().classes == (1, 2)
    assert [table().n_of(r, 2) for r in (0, 1)] == [1, 1]


def test_a_class_against_the_rest_keeps_missing_votes_missing() -> None:
    assert table().against_rest(2).votes == {(0, 0): 3, (1, 0): 1, (UNSET, 1): 1}


def test_voxels_without_any_vote_are_not_labelled() -> None:
    votes = PatternTable(("a", "b"), {(UNSET, UNSET): 7, (UNSET, 0): 2})
    assert (votes.n_voxels, votes.n_labelled) == (9, 2)


@given(st.integers(2, 9), st.integers(1, 200), st.randoms(use_true_random=False))
def test_codes_stand_for_the_patterns_of_their_voxels(n_raters, n_voxels, random):
    values = [
        np.array([random.choice([0, 1, 2, 7, UNSET]) for _ in range(n_voxels)],
                 np.uint8).reshape(1, 1, -1)
        for _ in range(n_raters)
    ]  # fmt: skip
    codes, patterns = encoded(values)

    assert (patterns[codes] == np.stack(values, axis=-1)).all()
    assert len(np.unique(patterns, axis=0)) == len(patterns)
    assert sum(counted(codes, patterns).values()) == n_voxels
