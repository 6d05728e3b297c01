"""Where two versions of a model are compared: what neither learned, what was right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.predictions import LABELS, PredictionStore
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.training.hold_out import LEAST_TO_JUDGE, overlaps_any, without
from napari_unetseg.training.training_set import Labels, TrainingSet

N_PROBES = 16
TILE: Zyx = (16, 64, 64)
LARGEST: Zyx = (16, 128, 128)  # part of a region that is looked at
LEAST_OF_A_CLASS = 50  # voxels: of fewer nothing can be said
_SEED = 0  # the same tiles for every version


def unseen_regions(
    training_set: TrainingSet, learned: Sequence[Box]
) -> tuple[Box, ...]:
    """Return labelled boxes of which no voxel was learned; none overlaps another.

    Those that somebody reviewed as a whole, if there are enough of them: where only
    what was wrong is labelled, whoever learned from such labels always knows more
    (selection bias).
    """
    found: list[Box] = []
    for region in sorted(training_set.regions, key=lambda region: not region.is_whole):
        if not overlaps_any(region.box, (*learned, *found)):
            found.append(region.box)
    whole = {region.box for region in training_set.regions if region.is_whole}
    reviewed = tuple(box for box in found if box in whole)
    return reviewed if len(reviewed) >= LEAST_TO_JUDGE else tuple(found)


def labelled_part(labels: Labels, box: Box) -> Box:
    """Return the part of a box that is worth a look: where its labels are."""
    values = labels.read(box)
    known = values != UNSET
    at = np.argwhere(known) + np.array(box.start)
    low, high = zyx(at.min(axis=0)), zyx(at.max(axis=0) + 1)
    objects = np.argwhere(known & (values > 0)) + np.array(box.start)
    middle = zyx(np.median(objects if len(objects) else at, axis=0))
    return Box(low, high).intersection(Box.around(middle, LARGEST))


def classes_to_judge(
    labels: Labels, parts: Sequence[Box], n_classes: int
) -> np.ndarray:
    """Return which classes have enough labels in these boxes, bool (class,).

    One region says nothing of how a class is found in others: a class needs as many
    regions as a comparison.
    """
    counts = np.zeros((len(parts), n_classes + 1), np.int64)
    for row, part in zip(counts, parts, strict=True):
        values = labels.read(part)
        row += np.bincount(values[values != UNSET], minlength=n_classes + 1)
    each = counts[:, 1:]
    several = (each > 0).sum(axis=0) >= LEAST_TO_JUDGE
    enough: np.ndarray = several & (each.sum(axis=0) >= LEAST_OF_A_CLASS)
    return enough


def accepted_tiles(
    training_set: TrainingSet, regions: Sequence[Box]
) -> tuple[Box, ...]:
    """Return tiles of regions that were reviewed before and are not compared on."""
    tiles = (
        part
        for region in training_set.regions
        if region.is_whole
        for cell in region.box.cells(TILE)
        for part in without(cell.intersection(region.box), regions)
    )
    return _some(dict.fromkeys(tiles), N_PROBES // 2)


def other_tiles(
    predictions: PredictionStore | None, shape: Zyx, n: int
) -> tuple[Box, ...]:
    """Return tiles where something was predicted, or else anywhere in the volume."""
    cells = (places(predictions, shape, 4 * n) // TILE) * np.array(TILE)
    corners = dict.fromkeys(zyx(int(n) for n in cell) for cell in cells)
    tiles = (Box((0, 0, 0), TILE).shifted(corner).clipped(shape) for corner in corners)
    return tuple(tile for tile in tiles if not tile.is_empty)[:n]


def places(predictions: PredictionStore | None, shape: Zyx, n: int) -> np.ndarray:
    """Return voxels (n, zyx): where something was predicted, or else anywhere."""
    rng = np.random.default_rng(_SEED)
    anywhere = rng.integers(0, shape, (n, 3))
    if predictions is None:
        return anywhere
    coarse = np.argwhere(np.asarray(predictions.levels(LABELS)[-1][...]))
    if not len(coarse):
        return anywhere
    chosen = rng.permutation(len(coarse))[: 4 * n]
    found: np.ndarray = coarse[chosen] * np.array(predictions.factors(LABELS)[-1])
    return found


def _some(tiles: Iterable[Box], n: int) -> tuple[Box, ...]:
    """Return at most ``n`` tiles, always the same ones."""
    every = list(tiles)
    order = np.random.default_rng(_SEED).permutation(len(every))[:n]
    return tuple(every[i] for i in sorted(order))
