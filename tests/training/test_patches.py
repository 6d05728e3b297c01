from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box
from napari_unetseg.models.planning import patch_of, widened
from napari_unetseg.training.dataset import Patches
from napari_unetseg.training.hold_out import held_out_boxes
from napari_unetseg.training.losses import IGNORE
from napari_unetseg.training.training_set import (
    ArrayLabels,
    Region,
    TrainingSet,
    from_label_arrays,
)

SHAPE = (16, 48, 48)
Classes = tuple[ClassInfo, ...]


def patches_of(path: Path, labels: TrainingSet, **changes: Any) -> Patches:
    fields: dict[str, Any] = {"raters": (), "patch": (8, 16, 16), "seed": 0}
    normalisation = Normalisation(low=(0.0,), high=(255.0,))
    return Patches(Volume.open(path), normalisation, labels, **(fields | changes))


def sparse(values: np.ndarray, boxes: list[Box]) -> TrainingSet:
    regions = tuple(Region(box, "imported", "") for box in boxes)
    return TrainingSet(regions, ArrayLabels(values), {})


def test_rare_classes_come_as_often_as_common_ones(phantom_path: Path) -> None:
    values = np.zeros(SHAPE, np.uint8)
    values[8, 24, 24] = 1
    patches = patches_of(phantom_path, sparse(values, [Box.whole(SHAPE)]))
    drawn = [bool((patches.draw(1).target == 1).any()) for _ in range(40)]
    assert 10 < sum(drawn) < 40


def test_labels_move_with_the_image(phantom_path: Path, truth: np.ndarray) -> None:
    image = Volume.open(phantom_path).read(Box.whole(SHAPE))[0]
    labels = sparse((image > 128).astype(np.uint8), [Box.whole(SHAPE)])
    batch = patches_of(phantom_path, labels).draw(8)
    known = batch.target != IGNORE
    bright = batch.image[:, 0][known & (batch.target == 1)]
    dark = batch.image[:, 0][known & (batch.target == 0)]
    assert float(bright.mean()) > float(dark.mean()) + 0.3


def test_a_patch_larger_than_the_volume_is_mirrored(phantom_path: Path) -> None:
    values = np.ones(SHAPE, np.uint8)
    patches = patches_of(
        phantom_path, sparse(values, [Box.whole(SHAPE)]), patch=(32, 64, 64)
    )
    batch = patches.draw(1)
    assert batch.image.shape == (1, 1, 32, 64, 64)
    assert bool(np.isfinite(batch.image.numpy()).all())
    inside = int((batch.target == 1).sum())
    assert 0 < inside <= np.prod(SHAPE), "what is mirrored has no labels"


def test_held_out_labels_are_never_drawn(phantom_path: Path) -> None:
    boxes = list(Box.whole(SHAPE).cells((16, 8, 8)))
    values = np.zeros(SHAPE, np.uint8)
    values[:, ::2] = 2
    probe = patches_of(phantom_path, sparse(values, boxes))
    assert 1 <= len(probe.held_out) <= 8
    for box in probe.held_out:
        values[box.slices] = 1
    patches = patches_of(phantom_path, sparse(values, boxes))
    patches.held_out = probe.held_out
    for _ in range(20):
        assert not bool((patches.draw(1).target == 1).any())
    measured = patches.held_out_patches()
    assert all(set(p.target.unique().tolist()) == {1, IGNORE} for p in measured)


def test_what_is_measured_lies_around_an_object(phantom_path: Path) -> None:
    boxes = list(Box.whole(SHAPE).cells((16, 16, 48)))
    values = np.zeros(SHAPE, np.uint8)
    values[8, ::8, 44] = 1  # far from the middle of its box
    patches = patches_of(phantom_path, sparse(values, boxes * 2))
    patches.held_out = (boxes[0],)
    (measured,) = patches.held_out_patches()
    assert bool((measured.target == 1).any())


def test_few_regions_are_all_learned_from(phantom_path: Path) -> None:
    boxes = list(Box.whole(SHAPE).cells((16, 48, 24)))
    assert not patches_of(
        phantom_path, sparse(np.ones(SHAPE, np.uint8), boxes)
    ).held_out


def test_holding_out_leaves_every_class_and_no_overlap() -> None:
    rng = np.random.default_rng(0)
    boxes = list(Box.whole((8, 8, 80)).cells((8, 8, 8)))
    one = np.zeros((4, 3), int)
    found = {box: {0: one} for box in boxes} | {boxes[3]: {0: one, 1: one}}
    for _ in range(20):
        held = held_out_boxes(found, rng)
        assert len(held) == 3
        assert boxes[3] not in held, "the only region of a class"
    crossing = Box((0, 0, 4), (8, 8, 60))
    held = held_out_boxes(found | {crossing: {0: one}}, rng)
    assert not any(box.overlaps(crossing) for box in held)


def test_raters_speak_for_themselves(phantom_path: Path, classes: Classes) -> None:
    labels = from_label_arrays(
        {"Ana": np.zeros(SHAPE, np.uint8), "Bo": np.ones(SHAPE, np.uint8)}, classes
    )
    patches = patches_of(phantom_path, labels, raters=("Bo", "Cy", "Ana"))
    batch = patches.draw(2)
    assert patches.silent_raters == (False, True, False)
    assert set(batch.raters[:, 0].unique().tolist()) <= {1, IGNORE}
    assert set(batch.raters[:, 1].unique().tolist()) == {IGNORE}
    assert set(batch.raters[:, 2].unique().tolist()) <= {0, IGNORE}


@pytest.mark.parametrize(("shape", "rounded"), [((1, 5, 16), (2, 8, 16))])
def test_patches_are_whole_strides(shape: Any, rounded: Any) -> None:
    assert patch_of(shape, (2, 8, 8)) == rounded


@pytest.mark.parametrize(
    ("patch", "stride", "shape", "wide"),
    [((16, 128, 128), (2, 16, 16), (20, 1024, 1024), (8, 176, 176)),
     ((16, 128, 128), (2, 16, 16), (20, 1024, 150), (8, 176, 160)),
     ((64, 64, 64), (16, 16, 16), (512, 512, 512), (64, 64, 64)),
     ((1, 512, 512), (1, 16, 16), (1, 4096, 4096), (1, 512, 512))],
)  # fmt: skip
def test_thick_sections_get_wide_patches(
    patch: Any, stride: Any, shape: Any, wide: Any
) -> None:
    assert widened(patch, stride, shape) == wide
