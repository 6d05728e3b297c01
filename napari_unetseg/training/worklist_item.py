"""A region worth a look, and how large one is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from napari_unetseg.geometry import Box, Zyx

TILE_VOXELS = 2**17  # 32 × 64 × 64 if voxels are cubes


@dataclass(frozen=True)
class WorkItem:
    """A region worth a look.

    Attributes
    ----------
    box, centre
        Where, and the voxel in it that it is listed for; level-0 voxels, zyx.
    class_id
        The class it is about.
    score
        0 to 1.
    reason
        Why it is listed, for a person.
    map_name
        The map that it was found in, one of :data:`napari_unetseg.config.MAPS`; "" if
        none.
    """

    box: Box
    centre: Zyx
    class_id: int
    score: float
    reason: str
    map_name: str = ""
    state: str = "open"

    @property
    def why(self) -> str:
        """The reason, and the score if it is one of a map."""
        return f"{self.reason} · {self.score:.2f}" if self.map_name else self.reason


def tile_for(voxel_size: Sequence[float]) -> Zyx:
    """Return a region of powers of two, flat where sections are thick."""
    z, y, x = voxel_size
    thickness = max(z / min(y, x), 1.0)
    depth = 2 ** max(0, round(5 - math.log2(thickness) * 2 / 3))
    edge: int = 2 ** round(math.log2(TILE_VOXELS / depth) / 2)
    return depth, edge, edge
