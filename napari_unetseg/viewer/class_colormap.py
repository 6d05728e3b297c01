"""Colours of classes as napari wants them for labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_unetseg.data.classes import ClassInfo


class ClassColormap(DirectLabelColormap):  # type: ignore[misc, unused-ignore]
    """A colour per class id, known without a compiler.

    To colour the 256 values of a thumbnail napari compiles a function first, which
    takes more than a second of the first opening.
    """

    def _map_without_cache(self, values: np.ndarray) -> np.ndarray:
        known = (self.color_dict.get(int(v), self.default_color) for v in values.flat)
        colors = np.array(list(known), dtype=np.float32)
        return colors.reshape(*values.shape, 4)


def class_colors(classes: Sequence[ClassInfo]) -> np.ndarray:
    """Return red, green, blue, alpha per label value; the background is clear."""
    colors = np.zeros((len(classes) + 1, 4), dtype=np.float32)
    for info in classes:
        colors[info.id] = (*info.rgb, 1.0)
    return colors


def class_colormap(classes: Sequence[ClassInfo]) -> ClassColormap:
    """Return the same colours as a colormap."""
    return colormap_of(class_colors(classes))


def colormap_of(colors: Sequence[Sequence[float]] | np.ndarray) -> ClassColormap:
    """Return a colormap of one colour per label value; other values are clear."""
    known: dict[int | None, np.ndarray] = {None: np.zeros(4)}
    known.update(enumerate(np.asarray(colors, dtype=np.float32)))
    return ClassColormap(color_dict=known)
