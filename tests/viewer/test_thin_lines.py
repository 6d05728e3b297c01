from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unetseg.geometry import Box

if TYPE_CHECKING:
    from napari import Viewer

pytestmark = pytest.mark.gui


def corners_of(vectors: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(float(v) for v in start) for start in vectors[:, 0]}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_frame_runs_around_the_voxels_of_a_box(axis: int) -> None:
    from napari_unetseg.viewer.thin_lines import frames

    box = Box((2, 4, 6), (5, 9, 12))
    sides = frames([box], axis, 3)
    assert sides.shape == (4, 2, 3)
    # Each side ends where the next begins, and the last one at the first.
    np.testing.assert_allclose(sides[:, 0] + sides[:, 1], np.roll(sides[:, 0], -1, 0))
    low, high = np.array(box.start) - 0.5, np.array(box.stop) - 0.5
    low[axis] = high[axis] = 3
    found = sides[:, 0]
    np.testing.assert_allclose(found.min(axis=0), low)
    np.testing.assert_allclose(found.max(axis=0), high)
    assert len(corners_of(sides)) == 4


def test_a_path_has_one_line_between_two_points() -> None:
    from napari_unetseg.viewer.thin_lines import path

    lines = path([(1, 2, 3), (1, 4, 3), (1, 4, 8)])
    np.testing.assert_array_equal(lines[:, 0], [(1, 2, 3), (1, 4, 3)])
    np.testing.assert_array_equal(lines[:, 1], [(0, 2, 0), (0, 0, 5)])
    assert len(path([(1, 2, 3)])) == len(path([])) == 0


def test_lines_stay_as_thin_on_the_screen_at_any_zoom() -> None:
    from napari_unetseg.viewer.thin_lines import ThinLines

    layer = ThinLines((8, 8, 8), scale=(4.0, 0.5, 0.5))
    for zoom in (0.1, 3.0):
        layer.fit_width(2.0, zoom)
        assert layer.edge_width * 0.5 * zoom == pytest.approx(2.0)


def test_other_lines_are_drawn_with_the_same_shader(viewer: Viewer) -> None:
    from napari_unetseg.viewer.thin_lines import ThinLines, keep_shader, path

    layer = viewer.add_layer(ThinLines((1, 20, 20), edge_width=2, opacity=1))
    keep_shader(viewer, layer)
    viewer.dims.set_point(0, 0)
    canvas = viewer.window._qt_viewer.canvas
    shader = canvas.layer_to_visual[layer].node.shared_program.vert

    def drawn(color: tuple[float, ...]) -> tuple[object, np.ndarray]:
        layer.show(path([(0, 10, 2), (0, 10, 18)]), np.array([color]))
        seen = viewer.screenshot(canvas_only=True, flash=False)
        return shader["color_transform"], seen.reshape(-1, 4).max(axis=0)

    red, seen_red = drawn((1, 0, 0, 1))
    blue, seen_blue = drawn((0, 0, 1, 1))
    assert red is blue
    np.testing.assert_array_equal(seen_red[:3], (255, 0, 0))
    np.testing.assert_array_equal(seen_blue[:3], (0, 0, 255))
