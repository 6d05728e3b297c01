from __future__ import annotations

import numpy as np

from napari_unetseg.data.classes import default_classes
from napari_unetseg.viewer.class_colormap import (
    class_colormap,
    class_colors,
    colormap_of,
)


def test_all_values_of_a_thumbnail_have_the_colour_of_their_class() -> None:
    classes = default_classes(("cell", "fibre"))
    values = np.array([[0, 1], [2, 200]], dtype=np.uint8)
    mapped = class_colormap(classes).map(values)
    colors = class_colors(classes)
    np.testing.assert_allclose(mapped[0], colors[:2])
    np.testing.assert_allclose(mapped[1, 0], colors[2])
    assert not mapped[1, 1].any()


def test_no_compiler_is_needed_to_colour_a_thumbnail() -> None:
    mapping = colormap_of([(0, 0, 0, 0), (1, 0, 0, 1)])
    mapping.map(np.zeros((2, 2), np.uint8))
    assert not mapping._cache_other
