from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.click_tool import ClickTool
from napari_unetseg.viewer.hand import Hand

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers

pytestmark = pytest.mark.gui

Clicked = list[tuple[tuple[int, int, int], bool]]


@pytest.fixture
def clicked(session: Session, monkeypatch: pytest.MonkeyPatch) -> Clicked:
    """What the session was asked to segment."""
    asked: Clicked = []
    monkeypatch.setattr(
        session, "click", lambda point, positive=True: asked.append((point, positive))
    )
    return asked


@pytest.fixture
def tool(viewer: Viewer, session: Session, layers: SessionLayers) -> ClickTool:
    return ClickTool(viewer, session, layers, lambda: True)


def at(viewer: Viewer, y: float, x: float) -> tuple[float, float, float]:
    scale = viewer.layers["image"].scale
    return float(viewer.dims.point[0]), y * scale[1], x * scale[2]


def test_click_is_the_voxel_under_the_mouse(
    viewer: Viewer, clicked: Clicked, tool: ClickTool
) -> None:
    hand = Hand(viewer)
    hand.rest()
    hand.click(at(viewer, 20, 30))
    hand.click(at(viewer, 21, 31), Qt.KeyboardModifier.ShiftModifier)
    z = viewer.dims.current_step[0]
    assert clicked == [((z, 20, 30), True), ((z, 21, 31), False)]


def test_dragging_moves_the_camera_and_clicks_nothing(
    viewer: Viewer, clicked: Clicked, tool: ClickTool
) -> None:
    hand = Hand(viewer)
    hand.rest()
    before = viewer.scene.camera.center
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 20), at(viewer, 20, 40)])
    assert clicked == []
    assert viewer.scene.camera.center != before


def test_click_outside_of_the_volume_is_nothing(
    viewer: Viewer, clicked: Clicked, tool: ClickTool
) -> None:
    hand = Hand(viewer)
    hand.rest()
    hand.click(at(viewer, -2, 20))
    assert clicked == []


def test_preview_is_an_outline_at_its_place(
    viewer: Viewer, session: Session, layers: SessionLayers, tool: ClickTool
) -> None:
    active = viewer.layers.selection.active
    box = Box((4, 10, 12), (6, 20, 24))
    mask = np.ones(box.shape, dtype=bool)
    session.preview_changed.emit(SimpleNamespace(box=box, mask=mask))
    layer = viewer.layers["preview"]
    assert layer.visible
    assert layer.contour == 1
    np.testing.assert_allclose(
        layer.translate, np.multiply(box.start, viewer.layers["image"].scale)
    )
    assert viewer.layers.selection.active is active
    session.preview_changed.emit(None)
    assert not layer.visible
