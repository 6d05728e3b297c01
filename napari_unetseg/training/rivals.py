"""Two models on the same boxes: what each of them got right, counted as they go."""

from __future__ import annotations

import numpy as np

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Block, Box
from napari_unetseg.models.predictor import Predictor
from napari_unetseg.training.bootstrap import Score
from napari_unetseg.training.probes import LEAST_OF_A_CLASS
from napari_unetseg.training.scores import (
    Truth,
    calibration_error,
    near_objects,
    score,
)
from napari_unetseg.training.training_set import Labels

SURE = 250  # of 255: a probability of 0.98

Pair = tuple[float, float]


class Rivals:
    """A champion and a challenger, and what was counted of both.

    Parameters
    ----------
    judged
        Which classes of the project count on regions, bool (class,); a model may know
        fewer.
    """

    def __init__(
        self, champion: Predictor, challenger: Predictor, judged: np.ndarray
    ) -> None:
        self._rivals = champion, challenger
        self._judged, self._n_classes = judged, len(judged)
        n_classes = self._n_classes
        self._regions: list[tuple[Score, Score]] = []
        self._accepted: list[tuple[Score, Score]] = []
        self._accepted_labels = np.zeros(n_classes + 1, np.int64)
        self._same: list[Score] = []
        self._said: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._right = np.zeros((2, n_classes), np.int64)

    # --- counting --------------------------------------------------------------

    def add_region(
        self, volume: Volume, normalisation: Normalisation, labels: Labels, box: Box
    ) -> None:
        """Count a box that neither learned from."""
        truth = _truth(labels, box)
        found = self._predicted(volume, normalisation, box)
        self._regions.append(self._scores(found, truth))
        self._count_right(found, truth)
        where = near_objects(truth, *(said.labels for said in found))
        share = np.stack([truth.labels[where] == c + 1 for c in range(self._n_classes)])
        old, new = (self._chances(said)[:, where] for said in found)
        self._said.append((old, new, share))

    def add_accepted(
        self, volume: Volume, normalisation: Normalisation, labels: Labels, box: Box
    ) -> None:
        """Count a tile that somebody said to be right."""
        truth = _truth(labels, box)
        found = self._predicted(volume, normalisation, box)
        self._accepted.append(self._scores(found, truth))
        self._accepted_labels += truth.count(self._n_classes)

    def add_other(
        self, volume: Volume, normalisation: Normalisation, labels: Labels, box: Box
    ) -> None:
        """Count what the champion is sure of, and nobody labelled."""
        found = self._predicted(volume, normalisation, box)
        champion = found[0]
        chances = champion.probability.astype(np.int32)
        best = np.maximum(chances.max(axis=0), 255 - chances.sum(axis=0))
        unsaid = labels.read(box) == UNSET
        taken = np.where((best >= SURE) & unsaid, champion.labels, UNSET)
        truth = Truth(taken.astype(np.uint8), np.zeros(box.shape, bool))
        self._same.append(score(found[1].labels, truth, self._n_classes))
        self._count_right(found, truth)

    # --- what it came to ---------------------------------------------------------

    def on_regions(self) -> tuple[list[Score], list[Score]]:
        """Return the scores of both per region, of the classes that count."""
        return _of_both(self._regions, self._judged)

    def on_accepted(self) -> Pair | None:
        """Return the mean Dice of both on what was accepted before."""
        known = self._accepted_labels[1:] >= LEAST_OF_A_CLASS
        if not known.any():
            return None
        old, new = _of_both(self._accepted, known)
        return _pooled(old), _pooled(new)

    def same_where_sure(self) -> float | None:
        """Return the Dice of the challenger with the champion where that is sure."""
        known = self._same_size() >= LEAST_OF_A_CLASS
        if not known.any():
            return None
        return _pooled([Score(s.right[known], s.size[known]) for s in self._same])

    def rightly_found(self) -> tuple[np.ndarray, np.ndarray]:
        """Return voxels per class that both found rightly; 0 if too few to tell."""
        enough = self._right[0] >= LEAST_OF_A_CLASS
        old, new = np.where(enough, self._right, 0)
        return old, new

    def calibration_errors(self) -> Pair:
        """Return the calibration error of both near objects of the regions."""
        old, new, share = (
            np.concatenate(parts, axis=1) for parts in zip(*self._said, strict=True)
        )
        return calibration_error(old, share), calibration_error(new, share)

    # --- inside ------------------------------------------------------------------

    def _predicted(
        self, volume: Volume, normalisation: Normalisation, box: Box
    ) -> tuple[BlockPrediction, BlockPrediction]:
        old, new = (
            predict_box(rival, volume, normalisation, box) for rival in self._rivals
        )
        return old, new

    def _scores(
        self, found: tuple[BlockPrediction, BlockPrediction], truth: Truth
    ) -> tuple[Score, Score]:
        old, new = (score(said.labels, truth, self._n_classes) for said in found)
        return old, new

    def _count_right(
        self, found: tuple[BlockPrediction, BlockPrediction], truth: Truth
    ) -> None:
        for number, said in enumerate(found):
            right = said.labels[said.labels == truth.labels]
            counts = np.bincount(right, minlength=self._n_classes + 1)
            self._right[number] += counts[1 : self._n_classes + 1]

    def _same_size(self) -> np.ndarray:
        size: np.ndarray = np.sum([s.size for s in self._same], axis=0)
        return np.atleast_1d(size)

    def _chances(self, said: BlockPrediction) -> np.ndarray:
        """Return probabilities of all classes, float32 czyx; 0 of an unknown one."""
        chances = said.probability.astype(np.float32) / 255
        missing = self._n_classes - len(chances)
        return np.pad(chances, [(0, missing), (0, 0), (0, 0), (0, 0)])


def predict_box(
    predictor: Predictor, volume: Volume, normalisation: Normalisation, box: Box
) -> BlockPrediction:
    """Return what a model says of a box inside the volume."""
    read = box.grown(predictor.halo).aligned(predictor.stride).clipped(volume.shape)
    voxels = normalisation.apply(volume.read(read, missing="fill"))
    return predictor.predict(voxels, Block(0, box, read))


def _truth(labels: Labels, box: Box) -> Truth:
    return Truth(labels.read(box), labels.drawn(box))


def _of_both(
    scores: list[tuple[Score, Score]], known: np.ndarray
) -> tuple[list[Score], list[Score]]:
    old, new = (
        [Score(s.right[known], s.size[known]) for s in of_one]
        for of_one in zip(*scores, strict=True)
    )
    return old, new


def _pooled(scores: list[Score]) -> float:
    """Return the mean Dice over the classes, all boxes together."""
    right = np.sum([s.right for s in scores], axis=0)
    size = np.sum([s.size for s in scores], axis=0)
    return float(np.mean(right[size > 0] / size[size > 0])) if size.any() else 1.0
