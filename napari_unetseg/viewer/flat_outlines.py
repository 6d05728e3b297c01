"""Labels whose outlines are drawn in slices, and whose fills are drawn in 3D."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels


class FlatOutlines(Labels):  # type: ignore[misc, unused-ignore]
    """Labels that can be outlined without a warning at each drawing in 3D.

    napari has no outlines in 3D and says so for every layer and every view, which a
    person who only turns the volume around can do nothing about.
    """

    @property
    def _type_string(self) -> str:
        # napari writes and copies layers by this name.
        return "labels"

    def _calculate_contour(
        self, labels: np.ndarray, data_slice: tuple[slice, ...]
    ) -> Any:
        if labels.ndim > 2 or not labels.any():
            return None
        return super()._calculate_contour(labels, data_slice)
