"""Blocks in which two versions of a model say the same are not predicted again.

::

    block ─▶ two small looks, where ─▶ another label?  yes ─▶ predict the block
             change is most likely                     no  ─▶ keep what the version
                                                              before it said of it

The looks are what the network would say there if the whole block were predicted: where
one finds no change, there is none in it. What it does not show may have changed all the
same, so blocks with labels that the new version learned from are always predicted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_unetseg.config import TOTAL_UNCERTAINTY
from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.events import BlockState
from napari_unetseg.geometry import Block, BlockGrid, Box, Zyx, zyx
from napari_unetseg.models.predictor import Predictor

LOOKS_ALONG = 4  # a look is a block divided by this along each axis
MOST_CHANGED = 0.002  # of the voxels of a look: fewer are no change
GIVE_UP = 8  # looks without one unchanged block cost more than they spare
_FINISHED = {BlockState.DONE, BlockState.EMPTY}


@dataclass(frozen=True)
class Earlier:
    """What another version said of the volume.

    Attributes
    ----------
    learned
        Where the new version learned from labels: those blocks are always predicted.
    """

    version: str
    prediction_path: Path
    log_path: Path
    learned: tuple[Box, ...] = ()


class EarlierPrediction:
    """The finished blocks of another version, if they can stand for new ones.

    Parameters
    ----------
    earlier
        Where they are.
    names
        The images that a new prediction has.
    choices
        What a prediction depends on besides the model; all of it must be the same.
    """

    def __init__(
        self, earlier: Earlier, store: PredictionStore, choices: Mapping[str, Any]
    ) -> None:
        self.version, self._learned = earlier.version, earlier.learned
        self._store: PredictionStore | None = None
        header, states, _ = DoneLog.read(earlier.log_path)
        if header is None or not PredictionStore.exists(earlier.prediction_path):
            return
        before = PredictionStore.open(earlier.prediction_path)
        # As the log has it: without tuples.
        wanted = json.loads(json.dumps(dict(choices)))
        if _is_alike(before, store) and wanted.items() <= header.items():
            self._store, self._states = before, states
            self._grid = BlockGrid(store.shape, zyx(header["block"]))

    def of(self, box: Box) -> BlockPrediction | None:
        """Return what was said of a box; None if it is not known, or was relearned."""
        if self._store is None or any(box.overlaps(place) for place in self._learned):
            return None
        blocks = self._grid.touching(box)
        if any(self._states.get(index) not in _FINISHED for index in blocks):
            return None
        store, has_raters = self._store, bool(self._store.rater_names)
        return BlockPrediction(
            store.read_labels(box),
            store.read_probability(box),
            {name: store.read_map(name, box) for name in store.map_names},
            store.read_rater_probability(box) if has_raters else None,
            taken_from=self.version,
        )


class LookFirst:
    """A predictor that looks at parts of a block before it predicts all of it."""

    def __init__(self, predictor: Predictor, earlier: EarlierPrediction) -> None:
        self._predictor, self._earlier = predictor, earlier
        self._n_changed, self._n_kept = 0, 0

    def predict(self, voxels: np.ndarray, block: Block) -> BlockPrediction:
        """Predict a block, or return what the version before said of it.

        Parameters
        ----------
        voxels
            Normalised float32 czyx of the block's read box.
        """
        gave_up = self._n_kept == 0 and self._n_changed >= GIVE_UP
        before = None if gave_up else self._earlier.of(block.write_box)
        if before is not None:
            if not self._has_changed(voxels, block, before):
                self._n_kept += 1
                return before
            self._n_changed += 1
        return self._predictor.predict(voxels, block)

    def _has_changed(
        self, voxels: np.ndarray, block: Block, before: BlockPrediction
    ) -> bool:
        stride, halo = self._predictor.stride, self._predictor.halo
        for look in places_to_look(before, block.write_box, stride):
            read = look.grown(halo).aligned(stride).intersection(block.read_box)
            part = read.relative_to(block.read_box).slices
            found = self._predictor.predict(
                voxels[(slice(None), *part)], Block(block.index, look, read)
            )
            known = before.labels[look.relative_to(block.write_box).slices]
            n_changed = int((found.labels != known).sum())
            # A single voxel may flip by rounding.
            if n_changed > max(1, MOST_CHANGED * known.size):
                return True
        return False


def places_to_look(before: BlockPrediction, box: Box, stride: Zyx) -> Iterator[Box]:
    """Yield the part of a block that was most in doubt, and the one with most borders.

    Parameters
    ----------
    before
        What was said of the block.
    box
        Its write box; looks lie in it, and begin on whole strides.
    """
    size = zyx(
        max(s, n // LOOKS_ALONG // s * s)
        for n, s in zip(box.shape, stride, strict=True)
    )
    places = [cell.clipped(box.shape) for cell in Box.whole(box.shape).cells(size)]
    doubt = before.maps.get(TOTAL_UNCERTAINTY, before.probability.max(axis=0))
    chosen: list[Box] = []
    for score in (doubt, _borders(before.labels)):
        left = [place for place in places if place not in chosen]
        if left:
            means = [float(score[place.slices].mean()) for place in left]
            chosen.append(left[int(np.argmax(means))])
    yield from (place.shifted(box.start) for place in chosen)


def _borders(labels: np.ndarray) -> np.ndarray:
    """Return which voxels of objects lie beside another label, bool zyx."""
    found = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        differs = np.diff(labels, axis=axis) != 0
        for side in (slice(0, -1), slice(1, None)):
            found[(slice(None),) * axis + (side,)] |= differs
    found &= labels > 0
    return found


def _is_alike(before: PredictionStore, store: PredictionStore) -> bool:
    """Whether two stores hold the same images of the same volume."""
    return (before.shape, before.class_names, before.rater_names, before.map_names) == (
        store.shape, store.class_names, store.rater_names, store.map_names
    )  # fmt: skip
