"""Where the canvas is, in voxels of the volume; and how to go elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.glide import Glide
from napari_unetseg.viewer.visible_box import DEPTH, visible_box

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unetseg.viewer.project_layers import ProjectLayers


class CanvasPlace:
    """What the canvas shows of the open project, whose layers others put there."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._opened: ProjectLayers | None = None
        self.glide = Glide(viewer)

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

    def centre_on(self, point: Zyx) -> None:
        """Move the view to a voxel at once."""
        if self._opened is not None:
            self.glide.stop()
            self._viewer.scene.camera.center = self._camera_centre(point)

    def go_to(self, box: Box) -> None:
        """Glide to a box: its middle slice, and a zoom that shows it."""
        if self._opened is None:
            return
        scale = np.asarray(self._opened.place["scale"])
        camera = self._viewer.scene.camera
        centre = self._camera_centre(box.centre)
        sides = (np.asarray(box.shape) * scale)[self._shown_axes()][-2:]
        share = float(max(sides * camera.zoom / self._viewer.canvas.size))
        self.glide.to(
            centre, camera.zoom if 0.15 < share < 0.9 else camera.zoom * 0.5 / share
        )

    def _shown_axes(self) -> list[int]:
        """Return the axes of the volume that the canvas shows."""
        first = self._viewer.dims.ndim - 3
        return [axis - first for axis in self._viewer.dims.displayed if axis >= first]

    def _camera_centre(self, point: Zyx) -> tuple[float, ...]:
        """Go to the slice of a voxel; return where the camera looks to centre it."""
        assert self._opened is not None
        place = self._opened.place
        centre = np.asarray(point) * np.asarray(place["scale"]) + place["translate"]
        first = self._viewer.dims.ndim - 3
        for axis in range(3):
            self._viewer.dims.set_point(axis + first, centre[axis])
        shown, camera = self._shown_axes(), self._viewer.scene.camera
        return (*camera.center[: 3 - len(shown)], *(float(v) for v in centre[shown]))
