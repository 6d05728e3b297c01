"""Patches around labelled voxels: every class as often as any other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import TrainingError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.training.augment import augment
from napari_unetseg.training.training_set import Labels, Region, TrainingSet

CENTRES_PER_REGION = 256
HELD_OUT = 0.2
MIN_REGIONS_TO_SPLIT = 5


@dataclass(frozen=True)
class Batch:
    """Patches as the network takes them.

    Attributes
    ----------
    image
        float32 (batch, c, z, y, x).
    target
        int64 (batch, z, y, x), 255 where nothing is known.
    raters
        The same per rater, (batch, rater, z, y, x).
    """

    image: Tensor
    target: Tensor
    raters: Tensor


class Patches:
    """Draws patches from a volume and its labels.

    Parameters
    ----------
    volume, normalisation
        Image and its intensity range.
    labels
        What is known of the voxels.
    raters
        Whose styles are learned, in the order of the network's heads; a rater without
        labels of their own is None.
    patch
        zyx.
    """

    def __init__(
        self,
        volume: Volume,
        normalisation: Normalisation,
        labels: TrainingSet,
        *,
        raters: tuple[str, ...],
        patch: Zyx,
        seed: int,
    ) -> None:
        self._volume, self._normalisation = volume, normalisation
        self._labels = labels.labels
        self._raters = [labels.by_rater.get(name) for name in raters]
        self._patch = patch
        self._rng = np.random.default_rng(seed)
        kept, self.held_out = split_regions(labels.regions, self._rng)
        self._hidden = tuple(region.box for region in self.held_out)
        self._centres = self._index(kept)

    def draw(self, size: int) -> Batch:
        """Return a batch of changed patches."""
        drawn = [self._one() for _ in range(size)]
        images, labels = zip(*drawn, strict=True)
        return _batch(np.stack(images), np.stack(labels))

    def held_out_patches(self, most: int = 6) -> list[Batch]:
        """Return patches, as they are, in which only held-out labels count."""
        patches = []
        for region in self.held_out[:most]:
            box = Box.around(region.box.centre, self._patch)
            labels = np.full(self._patch, UNSET, np.uint8)
            part = region.box.intersection(box)
            labels[part.relative_to(box).slices] = self._labels.read(part)
            patches.append(_batch(self._image(box)[None], labels[None, None]))
        return patches

    def sample(self) -> np.ndarray:
        """Return normalised voxels czyx of some labelled place."""
        centres = next(iter(self._centres.values()))
        return self._image(Box.around(centres[len(centres) // 2], self._patch))

    def _one(self) -> tuple[np.ndarray, np.ndarray]:
        classes = list(self._centres)
        centres = self._centres[classes[int(self._rng.integers(len(classes)))]]
        centre = centres[int(self._rng.integers(len(centres)))]
        jitter = [int(self._rng.integers(-(n // 4), n // 4 + 1)) for n in self._patch]
        middle = [
            _inside(c + j, n, size)
            for c, j, n, size in zip(
                centre, jitter, self._patch, self._volume.shape, strict=True
            )
        ]
        box = Box.around(middle, self._patch)
        labels = [self._read(self._labels, box)]
        labels += [
            labels[0] if rater is None else self._read(rater, box)
            for rater in self._raters
        ]
        return augment(self._image(box), np.stack(labels), self._rng)

    def _read(self, labels: Labels, box: Box) -> np.ndarray:
        values = np.full(self._patch, UNSET, np.uint8)
        part = box.clipped(self._volume.shape)
        values[part.relative_to(box).slices] = labels.read(part)
        for hidden in self._hidden:
            common = hidden.intersection(part)
            if not common.is_empty:
                values[common.relative_to(box).slices] = UNSET
        return values

    def _image(self, box: Box) -> np.ndarray:
        """Return normalised voxels czyx, mirrored where the box leaves the volume."""
        part = box.clipped(self._volume.shape)
        voxels = self._normalisation.apply(self._volume.read(part, missing="fill"))
        before = [a - b for a, b in zip(part.start, box.start, strict=True)]
        after = [a - b for a, b in zip(box.stop, part.stop, strict=True)]
        return np.pad(
            voxels, [(0, 0), *zip(before, after, strict=True)], mode="symmetric"
        )

    def _index(self, regions: list[Region]) -> dict[int, np.ndarray]:
        """Return some voxels of every class that is labelled, zyx."""
        found: dict[int, list[np.ndarray]] = {}
        for box in dict.fromkeys(region.box for region in regions):
            values = self._labels.read(box)
            for class_id in np.unique(values[values != UNSET]):
                at = np.argwhere(values == class_id)
                chosen = self._rng.permutation(len(at))[:CENTRES_PER_REGION]
                found.setdefault(int(class_id), []).append(at[chosen] + box.start)
        if not found:
            raise TrainingError("Nothing is labelled yet", do="Paint something first.")
        return {class_id: np.concatenate(parts) for class_id, parts in found.items()}


def split_regions(
    regions: tuple[Region, ...], rng: np.random.Generator
) -> tuple[list[Region], list[Region]]:
    """Return regions to learn from and regions held out; these share no voxel.

    With few regions none is held out: every label counts more than the figure.
    """
    boxes = list(dict.fromkeys(region.box for region in regions))
    if len(boxes) < MIN_REGIONS_TO_SPLIT:
        return list(regions), []
    n_held = max(1, round(HELD_OUT * len(boxes)))
    chosen = {boxes[i] for i in rng.permutation(len(boxes))[:n_held]}
    held = [r for r in regions if r.box in chosen]
    kept = [
        r for r in regions
        if r.box not in chosen and not any(h.box.contains(r.box) for h in held)
    ]  # fmt: skip
    return kept, held


def _inside(middle: int, patch: int, size: int) -> int:
    """Keep a patch inside the volume if it fits there at all."""
    if patch >= size:
        return size // 2
    return min(max(middle, patch // 2), size - (patch - patch // 2))


def _batch(image: np.ndarray, labels: np.ndarray) -> Batch:
    values = torch.from_numpy(labels.astype(np.int64))
    return Batch(torch.from_numpy(image), values[:, 0], values[:, 1:])


def patch_of(shape: Zyx, stride: Zyx) -> Zyx:
    """Return a shape rounded up to whole strides."""
    return zyx(-(-n // s) * s for n, s in zip(shape, stride, strict=True))
