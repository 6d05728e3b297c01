"""What a rater would draw, as generous or as strict as one likes.

A model does not know to the voxel where a rater's border runs. It says how probable it
is that the rater includes a voxel; cut at a height, that is a mask. Half is the one to
show. All heights of all raters together are what the model holds possible: who draws,
and where this person's border may lie.
"""

from __future__ import annotations

import numpy as np

# Raters are many: in steps of a fifteenth their probabilities take a fraction of the
# place, and are right at one half.
RATER_STEPS = 15
# Between the steps: as many masks, and their mean is the probability.
HEIGHTS = tuple((number + 0.5) / RATER_STEPS for number in range(RATER_STEPS))
HALF = 0.5


def labels_at(probability: np.ndarray, height: float = HALF) -> np.ndarray:
    """Return the most probable class where it outweighs the background.

    Parameters
    ----------
    probability
        Of the foreground classes × 255, uint8 (rater, class, ...).
    height
        Between 0 and 1; above one half the background has to be less probable by that
        much: a voxel is in class c if p_c · (1 − height) > p_background · height. With
        one class that is p > height, and one half means the largest of all.

    Returns
    -------
    array
        Class ids, uint8 (rater, ...).
    """
    if probability.shape[1] == 1:
        return (probability[:, 0] > 255 * height).astype(np.uint8)
    best = probability.max(axis=1)
    background = 255 - probability.sum(axis=1, dtype=np.float32)
    is_inside = best * (1 - height) > background.clip(min=0) * height
    labels = probability.argmax(axis=1).astype(np.uint8) + np.uint8(1)
    return np.where(is_inside, labels, np.uint8(0))


def masks_held_possible(probability: np.ndarray) -> np.ndarray:
    """Return the labels of all raters at all heights, uint8 (rater · height, ...)."""
    return np.concatenate([labels_at(probability, height) for height in HEIGHTS])
