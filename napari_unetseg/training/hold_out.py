"""Which labelled regions are not learned from: a model is measured there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from napari_unetseg.geometry import Box

HELD_OUT = 0.2
LEAST_TO_JUDGE = 3  # regions: with fewer, two versions cannot be compared
MOST_HELD_OUT = 8  # more would cost labels and make the figure little better
MIN_REGIONS_TO_SPLIT = 5
MIN_REGIONS_TO_JUDGE = 8  # of these, three may be held out
LEFT_OF_CLASS = 0.6


def held_out_boxes(
    found: Mapping[Box, Mapping[int, np.ndarray]],
    rng: np.random.Generator,
    learned: Sequence[Box] = (),
    whole: Collection[Box] = (),
) -> tuple[Box, ...]:
    """Return boxes that are measured and not learned from; they overlap no other.

    With few boxes none is held out: every label counts more than the figure. No class
    loses more than a part of its labels. Boxes with objects come before those with
    background alone, which say nothing of how well objects are found, and those with
    classes that are in many boxes first: a class is judged if several of them have it.

    Parameters
    ----------
    found
        Labelled voxels per box and class.
    learned
        Boxes that come last, as they were learned from before.
    whole
        Boxes that come first, as all of their voxels are labelled: of those that
        somebody changed a new model always knows more. They may overlap the others,
        whose labels are hidden in them.
    """
    if len(found) < MIN_REGIONS_TO_SPLIT:
        return ()
    left: dict[int, int] = {}
    for classes in found.values():
        for class_id, at in classes.items():
            left[class_id] = left.get(class_id, 0) + len(at)
    least = {class_id: LEFT_OF_CLASS * n for class_id, n in left.items()}
    boxes = list(found)
    held: list[Box] = []
    shuffled = [boxes[i] for i in rng.permutation(len(boxes))]

    n_boxes = Counter(class_id for classes in found.values() for class_id in classes)
    n_boxes[0] = 0

    def rank(box: Box) -> tuple[bool, bool, int]:
        worth = sum(n_boxes[class_id] for class_id in found[box])
        return overlaps_any(box, learned), box not in whole, -worth

    for box in sorted(shuffled, key=rank):
        if len(held) == _how_many(len(found)):
            break
        costs = {class_id: len(at) for class_id, at in found[box].items()}
        others = [other for other in (whole if box in whole else boxes) if other != box]
        is_alone = not overlaps_any(box, (*others, *held))
        if is_alone and all(left[c] - n >= least[c] for c, n in costs.items()):
            held.append(box)
            left |= {c: left[c] - n for c, n in costs.items()}
    return tuple(held)


def without(box: Box, holes: Iterable[Box]) -> tuple[Box, ...]:
    """Return what is left of a box, in pieces that do not overlap."""
    pieces: tuple[Box, ...] = (box,)
    for hole in holes:
        pieces = tuple(part for piece in pieces for part in piece.minus(hole))
    return pieces


def overlaps_any(box: Box, others: Iterable[Box]) -> bool:
    """Whether a box shares a voxel with one of the others."""
    return any(box.overlaps(other) for other in others)


def _how_many(n_boxes: int) -> int:
    least = LEAST_TO_JUDGE if n_boxes >= MIN_REGIONS_TO_JUDGE else 1
    return min(MOST_HELD_OUT, max(least, round(HELD_OUT * n_boxes)))
