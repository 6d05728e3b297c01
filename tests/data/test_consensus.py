from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unetseg.data.consensus import ConsensusLabels, Majority, Staple
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings, ratings_of
from napari_unetseg.data.vote_count import count_votes
from napari_unetseg.data.vote_patterns import PatternTable
from napari_unetseg.geometry import Box

NO = UNSET
PATTERNS = np.array(
    [
        [1, 1, 0, 0],  # half is no majority
        [1, 1, 1, 0],
        [1, 1, NO, 0],  # two of the three that voted
        [2, 1, 2, 1],
        [2, 1, 0, 0],
        [NO, NO, NO, 0],
        [NO, NO, NO, NO],
    ],
    np.uint8,
)


@pytest.mark.parametrize(
    ("ties", "labels"),
    [
        ("background", [0, 1, 1, 0, 0, 0, NO]),
        ("most-votes", [1, 1, 1, 1, 0, 0, NO]),
        ("unlabelled", [NO, 1, 1, NO, NO, 0, NO]),
    ],
)
def test_the_majority_is_more_than_half_of_the_votes_that_are_there(ties, labels):
    assert Majority(ties).labels(PATTERNS).tolist() == labels


def test_the_probability_of_a_majority_is_the_share_of_the_votes() -> None:
    shares = Majority().probability(PATTERNS, 1)
    expected = [1 / 2, 3 / 4, 2 / 3, 1 / 2, 1 / 4, 0, 0]
    assert shares == pytest.approx(expected)


def ratings(seed: int) -> Ratings:
    rng = np.random.default_rng(seed)
    truth = (rng.random((6, 8, 7)) < 0.4).astype(np.uint8)
    truth[3:] *= 2
    labels = {}
    for name, wrong in (("Ana", 0.05), ("Bo", 0.1), ("Cy", 0.2)):
        values = np.where(rng.random(truth.shape) < wrong, 0, truth)
        values[rng.random(truth.shape) < 0.1] = UNSET
        labels[name] = values.astype(np.uint8)
    return ratings_of(labels)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.tuples(*[st.integers(1, 9)] * 3))
def test_any_block_size_gives_the_same_labels(seed, block) -> None:
    raters = ratings(seed)
    for rule in (Majority(), Staple.of(count_votes(raters, block=block).near)):
        source = ConsensusLabels(raters, rule)
        whole = source.read(Box.whole(raters.shape))
        chances = source.probability(Box.whole(raters.shape), (1, 2))
        for cell in Box.whole(raters.shape).cells(block):
            box = cell.clipped(raters.shape)
            assert (source.read(box) == whole[box.slices]).all()
            part = source.probability(box, (1, 2))
            assert (part == chances[(slice(None), *box.slices)]).all()


def test_staple_finds_what_was_there_better_than_its_worst_rater() -> None:
    raters = ratings(1)
    rng = np.random.default_rng(1)
    truth = (rng.random((6, 8, 7)) < 0.4).astype(np.uint8)
    truth[3:] *= 2
    rule = Staple.of(count_votes(raters).near)
    found = ConsensusLabels(raters, rule).read(Box.whole(raters.shape))
    worst = raters.read(Box.whole(raters.shape))[2]
    assert (found == truth).mean() > (worst == truth).mean()
    assert set(np.unique(found)) == {0, 1, 2}


def test_a_class_that_nobody_named_is_never_the_label() -> None:
    # Nearly all is object, so that the prior alone would make everything object.
    names = ("Ana", "Bo", "Cy")
    rule = Staple.of(PatternTable(names, {(1, 1, 1): 99, (1, 0, 1): 1}))
    patterns = np.array([[0, 0, 0], [1, 1, 1], [NO, NO, NO]], np.uint8)
    assert rule.labels(patterns).tolist() == [0, 1, NO]
    assert rule.probability(patterns, 1)[0] == 0
    assert rule.probability(patterns, 2).tolist() == [0, 0, 0]


def test_voxels_that_nobody_labelled_get_the_value_that_was_chosen() -> None:
    empty = np.full((2, 2, 2), UNSET, np.uint8)
    raters = ratings_of({"a": empty, "b": empty})
    box = Box.whole((2, 2, 2))
    assert (ConsensusLabels(raters, Majority()).read(box) == 0).all()
    kept = ConsensusLabels(raters, Majority(), unlabelled=UNSET)
    assert (kept.read(box) == UNSET).all()
