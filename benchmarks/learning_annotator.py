"""Somebody who knows the truth and puts slices right, and how long that would take.

In each region of the worklist one slice is painted, all of it, background too, as
methods of interactive annotation are usually simulated. Every second slice is confirmed
as a whole besides: that is what the gate compares versions on.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from scipy import ndimage

from benchmarks.learning_sets import LearningSet
from napari_unetseg.app.project import Project
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.hce import human_effort
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.training.worklist import rank_regions

Strategy = Literal["uncertainty", "random", "scan"]

ANNOTATOR = "truth"
LOOK_S, POINT_S = 10.0, 1.5  # to find and judge a region; for a corner or a click
CONFIRMED = 2  # every so many slices
_MANY = 1000  # regions asked of the worklist: those that must not be labelled go


def pick(
    project: Project, data: LearningSet, strategy: Strategy, n: int, seed: int
) -> list[Box]:
    """Return slices to paint in ``n`` regions of the worklist, the best first."""
    predictions = project.predictions()
    if predictions is None:
        raise RuntimeError("There is no prediction to correct.")
    if n == 0:
        return []
    labelled = project.corrections.read_all(Box.whole(data.new.truth.shape)) != UNSET
    slices: list[Box] = []
    for centre in _centres(project, predictions, data, strategy, labelled, seed):
        found = slice_of(centre, data, labelled)
        if found is not None:
            labelled[found.slices] = True
            slices.append(found)
        if len(slices) == n:
            break
    return slices


def _centres(
    project: Project,
    predictions: PredictionStore,
    data: LearningSet,
    strategy: Strategy,
    labelled: np.ndarray,
    seed: int,
) -> Iterator[Zyx]:
    """Yield voxels of regions in the order in which somebody would look at them.

    The one place that knows which strategies the worklist has.
    """
    known = "strategy" in inspect.signature(rank_regions).parameters
    if not known and strategy != "uncertainty":
        predicted = predictions.read_labels(Box.whole(labelled.shape))
        yield from _ORDERS[strategy](predicted, data, labelled, seed)
        return
    options = {"strategy": strategy, "seed": seed} if known else {}
    items = rank_regions(
        predictions,
        project.corrections,
        volume_shape=zyx(data.new.truth.shape),
        n=_MANY,
        tile=data.tile,
        **options,  # type: ignore[arg-type]
    )
    yield from (item.centre for item in items if data.open.holds(item.centre))


def in_order(
    predicted: np.ndarray, data: LearningSet, labelled: np.ndarray, seed: int
) -> Iterator[Zyx]:
    """Yield the middles of regions in which something is predicted, in z y x order."""
    for tile in _tiles(data, labelled):
        if predicted[tile.slices].any():
            yield tile.centre


def near_objects(
    predicted: np.ndarray, data: LearningSet, labelled: np.ndarray, seed: int
) -> Iterator[Zyx]:
    """Yield random voxels: anywhere, of a class, or of a class's border.

    The baseline that is hard to beat (``random-label`` of nnActive, TMLR 2025).
    """
    rng = np.random.default_rng(seed)
    inside = predicted[data.open.slices]
    border = ndimage.grey_dilation(inside, 3) != ndimage.grey_erosion(inside, 3)
    masks = (np.ones(inside.shape, bool), inside > 0, border)
    kinds = [np.argwhere(mask) for mask in masks if mask.any()]
    left = {tile.start for tile in _tiles(data, labelled)}
    while left:
        places = kinds[int(rng.integers(len(kinds)))]
        at = places[int(rng.integers(len(places)))] + np.array(data.open.start)
        voxel = zyx(int(n) for n in at)
        start = _tile_at(voxel, data).start
        if start in left:
            left.remove(start)
            yield voxel


_ORDERS: dict[str, Callable[..., Iterator[Zyx]]] = {
    "scan": in_order,
    "random": near_objects,
}


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


def _tiles(data: LearningSet, labelled: np.ndarray) -> Iterator[Box]:
    """Yield the regions that have no labels, in z y x order."""
    for cell in data.open.cells(data.tile):
        tile = cell.intersection(data.open)
        if not labelled[tile.slices].any():
            yield tile


def _tile_at(voxel: Zyx, data: LearningSet) -> Box:
    return Box.around(voxel, (1, 1, 1)).aligned(data.tile).intersection(data.open)
