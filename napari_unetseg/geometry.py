"""Boxes, blocks and grids: integers only, axis order z y x.

One block seen along one axis; the network sees the read box, the write box is
kept, and the halo between them is cropped away::

    volume   0 ───────────────────────────────────────────────────── shape
    grid     ├─────── block 0 ──────┼────── block 1 ──────┼─ block 2 ─┤
    block 1                         ├───── write_box ─────┤
                          ├─ halo ──┤                     ├─ halo ──┤
                       ├───────────── read_box ─────────────────────┤
                       ^ moved outwards to a multiple of the network's stride

No index arithmetic on boxes stands anywhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TypeAlias

Zyx: TypeAlias = tuple[int, int, int]


def zyx(values: Iterable[int]) -> Zyx:
    """Return three plain integers in the order z y x."""
    z, y, x = (int(value) for value in values)
    return z, y, x


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open cuboid of voxels: ``start`` belongs to it, ``stop`` does not."""

    start: Zyx
    stop: Zyx

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        """Return the box that covers an array of this zyx shape."""
        return cls((0, 0, 0), zyx(shape))

    @classmethod
    def around(cls, centre: Sequence[int], shape: Sequence[int]) -> Box:
        """Return a box of this shape whose middle voxel is ``centre``."""
        start = zyx(c - n // 2 for c, n in zip(centre, shape, strict=True))
        return cls(start, zyx(a + n for a, n in zip(start, shape, strict=True)))

    @classmethod
    def from_slices(cls, slices: Sequence[slice]) -> Box:
        """Return the box that these three bounded slices select."""
        return cls(zyx(s.start for s in slices), zyx(s.stop for s in slices))

    @property
    def shape(self) -> Zyx:
        """Length along z, y, x; never negative."""
        return zyx(max(0, b - a) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def n_voxels(self) -> int:
        """How many voxels the box holds."""
        return math.prod(self.shape)

    @property
    def is_empty(self) -> bool:
        """Whether the box holds no voxel."""
        return self.n_voxels == 0

    @property
    def centre(self) -> Zyx:
        """The middle voxel."""
        return zyx((a + b) // 2 for a, b in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index into a zyx array."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def shifted(self, offset: Sequence[int]) -> Box:
        """Return the box moved by ``offset`` voxels."""
        return Box(
            zyx(a + o for a, o in zip(self.start, offset, strict=True)),
            zyx(b + o for b, o in zip(self.stop, offset, strict=True)),
        )

    def relative_to(self, origin: Box) -> Box:
        """Return the box as seen from the corner of ``origin``."""
        return self.shifted(zyx(-a for a in origin.start))

    def local(self, point: Sequence[int]) -> Zyx:
        """Return a voxel as seen from the corner of the box."""
        return zyx(p - a for p, a in zip(point, self.start, strict=True))

    def grown(self, margin: int | Sequence[int]) -> Box:
        """Return the box with ``margin`` more voxels on every side."""
        margins = (margin,) * 3 if isinstance(margin, int) else zyx(margin)
        return Box(
            zyx(a - m for a, m in zip(self.start, margins, strict=True)),
            zyx(b + m for b, m in zip(self.stop, margins, strict=True)),
        )

    def aligned(self, step: Sequence[int]) -> Box:
        """Return the smallest box of whole ``step`` cells that holds this one."""
        return Box(
            zyx(a // s * s for a, s in zip(self.start, step, strict=True)),
            zyx(-(-b // s) * s for b, s in zip(self.stop, step, strict=True)),
        )

    def coarser(self, step: Sequence[int]) -> Box:
        """Return the box in voxels that are ``step`` times as large, grown to them."""
        grown = self.aligned(step)
        return Box(
            zyx(a // s for a, s in zip(grown.start, step, strict=True)),
            zyx(b // s for b, s in zip(grown.stop, step, strict=True)),
        )

    def clipped(self, shape: Sequence[int]) -> Box:
        """Return the part of the box inside an array of this shape."""
        return self.intersection(Box.whole(shape))

    def intersection(self, other: Box) -> Box:
        """Return what both boxes share; empty if they do not touch."""
        start = zyx(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = zyx(min(a, b) for a, b in zip(self.stop, other.stop, strict=True))
        return Box(start, zyx(max(a, b) for a, b in zip(start, stop, strict=True)))

    def minus(self, other: Box) -> tuple[Box, ...]:
        """Return what is left without ``other``: up to six boxes, none overlapping.

        Examples
        --------
        >>> Box((0, 0, 0), (1, 1, 9)).minus(Box((0, 0, 3), (1, 1, 5)))
        (Box(start=(0, 0, 0), stop=(1, 1, 3)), Box(start=(0, 0, 5), stop=(1, 1, 9)))
        """
        hole = self.intersection(other)
        if hole.is_empty:
            return (self,)
        pieces, start, stop = [], list(self.start), list(self.stop)
        for axis in range(3):
            a, b = start[axis], stop[axis]
            for low, high in ((a, hole.start[axis]), (hole.stop[axis], b)):
                start[axis], stop[axis] = low, high
                pieces.append(Box(zyx(start), zyx(stop)))
            start[axis], stop[axis] = hole.start[axis], hole.stop[axis]
        return tuple(piece for piece in pieces if not piece.is_empty)

    def hull(self, other: Box) -> Box:
        """Return the smallest box that holds both."""
        return Box(
            zyx(min(a, b) for a, b in zip(self.start, other.start, strict=True)),
            zyx(max(a, b) for a, b in zip(self.stop, other.stop, strict=True)),
        )

    def overlaps(self, other: Box) -> bool:
        """Whether the boxes share a voxel."""
        return not self.intersection(other).is_empty

    def contains(self, other: Box) -> bool:
        """Whether ``other`` lies inside this box."""
        return self.intersection(other) == other

    def holds(self, point: Sequence[int]) -> bool:
        """Whether the voxel ``point`` lies inside this box."""
        return all(
            a <= p < b for a, p, b in zip(self.start, point, self.stop, strict=True)
        )

    def cells(self, step: Sequence[int]) -> Iterator[Box]:
        """Yield the cells of a grid of ``step`` that touch this box, in C order."""
        whole = self.aligned(step)
        ranges = (
            range(a, b, s)
            for a, b, s in zip(whole.start, whole.stop, step, strict=True)
        )
        for start in product(*ranges):
            corner = zyx(start)
            yield Box(corner, zyx(a + s for a, s in zip(corner, step, strict=True)))

    def __str__(self) -> str:
        axes = zip("zyx", self.start, self.stop, strict=True)
        return " ".join(f"{name} {a}:{b}" for name, a, b in axes)


@dataclass(frozen=True, slots=True)
class Block:
    """One unit of work: read ``read_box``, write ``write_box``.

    ``write_box`` is made of whole chunks of the output (cut at the volume's end),
    and no two blocks of a grid share a voxel of it. ``read_box`` is ``write_box``
    grown by the halo, moved outwards to the network's stride, cut at the volume.
    """

    index: int
    write_box: Box
    read_box: Box

    @property
    def inner(self) -> Box:
        """``write_box`` as seen from the corner of ``read_box``."""
        return self.write_box.relative_to(self.read_box)


@dataclass(frozen=True)
class BlockGrid:
    """A volume cut into blocks, numbered in C order.

    Parameters
    ----------
    shape
        Shape of the volume, zyx.
    block
        Shape of a write box: whole output chunks, and whole strides.
    halo
        Voxels read beyond the write box on every side.
    stride
        Total stride of the network; every read box starts on a multiple of it.

    Raises
    ------
    ValueError
        If a length is not positive, or ``block`` is no multiple of ``stride``.
    """

    shape: Zyx
    block: Zyx
    halo: Zyx = (0, 0, 0)
    stride: Zyx = (1, 1, 1)

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or min(self.block) < 1 or min(self.stride) < 1:
            raise ValueError(f"Lengths of a grid must be positive: got {self}.")
        if min(self.halo) < 0:
            raise ValueError(f"A halo cannot be negative: got {self.halo}.")
        if any(b % s for b, s in zip(self.block, self.stride, strict=True)):
            raise ValueError(
                f"A block must be whole strides: got {self.block} and {self.stride}."
            )

    @cached_property
    def counts(self) -> Zyx:
        """Number of blocks along z, y, x."""
        return zyx(-(-n // b) for n, b in zip(self.shape, self.block, strict=True))

    def __len__(self) -> int:
        return math.prod(self.counts)

    def __iter__(self) -> Iterator[Block]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Block:
        if not 0 <= index < len(self):
            raise IndexError(f"Block {index} of {len(self)}.")
        _, ny, nx = self.counts
        place = (index // (ny * nx), index // nx % ny, index % nx)
        start = zyx(p * b for p, b in zip(place, self.block, strict=True))
        stop = zyx(a + b for a, b in zip(start, self.block, strict=True))
        write_box = Box(start, stop).clipped(self.shape)
        read_box = write_box.grown(self.halo).aligned(self.stride).clipped(self.shape)
        return Block(index, write_box, read_box)

    def touching(self, box: Box) -> tuple[int, ...]:
        """Return the indices of all blocks whose write box shares a voxel with ``box``.

        Examples
        --------
        >>> BlockGrid((8, 8, 8), (4, 4, 4)).touching(Box((0, 0, 3), (1, 1, 5)))
        (0, 1)
        """
        inside = box.clipped(self.shape)
        if inside.is_empty:
            return ()
        _, ny, nx = self.counts
        ranges = (
            range(a // b, -(-e // b))
            for a, e, b in zip(inside.start, inside.stop, self.block, strict=True)
        )
        return tuple((z * ny + y) * nx + x for z, y, x in product(*ranges))
