"""Patches around labelled voxels: every class as often as any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from napari_unetseg.training.hold_out import held_out_boxes, overlaps_any, without
from napari_unetseg.training.rehearsal import fitted
from napari_unetseg.training.training_set import Labels, TrainingSet

CENTRES_PER_REGION = 256
REHEARSED = 2  # every so many patches one is an exemplar: one in each batch


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
        What each rater said alone, (batch, rater, z, y, x).
    weight, rater_weights
        What each voxel counts, float32 of the shapes of target and raters.
    """

    image: Tensor
    target: Tensor
    raters: Tensor
    weight: Tensor
    rater_weights: Tensor


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
    learned
        Boxes that the parent or its ancestors learned from; others are held out first.
    mirror
        Whether patches are mirrored and turned at random.
    rehearsed
        Exemplars czyx of the origin; every second patch is one of them.

    Attributes
    ----------
    held_out, learned, learned_before
        Boxes that are measured, those that are learned from, and those of ancestors.
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
        learned: tuple[Box, ...] = (),
        mirror: bool = True,
        rehearsed: Sequence[np.ndarray] = (),
    ) -> None:
        self._volume, self._normalisation = volume, normalisation
        self._labels = labels.labels
        self._raters = [labels.by_rater.get(name) for name in raters]
        self.patch = patch
        self._rng = np.random.default_rng(seed)
        found = self._index(dict.fromkeys(region.box for region in labels.regions))
        self.learned_before, self._mirror = learned, mirror
        whole = {region.box for region in labels.regions if region.is_whole}
        self.held_out = held_out_boxes(found, self._rng, learned, whole)
        self.learned = tuple(
            part
            for box in (*found, *labels.rejected)
            for part in without(box, self.held_out)
        )
        self._centres = self._kept(found, labels.rejected)
        self._rehearsed, self._n_drawn = rehearsed, 0

    def draw(self, size: int) -> Batch:
        """Return a batch of changed patches."""
        drawn = [self._one() for _ in range(size)]
        return _batch(*(np.stack(parts) for parts in zip(*drawn, strict=True)))

    @property
    def silent_raters(self) -> tuple[bool, ...]:
        """Which raters have no labels of their own."""
        return tuple(labels is None for labels in self._raters)

    def held_out_patches(self, *, only_unseen: bool = False) -> list[Batch]:
        """Return patches, as they are, in which only held-out labels count.

        Parameters
        ----------
        only_unseen
            Leave out what an ancestor may have learned from.
        """
        patches = []
        for held in self.held_out:
            if only_unseen and overlaps_any(held, self.learned_before):
                continue
            box = Box.around(middle_of(self._labels.read(held), held), self.patch)
            part = held.intersection(box).clipped(self._volume.shape)
            sources = (self._labels, *self._raters)
            labels = np.full((len(sources), *self.patch), UNSET, np.uint8)
            for values, source in zip(labels, sources, strict=True):
                if source is not None:
                    values[part.relative_to(box).slices] = source.read(part)
            weights = (labels != UNSET).astype(np.float32)
            patches.append(_batch(self._image(box)[None], labels[None], weights[None]))
        return patches

    def sample(self) -> np.ndarray:
        """Return normalised voxels czyx around some labelled place, not mirrored."""
        centres = next(iter(self._centres.values()))
        size = zyx(2 * n for n in self.patch)
        box = Box.around(centres[len(centres) // 2], size).clipped(self._volume.shape)
        return self._normalisation.apply(self._volume.read(box, missing="fill"))

    def exemplars(self, n: int) -> list[np.ndarray]:
        """Return patches around labels as they are, normalised float32 czyx."""
        boxes = [Box.around(self._next_centre(), self.patch) for _ in range(n)]
        return [self._image(box) for box in boxes]

    def _one(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a changed patch: image czyx, ids and weights of all raters rzyx."""
        self._n_drawn += 1
        if self._rehearsed and self._n_drawn % REHEARSED == 0:
            return self._rehearsal()
        centre = self._next_centre()
        jitter = [int(self._rng.integers(-(n // 4), n // 4 + 1)) for n in self.patch]
        middle = [
            _inside(c + j, n, size)
            for c, j, n, size in zip(
                centre, jitter, self.patch, self._volume.shape, strict=True
            )
        ]
        box = Box.around(middle, self.patch)
        read = [self._read(who, box) for who in (self._labels, *self._raters)]
        ids, weights = (np.stack(part) for part in zip(*read, strict=True))
        # As whole numbers, to be moved as labels are: to the nearest voxel.
        hundredths = np.rint(100 * weights).astype(np.uint8)
        voxels, moved = augment(
            self._image(box),
            np.concatenate([ids, hundredths]),
            self._rng,
            mirror=self._mirror,
        )
        ids, hundredths = np.split(moved, 2)
        return voxels, ids, np.where(ids == UNSET, 0, hundredths / np.float32(100))

    def _rehearsal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a changed exemplar, of which nothing is known."""
        chosen = self._rehearsed[int(self._rng.integers(len(self._rehearsed)))]
        image = fitted(chosen, self.patch, self._rng)
        nothing = np.full((1 + len(self._raters), *self.patch), UNSET, np.uint8)
        voxels, ids = augment(image, nothing, self._rng, mirror=self._mirror)
        return voxels, ids, np.zeros(ids.shape, np.float32)

    def _next_centre(self) -> Sequence[int]:
        """Return a labelled voxel, of every class as often as of any other."""
        classes = list(self._centres)
        centres = self._centres[classes[int(self._rng.integers(len(classes)))]]
        centre: np.ndarray = centres[int(self._rng.integers(len(centres)))]
        return [int(n) for n in centre]

    def _read(self, labels: Labels | None, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and weights; nothing is known where labels are held out."""
        ids = np.full(self.patch, UNSET, np.uint8)
        weights = np.zeros(self.patch, np.float32)
        if labels is None:
            return ids, weights
        part = box.clipped(self._volume.shape)
        inside = part.relative_to(box).slices
        ids[inside], weights[inside] = labels.weighted(part)
        for hidden in self.held_out:
            common = hidden.intersection(part)
            if not common.is_empty:
                ids[common.relative_to(box).slices] = UNSET
                weights[common.relative_to(box).slices] = 0
        return ids, weights

    def _image(self, box: Box) -> np.ndarray:
        """Return normalised voxels czyx, mirrored where the box leaves the volume."""
        part = box.clipped(self._volume.shape)
        voxels = self._normalisation.apply(self._volume.read(part, missing="fill"))
        before = [a - b for a, b in zip(part.start, box.start, strict=True)]
        after = [a - b for a, b in zip(box.stop, part.stop, strict=True)]
        return np.pad(
            voxels, [(0, 0), *zip(before, after, strict=True)], mode="symmetric"
        )

    def _index(self, boxes: Iterable[Box]) -> dict[Box, dict[int, np.ndarray]]:
        """Return, per box and class, some labelled voxels, zyx."""
        found: dict[Box, dict[int, np.ndarray]] = {}
        for box in boxes:
            values = self._labels.read(box)
            for class_id in np.unique(values[values != UNSET]):
                at = np.argwhere(values == class_id)
                chosen = self._rng.permutation(len(at))[:CENTRES_PER_REGION]
                found.setdefault(box, {})[int(class_id)] = at[chosen] + box.start
        return found

    def _kept(
        self, found: Mapping[Box, Mapping[int, np.ndarray]], rejected: Iterable[Box]
    ) -> dict[int, np.ndarray]:
        """Return voxels per class to put patches around, none of them held out."""
        parts: dict[int, list[np.ndarray]] = {}
        for box in rejected:
            ids, weights = self._labels.weighted(box)
            is_hint = self._labels.read(box) == UNSET
            at = np.argwhere(is_hint & (ids == 0) & (weights == 1))
            parts.setdefault(0, []).append(self._not_held_out(at + box.start))
        for classes in found.values():
            for class_id, at in classes.items():
                parts.setdefault(class_id, []).append(self._not_held_out(at))
        centres = {c: np.concatenate(parts[c]) for c in sorted(parts)}
        centres = {c: at for c, at in centres.items() if len(at)}
        if not centres:
            raise TrainingError("Nothing is labelled yet", do="Paint something first.")
        return centres

    def _not_held_out(self, at: np.ndarray) -> np.ndarray:
        """Return those of some voxels (n, zyx) that lie in no held-out box."""
        hidden = np.zeros(len(at), bool)
        for box in self.held_out:
            hidden |= ((at >= box.start) & (at < box.stop)).all(axis=1)
        return at[~hidden]


def middle_of(values: np.ndarray, box: Box) -> Zyx:
    """Return the middle one of the voxels of objects, else of all that are labelled."""
    known = values != UNSET
    objects = known & (values > 0)
    at = np.argwhere(objects if objects.any() else known)
    return zyx(int(n) for n in at[len(at) // 2] + np.array(box.start))


def _inside(middle: int, patch: int, size: int) -> int:
    """Keep a patch inside the volume if it fits there at all."""
    if patch >= size:
        return size // 2
    return min(max(middle, patch // 2), size - (patch - patch // 2))


def _batch(image: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Batch:
    ids = torch.from_numpy(labels.astype(np.int64))
    worth = torch.from_numpy(weights)
    voxels = torch.from_numpy(image)
    return Batch(voxels, ids[:, 0], ids[:, 1:], worth[:, 0], worth[:, 1:])
