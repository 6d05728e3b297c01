"""Labels whose outlines are drawn in slices, and whose fills are drawn in 3D."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels

_OUTLINE_PIXELS = 2.0
_WIDEST = 12  # voxels: from so far away nobody looks at one object


class FlatOutlines(Labels):  # type: ignore[misc, unused-ignore]
    """Labels that can be outlined without a warning at each drawing in 3D.

    napari has no outlines in 3D and says so for every layer and every view, which a
    person who only turns the volume around can do nothing about.
    """

    @property
    def _type_string(self) -> str:
        # napari writes and copies layers by this name.
        return "labels"

    contour_width = 0

    def fit_outline(self, zoom: float) -> None:
        """Draw the outline as wide on the screen from afar as from near.

        Parameters
        ----------
        zoom
            Of the camera: pixels of the screen per unit of the world.
        """
        voxel_pixels = max(zoom * float(np.min(self.scale[-2:])), 1e-6)
        width = int(np.clip(round(_OUTLINE_PIXELS / voxel_pixels), 1, _WIDEST))
        if width != self.contour_width:
            self.contour = self.contour_width = width

    def _calculate_contour(
        self, labels: np.ndarray, data_slice: tuple[slice, ...]
    ) -> Any:
        if labels.ndim > 2 or not labels.any():
            return None
        return super()._calculate_contour(labels, data_slice)
