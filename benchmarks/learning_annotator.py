"""Somebody who knows the truth and puts slices right, and how long that would take.

In each region of the worklist one slice is painted, all of it, background too, as
methods of interactive annotation are usually simulated. Every second slice is confirmed
as a whole besides: that is what the gate compares versions on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from benchmarks.learning_sets import LearningSet
from napari_unetseg.app.project import Project
from napari_unetseg.config import WorklistStrategy
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.hce import human_effort
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.training.worklist import rank_regions

ANNOTATOR = "truth"
LOOK_S, POINT_S = 10.0, 1.5  # to find and judge a region; for a corner or a click
CONFIRMED = 2  # every so many slices
_MANY = 1000  # regions asked of the worklist: those that must not be labelled go


def pick(
    project: Project, data: LearningSet, strategy: WorklistStrategy, n: int, seed: int
) -> list[Box]:
    """Return slices to paint in ``n`` regions of the worklist, the best first."""
    predictions = project.predictions()
    if predictions is None:
        raise RuntimeError("There is no prediction to correct.")
    if n == 0:
        return []
    labelled = project.corrections.read_all(Box.whole(data.new.truth.shape)) != UNSET
    items = rank_regions(
        predictions,
        project.corrections,
        volume_shape=zyx(data.new.truth.shape),
        n=_MANY,
        tile=data.tile,
        strategy=strategy,
        seed=seed,
    )
    slices: list[Box] = []
    for item in items:
        is_open = data.open.holds(item.centre)
        found = slice_of(item.centre, data, labelled) if is_open else None
        if found is not None:
            labelled[found.slices] = True
            slices.append(found)
        if len(slices) == n:
            break
    return slices


def slice_of(centre: Zyx, data: LearningSet, labelled: np.ndarray) -> Box | None:
    """Return the slice of a region that is nearest to a voxel and has no labels."""
    tile = _tile_at(centre, data)
    (first, *start), (last, *stop) = tile.start, tile.stop
    for z in sorted(range(first, last), key=lambda z: abs(z - centre[0])):
        box = Box(zyx((z, *start)), zyx((z + 1, *stop)))
        if not labelled[box.slices].any():
            return box
    return None


def paint(project: Project, data: LearningSet, slices: Sequence[Box]) -> float:
    """Paint the truth in slices; return how many minutes a person would take.

    Minutes are simulated: to find each region, and a moment for every corner of the
    outlines of what is wrong there (human correction effort).
    """
    predictions, ids = project.predictions(), range(1, len(data.class_names) + 1)
    seconds = 0.0
    for number, box in enumerate(slices):
        truth = data.new.truth[box.slices]
        if predictions is not None:
            effort = human_effort(predictions.read_labels(box), truth, ids)
            seconds += POINT_S * sum(each.total for each in effort.values())
        seconds += LOOK_S
        commit(project, box, truth)
        if number % CONFIRMED == 0:
            confirm(project, box)
    return seconds / 60


def put_right(
    project: Project, data: LearningSet, strategy: WorklistStrategy, n: int, seed: int
) -> tuple[list[Box], float]:
    """Paint ``n`` slices that the worklist names; return them, and the minutes."""
    slices: list[Box] = []
    minutes = 0.0
    # What is named at once lies apart; with that labelled, more is named.
    while found := pick(project, data, strategy, n - len(slices), seed):
        minutes += paint(project, data, found)
        slices += found
    return slices, minutes


def commit(project: Project, box: Box, values: np.ndarray) -> None:
    """Say what all voxels of a box are."""
    project.corrections.commit(
        box,
        np.ones(box.shape, bool),
        values,
        annotator=ANNOTATOR,
        tool="truth",
        model_version=project.active_model,
    )


def confirm(project: Project, box: Box) -> None:
    """Say that a box is right as it is now."""
    project.corrections.add_reviewed(
        box, ANNOTATOR, project.active_model, state="corrected"
    )


def regions_needed(curve: Sequence[tuple[int, float]], level: float) -> float | None:
    """Return after how many regions a Dice is reached; None if it never is.

    Parameters
    ----------
    curve
        Regions so far and the Dice that they led to, from no region on; between two of
        them Dice is taken to grow evenly.
    """
    if curve[0][1] >= level:
        return float(curve[0][0])
    for (n, dice), (more, higher) in itertools.pairwise(curve):
        if higher >= level:
            return n + (more - n) * (level - dice) / (higher - dice)
    return None


def common_level(curves: Sequence[Sequence[tuple[int, float]]]) -> float:
    """Return the highest Dice that all curves reach."""
    return min(max(dice for _, dice in curve) for curve in curves)


def _tile_at(voxel: Zyx, data: LearningSet) -> Box:
    return Box.around(voxel, (1, 1, 1)).aligned(data.tile).intersection(data.open)
