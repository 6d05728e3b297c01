"""Scores by hand, on regions of ten voxels: the most doubtful tenth is one of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_unetseg.config import MODEL_DISAGREEMENT
from napari_unetseg.training.worklist_maps import Seen
from napari_unetseg.training.worklist_strategies import (
    DisputedFirst,
    RandomNearObjects,
    ScanOrder,
    UnsureFirst,
    beta_of,
    noise,
    top_mean,
)

NAMES = ("cell", "fibre")


def line(*values: int) -> np.ndarray:
    """Voxels along x, uint8 zyx."""
    return np.array(values, np.uint8).reshape(1, 1, -1)


def seen(
    values: np.ndarray, *of_class: np.ndarray, is_open: np.ndarray | None = None
) -> Seen:
    nothing = np.zeros_like(values)
    probability = np.stack(of_class or (nothing, nothing))
    is_open = np.ones(values.shape, bool) if is_open is None else is_open
    return Seen(probability, values, is_open)


def chance() -> np.random.Generator:
    return np.random.default_rng(0)


DOUBT = line(204, 102, 51, 0, 0, 0, 0, 0, 0, 0)
CELL = line(51, 255, 0, 0, 0, 0, 0, 0, 0, 0)
FIBRE = line(102, 0, 255, 255, 255, 255, 0, 0, 0, 0)


def test_doubt_counts_as_far_as_it_is_about_the_class() -> None:
    here = seen(DOUBT, CELL, FIBRE)
    # cell: max(.8 · .2, .4 · 1, 0); fibre: max(.8 · .4, 0, .2 · 1); doubt alone: .8
    assert UnsureFirst(NAMES, 0).scores(here) == pytest.approx([0.4, 0.32, 0.8])


def test_what_is_found_is_the_voxel_and_the_reason() -> None:
    here, unsure = seen(DOUBT, CELL, FIBRE), UnsureFirst(NAMES, 0)
    cell, fibre, alone = (unsure.find(here, k, chance()) for k in range(3))
    assert (cell.at, cell.class_id, cell.reason) == (
        (0, 0, 1), 1, "unsure about cell",
    )  # fmt: skip
    assert (fibre.at, fibre.class_id) == ((0, 0, 0), 2)
    assert (alone.at, alone.class_id) == ((0, 0, 0), 1)
    assert alone.reason == "unsure of all, most of cell"


def test_what_is_settled_is_in_no_doubt() -> None:
    is_open = DOUBT != 102
    here = seen(DOUBT, CELL, FIBRE, is_open=is_open)
    assert UnsureFirst(NAMES, 0).scores(here) == pytest.approx([0.16, 0.32, 0.8])


def test_two_turns_of_three_are_those_of_the_classes() -> None:
    assert UnsureFirst(NAMES, 0).turns == ((0, 1), (0, 1), (2,))


def test_answers_that_differ_are_about_the_class_that_is_likely_there() -> None:
    differ = line(0, 0, 153, 0, 0, 0, 0, 0, 0, 51)
    disputed = DisputedFirst(NAMES, MODEL_DISAGREEMENT, "models differ on")
    here = seen(differ, CELL, FIBRE)
    assert disputed.scores(here) == pytest.approx([0.6])
    found = disputed.find(here, 0, chance())
    assert (found.at, found.class_id) == ((0, 0, 2), 2)
    assert found.reason == "models differ on fibre"


def test_classes_and_their_borders_count_by_their_voxels() -> None:
    labels = line(0, 1, 1, 1, 1, 0, 0, 2, 2, 2)
    here, by_chance = seen(labels), RandomNearObjects(NAMES)
    # The fibre goes on beyond the region: only its voxel beside the gap is a border.
    assert by_chance.scores(here) == pytest.approx([0.4, 0.2, 0.3, 0.1])
    assert by_chance.find(here, 1, chance()).at[2] in (1, 4)
    assert by_chance.find(here, 3, chance()).at[2] == 7


def test_what_is_settled_makes_no_border() -> None:
    labels = line(0, 1, 1, 1, 1, 0, 0, 2, 2, 2)
    here = seen(labels, is_open=labels != 0)
    settled = seen(labels, is_open=np.arange(10).reshape(1, 1, -1) > 2)
    by_chance = RandomNearObjects(NAMES)
    assert by_chance.scores(here) == pytest.approx([0.4, 0.2, 0.3, 0.1])
    assert by_chance.scores(settled) == pytest.approx([0.2, 0.1, 0.3, 0.1])


def test_scan_order_looks_for_the_likeliest_class() -> None:
    here = seen(np.maximum(CELL, FIBRE), CELL, FIBRE)
    scan = ScanOrder(NAMES)
    assert scan.scores(here) == pytest.approx([1.0])
    found = scan.find(here, 0, chance())
    assert (found.at, found.class_id, found.reason) == (
        (0, 0, 1), 1, "next in scan order",
    )  # fmt: skip


def test_the_highest_tenth_is_one_voxel_at_least() -> None:
    assert top_mean(np.array([1.0, 7.0, 3.0])) == 7
    assert top_mean(np.arange(20.0)) == 18.5


def test_chance_shrinks_from_round_to_round() -> None:
    betas = [beta_of(n) for n in range(6)]
    assert betas == pytest.approx([1, math.sqrt(10), 10, math.sqrt(1000), 100, 100])
    first, last = (noise((4000, 1), beta, (0, 0)) for beta in (1.0, 100.0))
    # The deviation of Gumbel(0, s) is s · π / √6.
    assert first.std() == pytest.approx(math.pi / math.sqrt(6), rel=0.1)
    assert last == pytest.approx(first / 100)
    assert not noise((3, 2), None, (0, 0)).any()


def test_chance_depends_on_seed_and_round_alone() -> None:
    one, same, seed, round_ = (
        noise((5, 2), 1.0, s) for s in ((0, 0), (0, 0), (1, 0), (0, 1))
    )
    np.testing.assert_array_equal(one, same)
    assert (one != seed).all()
    assert (one != round_).all()


def test_regions_are_drawn_in_proportion_to_their_scores() -> None:
    scores = np.array([0.6, 0.3, 0.1])
    draws = np.log(scores) + noise((3, 20_000), 1.0, (0, 0)).T
    shares = np.bincount(draws.argmax(axis=1)) / len(draws)
    assert shares == pytest.approx(scores, abs=0.02)
