"""What a person gives to a tool: where, and whether it belongs to the object."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from napari_unetseg.geometry import Box, Zyx, zyx


@dataclass(frozen=True)
class Click:
    """A click on a voxel.

    Attributes
    ----------
    point
        zyx.
    positive
        False: what is here does not belong to the object.
    """

    point: Zyx
    positive: bool = True

    @property
    def points(self) -> tuple[Zyx, ...]:
        """The clicked voxel alone."""
        return (self.point,)


@dataclass(frozen=True)
class Scribble:
    """A line drawn through an object, or through what does not belong to it.

    Attributes
    ----------
    corners
        Where the line bends, zyx.
    """

    corners: tuple[Zyx, ...]
    positive: bool = True

    @property
    def points(self) -> tuple[Zyx, ...]:
        """All voxels of the line, in order and each once."""
        voxels = list(self.corners[:1])
        for a, b in pairwise(self.corners):
            n = max(abs(q - p) for p, q in zip(a, b, strict=True))
            steps = np.linspace(a, b, n + 1)[1:]
            voxels += [zyx(voxel) for voxel in np.rint(steps)]
        return tuple(dict.fromkeys(voxels))


@dataclass(frozen=True)
class BoxPrompt:
    """A box drawn around an object: nothing outside of it belongs to the object.

    But what is marked as inside later, see :func:`limits_of`.
    """

    box: Box


def drawn_box(first: Zyx, last: Zyx, voxel_size: Sequence[float]) -> Box:
    """Return the box of a rectangle drawn in a slice, as deep as it is wide.

    Parameters
    ----------
    first, last
        Opposite corners, both inside; they share the coordinate of the slice.
    voxel_size
        zyx, in any unit.
    """
    corners = np.array([first, last])
    start, stop = corners.min(axis=0), corners.max(axis=0) + 1
    flat = int(np.argmin(stop - start))
    sides = np.delete((stop - start) * np.asarray(voxel_size), flat)
    half = int(np.sqrt(sides.prod()) / 2 / voxel_size[flat])
    start[flat], stop[flat] = start[flat] - half, stop[flat] + half
    return Box(zyx(start), zyx(stop))


Prompt: TypeAlias = Click | Scribble | BoxPrompt


def marked(prompts: Iterable[Prompt]) -> tuple[list[Zyx], list[Zyx]]:
    """Return the voxels that were marked as inside, and those marked as outside.

    What was said last of a voxel counts.
    """
    said: dict[Zyx, bool] = {}
    for prompt in prompts:
        if not isinstance(prompt, BoxPrompt):
            said |= dict.fromkeys(prompt.points, prompt.positive)
    inside = [point for point, positive in said.items() if positive]
    return inside, [point for point, positive in said.items() if not positive]


def thinned(points: list[Zyx], n: int) -> list[Zyx]:
    """Return at most ``n`` of the points, evenly spread over them."""
    return points[:: math.ceil(len(points) / n)] if points else []


def drawn_around(prompts: Iterable[Prompt], shape: Zyx) -> Box:
    """Return what all drawn boxes share of a volume; all of it if there are none."""
    drawn = Box.whole(shape)
    for prompt in prompts:
        if isinstance(prompt, BoxPrompt):
            drawn = drawn.intersection(prompt.box)
    return drawn


def limits_of(prompts: Iterable[Prompt], shape: Zyx) -> Box:
    """Return the box outside of which nothing belongs to the object.

    Who marks something outside of a drawn box as inside has drawn it too small: it is
    widened to there, and by half its length beyond.
    """
    prompts, whole = tuple(prompts), Box.whole(shape)
    drawn = limits = drawn_around(prompts, shape)
    if drawn.is_empty:
        return drawn
    for point in marked(prompts)[0]:
        if whole.holds(point) and not drawn.holds(point):
            beyond = [
                0 if a <= p < b else n // 2
                for a, p, b, n in zip(
                    drawn.start, point, drawn.stop, drawn.shape, strict=True
                )
            ]
            wider = Box.around(point, (1, 1, 1)).grown(beyond).clipped(shape)
            limits = limits.hull(wider)
    return limits
