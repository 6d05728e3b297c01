"""A person who clicks, played by a robot, and the tools that it is given.

The first click is the deepest voxel of the object. Each next one is the deepest voxel
of what is missing or of what is too much, whichever is deeper: the robot of RITM
(Sofiiuk et al., 2021) in 3D, with missing and surplus kept apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import ndimage
from skimage.segmentation import flood, random_walker

from benchmarks.click_sets import Scene
from napari_unetseg.errors import NothingHereError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.click_segmenter import ClickResult, segment
from napari_unetseg.interactive.prompts import Click

Clicks: TypeAlias = tuple[Click, ...]
Found: TypeAlias = tuple[Box, np.ndarray]
Tool: TypeAlias = Callable[[Clicks], Found]

MOST_CLICKS = 20
WALKER_VOXELS = 40_000
_MARGIN = 12  # finest voxels


@dataclass(frozen=True)
class Trial:
    """What was reached on one object.

    Attributes
    ----------
    dice, seconds
        After each click.
    """

    dice: tuple[float, ...]
    seconds: tuple[float, ...]

    def clicks_to(self, dice: float) -> int:
        """Return how many clicks it took, :data:`MOST_CLICKS` if it never did."""
        reached = (n for n, value in enumerate(self.dice, start=1) if value >= dice)
        return next(reached, MOST_CLICKS)


def click_object(scene: Scene, number: int, tool: Tool, enough: float) -> Trial:
    """Click until the Dice of an object is enough, or :data:`MOST_CLICKS` times."""
    box = scene.boxes[number - 1]
    truth: Found = box, scene.objects[box.slices] == number
    spacing = _spacing(scene)
    first, _ = deepest(truth[1], spacing)
    clicks: Clicks = (Click(_shifted(first, box)),)
    dice, seconds = [], []
    while True:
        started = time.perf_counter()
        try:
            found = tool(clicks)
        except NothingHereError:
            found = _voxel(clicks[0].point)
        seconds.append(time.perf_counter() - started)
        hull = box.hull(found[0])
        wanted, got = _placed(truth, hull), _placed(found, hull)
        dice.append(2 * float((wanted & got).sum()) / float(wanted.sum() + got.sum()))
        if dice[-1] >= enough or len(clicks) == MOST_CLICKS:
            break
        missing, depth = deepest(wanted & ~got, spacing)
        surplus, too_deep = deepest(got & ~wanted, spacing)
        click = (
            Click(_shifted(missing, hull))
            if depth >= too_deep
            else Click(_shifted(surplus, hull), positive=False)
        )
        if click in clicks:
            break  # the tool does not listen: it never gets there
        clicks = (*clicks, click)
    return Trial(tuple(dice), tuple(seconds))


def deepest(mask: np.ndarray, spacing: tuple[float, ...]) -> tuple[Zyx, float]:
    """Return the voxel farthest from the border, and how far it is; 0 of nothing."""
    if not mask.any():
        return (0, 0, 0), 0.0
    around = Box.from_slices(ndimage.find_objects(mask.view(np.uint8))[0])
    padded = np.pad(mask[around.slices], 1)
    depth = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1, 1:-1]
    at = zyx(np.unravel_index(int(depth.argmax()), depth.shape))
    return _shifted(at, around), float(depth.max())


# --- the tools ---------------------------------------------------------------------


def ours(scene: Scene, *, with_prediction: bool = True) -> Tool:
    """Return the product's own way: from zarr on disk to the preview."""
    before: ClickResult | None = None

    def tool(clicks: Clicks) -> Found:
        nonlocal before
        before = result = segment(
            clicks,
            scene.volume.shape,
            before=before,
            read_probability=(
                scene.predictions.read_probability if with_prediction else None
            ),
            read_image=lambda box: scene.volume.read(box)[0],
            voxel_size=scene.volume.voxel_size,
        )
        return result.box, result.mask

    return tool


def tier_0_alone(scene: Scene) -> Tool:
    """Return ours if each click found an object of its own, to be added or taken."""
    single = ours(scene)

    def grow(point: Zyx) -> Found:
        try:
            return single((Click(point),))
        except NothingHereError:
            return _voxel(point)

    return _sum_of(grow)


def image_flood(scene: Scene, number: int, tolerance: float) -> Tool:
    """Return the flood of scikit-image.

    Parameters
    ----------
    tolerance
        As a share of the range of the image, 1st to 99th percentile.
    """
    window, image = _window(scene, number)

    def grow(point: Zyx) -> Found:
        at = _relative(point, window)
        return window, flood(image, at, tolerance=tolerance, connectivity=1)

    return _sum_of(grow)


