"""Class ids in memory that remember what was read, and take edits."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.objects import Edit

TOUCHING = np.ones((3, 3, 3), bool)


class Painted:
    def __init__(self, shape: Zyx, empty: int = 0) -> None:
        self.values = np.full(shape, empty, np.uint8)
        self.read: list[Box] = []

    @property
    def shape(self) -> Zyx:
        return self.values.shape

    def __call__(self, box: Box) -> np.ndarray:
        assert Box.whole(self.shape).contains(box), f"{box} is not in the volume"
        self.read.append(box)
        return self.values[box.slices].copy()

    def add(self, box: Box, class_id: int = 1) -> None:
        self.values[box.slices] = class_id

    def add_ball(
        self, centre: Zyx, radius: float, class_id: int = 1, voxel_size=(1, 1, 1)
    ) -> None:
        self.values[ball(self.shape, centre, radius, voxel_size)] = class_id

    def apply(self, edit: Edit | None) -> None:
        assert edit is not None
        part = self.values[edit.box.slices]
        part[edit.mask] = np.broadcast_to(edit.values, part.shape)[edit.mask]

    def objects(self, class_id: int = 1) -> tuple[np.ndarray, int]:
        return ndimage.label(self.values == class_id, TOUCHING)

    def n_objects(self, class_id: int = 1) -> int:
        return self.objects(class_id)[1]

    def n_voxels(self, class_id: int = 1) -> int:
        return int((self.values == class_id).sum())


def ball(shape: Zyx, centre: Zyx, radius: float, voxel_size=(1, 1, 1)) -> np.ndarray:
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    squares = [
        ((g - c) * v) ** 2 for g, c, v in zip(grid, centre, voxel_size, strict=True)
    ]
    return sum(squares) <= radius**2
