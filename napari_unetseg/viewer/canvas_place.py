"""Where the canvas is, in voxels of the volume; and how to go elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.visible_box import DEPTH, visible_box

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.viewer.project_layers import ProjectLayers


class CanvasPlace:
    """What the canvas shows of the open project, whose layers others put there."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._opened: ProjectLayers | None = None

    @property
    def point(self) -> Zyx:
        """The voxel in the middle of the canvas, on the current slice."""
        view = self.visible_box(depth=0)
        return (0, 0, 0) if view is None else view.centre

    @property
    def contrast_limits(self) -> tuple[float, float]:
        """Grey values of the first channel that are black and white."""
        if self._opened is None:
            return 0.0, 1.0
        low, high = self._opened.images[0].contrast_limits
        return float(low), float(high)

    def visible_box(self, depth: int = DEPTH) -> Box | None:
        """Return what the canvas shows, ``depth`` slices to either side."""
        if self._opened is None:
            return None
        return visible_box(
            self._viewer,
            self._opened.project.volume.shape,
            self._opened.project.volume.voxel_size,
            origin=self._opened.place["translate"],
            depth=depth,
        )

    def voxel_at(self, position: Any) -> tuple[int, int, int] | None:
        """Return the voxel under a world position, None outside of the volume."""
        if self._opened is None:
            return None
        place = self._opened.place
        point = np.asarray(position[-3:], dtype=float) - place["translate"]
        z, y, x = (int(v) for v in np.rint(point / place["scale"]))
        inside = Box.whole(self._opened.project.volume.shape).holds((z, y, x))
        return (z, y, x) if inside else None

    def place(self, box: Box) -> dict[str, Any]:
        """Return scale, translate and units of a layer that covers a box."""
        if self._opened is None:
            return {}
        place = dict(self._opened.place)
        corner = np.asarray(box.start) * place["scale"] + place["translate"]
        return {**place, "translate": tuple(corner)}

    def centre_on(self, point: Zyx) -> list[int]:
        """Move the view to a voxel; return the axes of the volume that are shown."""
        if self._opened is None:
            return []
        place = self._opened.place
        centre = np.asarray(point) * np.asarray(place["scale"]) + place["translate"]
        first = self._viewer.dims.ndim - 3
        for axis in range(3):
            self._viewer.dims.set_point(axis + first, centre[axis])
        camera, displayed = self._viewer.scene.camera, self._viewer.dims.displayed
        shown = [axis - first for axis in displayed if axis >= first]
        camera.center = (*camera.center[: 3 - len(shown)], *centre[shown])
        return shown

    def go_to(self, box: Box) -> None:
        """Move the view to a box: its middle slice, and a zoom that shows it."""
        if self._opened is None:
            return
        shown = self.centre_on(box.centre)
        scale, camera = (
            np.asarray(self._opened.place["scale"]),
            self._viewer.scene.camera,
        )
        sides = (np.asarray(box.shape) * scale)[shown][-2:]
        share = float(max(sides * camera.zoom / self._viewer.canvas.size))
        if not 0.15 < share < 0.9:
            camera.zoom *= 0.5 / share