def image_walker(scene: Scene, number: int, beta: float) -> Tool:
    """Return the random walker of scikit-image; what closes its window is outside."""
    window, image = _window(scene, number)
    step = _coarse(window.shape, scene)
    coarse = image[:: step[0], :: step[1], :: step[2]]
    closed = [
        (a > 0, b < n)
        for a, b, n in zip(window.start, window.stop, scene.volume.shape, strict=True)
    ]
    spacing = [v * s for v, s in zip(_spacing(scene), step, strict=True)]

    def tool(clicks: Clicks) -> Found:
        seeds = np.zeros(coarse.shape, np.int32)
        for axis, (low, high) in enumerate(closed):
            side = np.moveaxis(seeds, axis, 0)
            side[0], side[-1] = (2 if low else side[0]), (2 if high else side[-1])
        for click in clicks:
            at = _relative(click.point, window)
            place = (p // s for p, s in zip(at, step, strict=True))
            # More than a voxel, which its noise would cut off from its surroundings.
            near = Box.around(tuple(place), (3, 3, 3)).clipped(coarse.shape)
            seeds[near.slices] = 1 if click.positive else 2
        if not (seeds == 2).any():
            return window, np.ones(window.shape, bool)
        labels = random_walker(
            coarse, seeds, beta=beta, mode="cg_j", tol=1e-3, spacing=spacing
        )
        mask = labels == 1
        for axis, times in enumerate(step):
            mask = np.repeat(mask, times, axis=axis)
        mask = mask[tuple(slice(0, n) for n in window.shape)]
        return window, mask

    return tool


def _sum_of(grow: Callable[[Zyx], Found]) -> Tool:
    """Return a tool that adds what grows from positive clicks and takes the rest."""
    known: dict[Zyx, Found] = {}

    def grown(point: Zyx) -> Found:
        if point not in known:
            known[point] = grow(point)
        return known[point]

    def tool(clicks: Clicks) -> Found:
        parts = [(click, *grown(click.point)) for click in clicks]
        hull = parts[0][1]
        for _, box, _ in parts:
            hull = hull.hull(box)
        whole = np.zeros(hull.shape, bool)
        for click, box, mask in parts:
            if click.positive:
                whole |= _placed((box, mask), hull)
        inside = [_relative(c.point, hull) for c in clicks if c.positive]
        for click, box, mask in parts:
            taken = _placed((box, mask), hull)
            # One that took a positive click too would take the object.
            if not click.positive and not any(taken[point] for point in inside):
                whole &= ~taken
        for click, _, _ in parts:
            whole[_relative(click.point, hull)] = click.positive
        return hull, whole

    return tool


def _window(scene: Scene, number: int) -> tuple[Box, np.ndarray]:
    """Return a window around the true object, and the smooth image in it.

    That it fits the object helps the tools that get it: nobody else tells them where
    to stop.
    """
    margin = zyx(np.ceil(_MARGIN / np.array(_spacing(scene))))
    window = scene.boxes[number - 1].grown(margin).clipped(scene.volume.shape)
    return window, scene.smooth[window.slices]


def _coarse(shape: Zyx, scene: Scene) -> Zyx:
    """Return a step, zyx, with which the random walker answers within seconds."""
    thin = [spacing < 2 for spacing in _spacing(scene)]
    step = zyx((1, 1, 1))
    while np.prod([-(-n // s) for n, s in zip(shape, step, strict=True)]) > (
        WALKER_VOXELS
    ):
        step = zyx(s + is_thin for s, is_thin in zip(step, thin, strict=True))
    return step


def _spacing(scene: Scene) -> tuple[float, ...]:
    """Return the voxel size in units of its shortest side."""
    size = scene.volume.voxel_size
    return tuple(length / min(size) for length in size)


def _placed(found: Found, hull: Box) -> np.ndarray:
    whole = np.zeros(hull.shape, bool)
    inner = found[0].intersection(hull)
    whole[inner.relative_to(hull).slices] = found[1][inner.relative_to(found[0]).slices]
    return whole


def _voxel(point: Zyx) -> Found:
    return Box.around(point, (1, 1, 1)), np.ones((1, 1, 1), bool)


def _shifted(point: Zyx, origin: Box) -> Zyx:
    return zyx(p + a for p, a in zip(point, origin.start, strict=True))


def _relative(point: Zyx, origin: Box) -> Zyx:
    return zyx(p - a for p, a in zip(point, origin.start, strict=True))
