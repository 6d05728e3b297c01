from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks.learning_annotator import (
    ANNOTATOR,
    LOOK_S,
    common_level,
    paint,
    regions_needed,
    slice_of,
)
from benchmarks.learning_sets import LearningSet, Part
from napari_unetseg.app.project import Project
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.geometry import Box

SHAPE = (16, 48, 48)
OPEN = Box((0, 0, 0), (16, 48, 32))


@pytest.fixture
def data() -> LearningSet:
    """Two objects, one of each class, and twelve regions that may be labelled."""
    truth = np.zeros(SHAPE, np.uint8)
    truth[2:6, 20:28, 4:12] = 1
    truth[9:15, 36:44, 20:30] = 2
    part = Part(truth * 50, truth)
    return LearningSet(
        "small", ("cell", "fibre"), (1.0, 1.0, 1.0), part, OPEN,
        Box((0, 0, 32), SHAPE), (8, 16, 16), None, part,
    )  # fmt: skip


@pytest.fixture
def nothing(data: LearningSet) -> np.ndarray:
    return np.zeros(SHAPE, bool)


def test_five_per_cent_of_what_is_open_may_be_labelled(data: LearningSet) -> None:
    assert data.n_regions == int(0.05 * 16 * 48 * 32) // (16 * 16) == 4


def test_the_slice_through_a_voxel_is_painted(
    data: LearningSet, nothing: np.ndarray
) -> None:
    assert slice_of((11, 40, 20), data, nothing) == Box((11, 32, 16), (12, 48, 32))


def test_a_slice_that_is_labelled_already_gives_way_to_the_next(
    data: LearningSet, nothing: np.ndarray
) -> None:
    nothing[11, 40, 20] = nothing[10, 33, 16] = True

    assert slice_of((11, 40, 20), data, nothing) == Box((12, 32, 16), (13, 48, 32))


def test_a_region_full_of_labels_has_no_slice_left(
    data: LearningSet, nothing: np.ndarray
) -> None:
    nothing[8:16, 40, 20] = True

    assert slice_of((11, 40, 20), data, nothing) is None


def test_a_region_ends_where_labelling_ends(
    data: LearningSet, nothing: np.ndarray
) -> None:
    narrow = dataclasses.replace(data, open=Box((0, 0, 0), (16, 48, 20)))

    assert slice_of((11, 40, 18), narrow, nothing) == Box((11, 32, 16), (12, 48, 20))


def test_painting_says_the_truth_and_nothing_else(
    data: LearningSet, project_folder: Path
) -> None:
    slices = [Box((z, 16, 0), (z + 1, 32, 16)) for z in (3, 4, 12)]
    with Project.open(project_folder) as project:
        minutes = paint(project, data, slices)
        labels = project.corrections.read_all(Box.whole(SHAPE))
        confirmed = project.corrections.reviewed(ANNOTATOR)

    expected = np.full(SHAPE, UNSET, np.uint8)
    for box in slices:
        expected[box.slices] = data.new.truth[box.slices]
    np.testing.assert_array_equal(labels, expected)
    assert [region.box for region in confirmed] == [slices[0], slices[2]]
    assert minutes == pytest.approx(3 * LOOK_S / 60)  # nothing was predicted wrongly


@pytest.mark.parametrize(
    ("level", "needed"), [(0.5, 0), (0.7, 4), (0.75, 5), (0.8, 8), (0.81, None)]
)
def test_regions_needed_for_a_dice(level: float, needed: float | None) -> None:
    curve = [(0, 0.6), (2, 0.65), (4, 0.7), (5, 0.75), (6, 0.7), (8, 0.8)]

    found = regions_needed(curve, level)

    assert found == (None if needed is None else pytest.approx(needed))


def test_between_two_rounds_dice_grows_evenly() -> None:
    assert regions_needed([(0, 0.5), (5, 0.7), (10, 0.9)], 0.75) == pytest.approx(6.25)


def test_strategies_are_compared_at_what_all_of_them_reach() -> None:
    curves = [[(0, 0.5), (5, 0.9), (9, 0.8)], [(0, 0.5), (5, 0.6), (9, 0.7)]]

    assert common_level(curves) == 0.7
