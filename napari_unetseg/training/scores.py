"""What a model got right in a box: where people drew to the voxel, elsewhere nearly.

Whoever accepts a region says that nothing is missing and nothing too much, and leaves
the outline as the model drew it. Taken to the voxel, such labels would favour that
model over all others. So an outline that nobody drew may be off by a voxel, as in the
relaxed precision and recall of Mnih and Hinton, "Learning to detect roads in
high-resolution aerial images", ECCV 2010.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.models.rater_metrics import reliability
from napari_unetseg.training.bootstrap import Score

NEAR = 3  # voxels from an object, drawn or predicted: as far as calibration looks


@dataclass(frozen=True)
class Truth:
    """What is known of a box.

    Attributes
    ----------
    labels
        Class ids, uint8 zyx; UNSET where nothing is known.
    drawn
        Where somebody drew them, bool zyx; elsewhere they were accepted.
    """

    labels: np.ndarray
    drawn: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Where there are labels, bool zyx."""
        known: np.ndarray = self.labels != UNSET
        return known

    def count(self, n_classes: int) -> np.ndarray:
        """Return labelled voxels per class, the background first."""
        return np.bincount(self.labels[self.known], minlength=n_classes + 1)


def score(found: np.ndarray, truth: Truth, n_classes: int) -> Score:
    """Return what a model got right, per foreground class.

    Parameters
    ----------
    found
        Class ids that the model predicts, uint8 zyx.
    """
    known, accepted = truth.known, ~truth.drawn
    right, size = np.zeros(n_classes), np.zeros(n_classes)
    for number in range(n_classes):
        mine = (found == number + 1) & known
        yours = truth.labels == number + 1
        size[number] = mine.sum() + yours.sum()
        if size[number]:
            found_again = yours & (mine | (accepted & _grown(mine)))
            rightly_found = mine & (yours | (accepted & _grown(yours)))
            right[number] = found_again.sum() + rightly_found.sum()
    return Score(right, size)


def near_objects(truth: Truth, *found: np.ndarray) -> np.ndarray:
    """Return known voxels near an object, drawn or predicted, bool zyx."""
    objects = (truth.labels > 0) & truth.known
    for labels in found:
        objects |= labels > 0
    near: np.ndarray = truth.known & _grown(objects, NEAR)
    return near


def calibration_error(probability: np.ndarray, share: np.ndarray) -> float:
    """Return the expected calibration error of foreground probabilities.

    Parameters
    ----------
    probability, share
        Float (voxel, class): what was said, and 1 where it was so.
    """
    return float(reliability(probability, share).ece)


def _grown(mask: np.ndarray, steps: int = 1) -> np.ndarray:
    """Return a mask grown by so many voxels along the axes."""
    if not mask.any():
        return mask
    grown: np.ndarray = ndimage.binary_dilation(mask, iterations=steps)
    return grown
