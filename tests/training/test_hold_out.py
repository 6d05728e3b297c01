from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.training.dataset import Patches
from napari_unetseg.training.hold_out import held_out_boxes, overlaps_any, without
from napari_unetseg.training.probes import (
    LARGEST,
    accepted_tiles,
    labelled_part,
    other_tiles,
    unseen_regions,
)
from napari_unetseg.training.training_set import (
    ArrayLabels,
    Region,
    TrainingSet,
    collect,
)

SHAPE: Zyx = (16, 48, 48)
CHUNK = Box.whole(SHAPE)
REVIEWED = [Box((0, y, x), (8, y + 8, x + 8)) for y in (0, 20, 40) for x in (0, 20, 40)]


def regions(values: np.ndarray) -> TrainingSet:
    """Return reviewed boxes within one large chunk of corrections."""
    reviewed = [Region(box, "reviewed", "Ana") for box in REVIEWED]
    return TrainingSet(
        (Region(CHUNK, "corrected", "Ana"), *reviewed), ArrayLabels(values), {}
    )


@pytest.fixture
def patches(phantom_path: Path, truth: np.ndarray) -> Patches:
    return Patches(
        Volume.open(phantom_path), Normalisation(low=(0.0,), high=(255.0,)),
        regions(truth), raters=(), patch=(8, 16, 16), seed=0,
    )  # fmt: skip


def test_reviewed_boxes_come_first_though_corrections_lie_around_them() -> None:
    one = np.zeros((4, 3), int)
    others = list(Box.whole((4, 16, 48)).shifted((12, 0, 0)).cells((4, 16, 16)))
    found = {box: {0: one} for box in (CHUNK, *others, *REVIEWED)}
    held = held_out_boxes(found, np.random.default_rng(0), (), set(REVIEWED))
    assert len(held) == 3
    assert set(held) <= set(REVIEWED)
    learned = [box for box in REVIEWED if box not in held[:1]]
    again = held_out_boxes(found, np.random.default_rng(1), learned, set(REVIEWED))
    assert again[0] == held[0], "what was not learned before comes first"


@pytest.mark.parametrize("seed", range(5))
def test_boxes_with_objects_of_many_classes_come_first(seed: int) -> None:
    voxels = np.zeros((4, 3), int)
    found = {box: {0: voxels} for box in REVIEWED}
    for box in REVIEWED[:8]:
        found[box] = {0: voxels, 1: voxels}
    for box in REVIEWED[:6:2]:
        found[box] = {0: voxels, 1: voxels, 2: voxels}
    held = held_out_boxes(found, np.random.default_rng(seed), (), set(REVIEWED))
    assert [len(found[box]) for box in held] == [3, 2, 2]
    drawn = [held_out_boxes(found, np.random.default_rng(n)) for n in range(9)]
    assert len({boxes[0] for boxes in drawn}) > 1, "among equals chance decides"


@pytest.mark.parametrize("seed", range(4))
def test_a_class_of_many_boxes_comes_before_one_of_few(seed: int) -> None:
    boxes = [Box((4 * n, 0, 0), (4 * n + 1, 8, 8)) for n in range(12)]
    at = np.zeros((10, 3), np.int64)
    classes = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    found = {box: {0: at, c: at} for box, c in zip(boxes, classes, strict=True)}
    held = held_out_boxes(found, np.random.default_rng(seed))
    assert len(held) == 3
    assert set(held) <= set(boxes[:8])


def test_what_is_held_out_is_not_learned_from_any_region(patches: Patches) -> None:
    assert len(patches.held_out) == 3
    assert not any(overlaps_any(box, patches.held_out) for box in patches.learned)
    n_voxels = sum(box.n_voxels for box in patches.learned if box not in REVIEWED)
    assert n_voxels == CHUNK.n_voxels - 3 * REVIEWED[0].n_voxels
    for at in patches._centres.values():
        assert not any(box.holds(point) for box in patches.held_out for point in at)


def test_regions_that_nobody_learned_are_compared_on(patches: Patches) -> None:
    labels = regions(np.zeros(SHAPE, np.uint8))
    assert set(unseen_regions(labels, patches.learned)) == set(patches.held_out)
    only_two = patches.held_out[:1]
    found = unseen_regions(labels, (*patches.learned, *only_two))
    assert set(found) == set(patches.held_out[1:])
    assert unseen_regions(labels, [CHUNK]) == ()


def test_changed_voxels_count_where_too_little_was_reviewed() -> None:
    labels = regions(np.zeros(SHAPE, np.uint8))
    few = replace(labels, regions=labels.regions[:2])
    assert unseen_regions(few, ()) == (REVIEWED[0],), "they overlap: once is enough"
    apart = Region(Box((0, 0, 50), (8, 8, 60)), "corrected", "Ana")
    some = replace(labels, regions=(apart, *labels.regions[1:3]))
    assert unseen_regions(some, ()) == (*REVIEWED[:2], apart.box)
    enough = replace(labels, regions=(apart, *labels.regions[1:4]))
    assert unseen_regions(enough, ()) == tuple(REVIEWED[:3])


def test_pieces_cover_what_is_left_once() -> None:
    holes = [Box((2, 2, 2), (4, 4, 4)), Box((3, 3, 3), (6, 20, 5))]
    seen = np.zeros(SHAPE, int)
    for piece in without(CHUNK, holes):
        seen[piece.slices] += 1
    assert not any(seen[hole.slices].any() for hole in holes)
    for hole in holes:
        seen[hole.slices] = 1
    assert (seen == 1).all()


def test_a_region_is_looked_at_where_its_labels_are() -> None:
    values = np.full((32, 300, 300), UNSET, np.uint8)
    values[4, 10:20, 10:20] = 1
    labels = ArrayLabels(values)
    whole = Box.whole(values.shape)
    assert labelled_part(labels, whole) == Box((4, 10, 10), (5, 20, 20))
    values[:] = 0
    assert labelled_part(labels, whole).shape == LARGEST
    values[20:24, 200:220, 30:40] = 2
    assert labelled_part(labels, whole).holds((21, 210, 35))


def test_probes_are_always_the_same_and_never_compared_on() -> None:
    labels = regions(np.zeros(SHAPE, np.uint8))
    tiles = accepted_tiles(labels, REVIEWED[:2])
    assert tiles == accepted_tiles(labels, REVIEWED[:2])
    assert set(tiles) == set(REVIEWED[2:])
    anywhere = other_tiles(None, (64, 256, 256), 16)
    assert anywhere == other_tiles(None, (64, 256, 256), 16)
    assert len(set(anywhere)) == 16
    assert all(Box.whole((64, 256, 256)).contains(tile) for tile in anywhere)
    assert other_tiles(None, SHAPE, 16) == (CHUNK,)


def test_who_drew_and_who_accepted_is_known(
    corrections: CorrectionStore, classes: tuple[ClassInfo, ...]
) -> None:
    box, drawn = Box((0, 0, 0), (4, 8, 8)), Box((0, 0, 0), (1, 8, 8))
    mask = np.ones(drawn.shape, bool)
    corrections.commit(drawn, mask, 1, annotator="Ana", tool="brush")
    corrections.add_reviewed(box, "Ana")
    labels = collect(corrections, None, classes).labels
    assert (labels.read(box)[1:] == 0).all()
    np.testing.assert_array_equal(labels.drawn(box).any(axis=(1, 2)), [1, 0, 0, 0])
