"""Lines over the visible slice that cost little, and stay thin at any zoom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Vectors

from napari_unetseg.geometry import Box, Zyx

if TYPE_CHECKING:
    from napari import Viewer

NO_LINES = np.empty((0, 2, 3), dtype=np.float32)


class ThinLines(Vectors):  # type: ignore[misc, unused-ignore]
    """Lines that change with every slice, in a volume that does not.

    They have no thumbnail: drawing it takes longer than drawing the lines. And they
    are as large as the volume: napari asks for the extent of all layers at each slice.

    Parameters
    ----------
    shape
        Of the volume, zyx.
    options
        As napari's.
    """

    def __init__(self, shape: Zyx, **options: Any) -> None:
        self._shape = shape
        super().__init__(NO_LINES.copy(), ndim=3, vector_style="line", **options)

    def show(self, vectors: np.ndarray, colors: np.ndarray | None = None) -> None:
        """Take other lines (n, 2, 3), and their colours (n, 4) if these change too."""
        if not len(vectors) or colors is None:
            self.data = vectors
            return
        with self.events.blocker_all():  # else they are drawn three times
            self.data = vectors
        self.edge_color = colors

    def fit_width(self, pixels: float, zoom: float) -> None:
        """Draw lines of so many pixels of the screen."""
        voxel_pixels = zoom * float(np.min(self.scale[-3:]))
        self.edge_width = pixels / max(voxel_pixels, 1e-6)

    @property
    def _extent_data(self) -> np.ndarray:
        return np.asarray([(0, 0, 0), self._shape], dtype=float) - [[0], [1]]

    @property
    def _type_string(self) -> str:
        # napari writes and copies layers by this name.
        return "vectors"

    def _update_thumbnail(self) -> None:
        pass


def keep_shader(viewer: Viewer, lines: ThinLines) -> None:
    """Draw lines with one shader for as long as their layer lives.

    vispy writes the step that passes on the colours of a mesh anew with every mesh, and
    whatever is new is compiled: at each slice, for each layer, which takes longer than
    drawing. For colours as they are, that step never changes.

    Parameters
    ----------
    lines
        A layer of the viewer.
    """
    canvas = viewer.window._qt_viewer.canvas  # noqa: SLF001
    mesh = canvas.layer_to_visual[lines].node
    passed = mesh._build_color_transform(np.ones((1, 4)))  # noqa: SLF001
    mesh.unfreeze()
    mesh._build_color_transform = lambda colors: passed  # noqa: SLF001
    mesh.freeze()


def path(points: Sequence[Sequence[float]]) -> np.ndarray:
    """Return a line through points (zyx) as vectors (n, 2, 3): starts, directions."""
    ends = np.asarray(points, dtype=np.float32).reshape(-1, 3)
    if len(ends) < 2:
        return NO_LINES.copy()
    return np.stack([ends[:-1], np.diff(ends, axis=0)], axis=1)


def frames(boxes: Sequence[Box], axis: int, index: int) -> np.ndarray:
    """Return the borders of boxes in one slice as vectors (4 n, 2, 3).

    Parameters
    ----------
    axis, index
        Which slice; whether the boxes reach it is not asked.
    """
    if not boxes:
        return NO_LINES.copy()
    # A voxel reaches half its size to either side of its coordinate.
    low = np.array([box.start for box in boxes], dtype=np.float32) - 0.5
    high = np.array([box.stop for box in boxes], dtype=np.float32) - 0.5
    low[:, axis] = high[:, axis] = index
    a, b = (number for number in range(3) if number != axis)
    corners = np.stack([low, low, high, high], axis=1)
    corners[:, 1, a], corners[:, 3, a] = high[:, a], low[:, a]
    corners[:, 3, b] = high[:, b]
    sides = np.stack([corners, np.roll(corners, -1, axis=1) - corners], axis=2)
    return sides.reshape(-1, 2, 3)
