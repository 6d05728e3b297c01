"""One pass over a volume that counts the vote patterns, block by block, in threads.

::

    block + halo ──▶ patterns ──▶ whole volume
                        ├──▶ boxes that somebody named
                        └──▶ near the objects: no farther than a margin from a voxel
                             that any rater gave to a class

The margin is measured in the block and a halo as wide as it, so that the block size
does not matter. Far from all objects everybody agrees on background, which makes
measures of the whole volume look good; near the objects they say more.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias, TypeVar

import numpy as np
from scipy import ndimage

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import Ratings
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.vote_patterns import (
    Pattern,
    PatternTable,
    counted,
    encoded,
    is_object,
)
from napari_unetseg.errors import LabelsError, MemoryBudgetError
from napari_unetseg.geometry import BlockGrid, Box, Zyx, zyx

BLOCK: Zyx = (64, 128, 128)
MOST_VOXELS = 2**23
"""Of a block with its margin; distances take some 50 bytes per voxel and thread."""
_MOST_THREADS = 4
_ROUNDING = 1e-6
T = TypeVar("T")


@dataclass(frozen=True)
class Margin:
    """How far around the objects voxels count as near.

    Attributes
    ----------
    radius
        Of a ball, in voxels or in µm.
    is_um
        Whether it is in µm; a ball is then flat where sections are thick.
    """

    radius: float = 5.0
    is_um: bool = False

    def __str__(self) -> str:
        return f"{self.radius:g} {'µm' if self.is_um else 'voxels'}"

    def steps(self, voxel_size_um: Sequence[float]) -> tuple[float, float, float]:
        """Return what a step along z, y, x is in the unit of the radius."""
        z, y, x = voxel_size_um if self.is_um else (1.0, 1.0, 1.0)
        return z, y, x

    def halo(self, voxel_size_um: Sequence[float]) -> Zyx:
        """Return the radius in whole voxels along z, y, x."""
        steps = self.steps(voxel_size_um)
        return zyx(math.floor(self.radius / step + _ROUNDING) for step in steps)

    def around(self, mask: np.ndarray, voxel_size_um: Sequence[float]) -> np.ndarray:
        """Return which voxels are no farther than the radius from those of a mask."""
        is_near = np.zeros(mask.shape, bool)
        if not mask.any():
            return is_near
        for held in ndimage.find_objects(mask.view(np.uint8)):
            # Nothing farther out can be near, and distances take time.
            box = Box.from_slices(held).grown(self.halo(voxel_size_um))
            part = box.clipped(mask.shape).slices
            distance = ndimage.distance_transform_edt(
                ~mask[part], sampling=self.steps(voxel_size_um)
            )
            is_near[part] = distance <= self.radius * (1 + _ROUNDING)
        return is_near


@dataclass(frozen=True)
class VoteCounts:
    """Vote patterns of a volume and of its parts.

    Attributes
    ----------
    whole, near
        Of all voxels; of those near the objects.
    regions
        Of the boxes that were asked for, by name.
    """

    whole: PatternTable
    near: PatternTable
    regions: Mapping[str, PatternTable] = field(default_factory=dict)


def count_votes(
    ratings: Ratings,
    *,
    margin: Margin | None = None,
    regions: Mapping[str, Box] | None = None,
    block: Zyx = BLOCK,
    threads: int = 0,
    steps: Steps | None = None,
) -> VoteCounts:
    """Count what the raters of a volume said together.

    Blocks of which nobody has stored anything are counted without reading.

    Parameters
    ----------
    margin
        How far around the objects is near; 5 voxels if None.
    regions
        Boxes inside the volume that are counted by themselves too.
    block
        What is read at a time, zyx.
    threads
        0: as many as there are cores, at most four.
    steps
        Takes a step per block.

    Raises
    ------
    LabelsError
        If labels are no classes, or a region is not inside the volume.
    MemoryBudgetError
        If the margin is so wide that a block with it does not fit into memory.
    Cancelled
        If somebody asked to stop.
    """
    regions = dict(regions or {})
    _check_regions(regions, ratings.shape)
    counting = _Counting(ratings, margin or Margin(), regions)
    halo = counting.margin.halo(ratings.voxel_size_um)
    _check_memory(ratings.shape, block, halo, counting.margin)
    grid = BlockGrid(ratings.shape, block, halo)
    total: dict[_Part, Counter[Pattern]] = {}
    boxes = ((b.write_box, b.read_box) for b in grid)
    for found in in_threads(counting.count, boxes, threads):
        if steps is not None:
            steps.check()
            steps.done()
        for key, votes in found.items():
            total.setdefault(key, Counter()).update(votes)
    tables = {
        key: PatternTable(ratings.names, dict(total.get(key, {})))
        for key in (_WHOLE, _NEAR, *map(_region, regions))
    }
    return VoteCounts(
        tables[_WHOLE], tables[_NEAR], {n: tables[_region(n)] for n in regions}
    )


def in_threads(
    work: Callable[[tuple[Box, Box]], T],
    boxes: Iterable[tuple[Box, Box]],
    threads: int = 0,
) -> Iterator[T]:
    """Yield the results for boxes in order; few are held at a time.

    Whoever stops taking results stops the work.
    """
    n = threads or min(_MOST_THREADS, os.cpu_count() or 1)
    waiting = iter(boxes)
    executor = ThreadPoolExecutor(n, thread_name_prefix="unetseg-votes")
    try:
        begun = [executor.submit(work, box) for box in islice(waiting, 2 * n)]
        while begun:
            yield begun.pop(0).result()
            begun += [executor.submit(work, box) for box in islice(waiting, 1)]
    finally:
        executor.shutdown(cancel_futures=True)


_Part: TypeAlias = tuple[str, str]
_WHOLE, _NEAR = ("whole", ""), ("near", "")


def _region(name: str) -> _Part:
    return "region", name


@dataclass(frozen=True)
class _Counting:
    """The work on one block; any thread may do it."""

    ratings: Ratings
    margin: Margin
    regions: Mapping[str, Box]

    def count(self, boxes: tuple[Box, Box]) -> dict[_Part, dict[Pattern, int]]:
        """Return the patterns of a block by table."""
        box, around = boxes
        same = self.ratings.values_all_over(around)
        if same is not None:
            return self._count_same(box, same)
        values = self.ratings.read(around)
        inner = box.relative_to(around).slices
        codes, patterns = encoded([v[inner] for v in values])
        objects = np.zeros(around.shape, bool)
        for value in values:
            objects |= (value != 0) & (value != UNSET)
        is_near = self.margin.around(objects, self.ratings.voxel_size_um)[inner]
        found = {
            _WHOLE: counted(codes, patterns),
            _NEAR: counted(codes[is_near], patterns),
        }
        for name, region in self.regions.items():
            part = region.intersection(box).relative_to(box)
            if not part.is_empty:
                found[_region(name)] = counted(codes[part.slices], patterns)
        return found

    def _count_same(
        self, box: Box, pattern: Pattern
    ) -> dict[_Part, dict[Pattern, int]]:
        found: dict[_Part, dict[Pattern, int]] = {
            _WHOLE: {pattern: box.n_voxels},
            _NEAR: {pattern: box.n_voxels} if is_object(np.array(pattern)) else {},
        }
        for name, region in self.regions.items():
            n = region.intersection(box).n_voxels
            if n:
                found[_region(name)] = {pattern: n}
        return found


def n_blocks(shape: Zyx, block: Zyx = BLOCK) -> int:
    """Return how many blocks a volume of this shape has."""
    return len(BlockGrid(shape, block))


def _check_memory(shape: Zyx, block: Zyx, halo: Zyx, margin: Margin) -> None:
    lengths = (min(n, b + 2 * h) for n, b, h in zip(shape, block, halo, strict=True))
    n_voxels = math.prod(lengths)
    if n_voxels > max(MOST_VOXELS, math.prod(block)):
        raise MemoryBudgetError(
            f"A margin of {margin} around the objects is too wide to be measured",
            got=f"blocks of {n_voxels:,} voxels with it",
            expected=f"at most {MOST_VOXELS:,}",
            do="Choose a smaller margin.",
        )


def _check_regions(regions: Mapping[str, Box], shape: Zyx) -> None:
    for name, region in regions.items():
        if not name:
            raise LabelsError("A region has no name")
        if region.is_empty or not Box.whole(shape).contains(region):
            raise LabelsError(
                f"The region {name} is not inside the volume",
                got=str(region),
                expected=f"inside {shape}",
            )
