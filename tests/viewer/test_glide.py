from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pytestqt.qtbot import QtBot

from napari_unetseg.viewer.glide import Glide

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.viewer.layers import SessionLayers

pytestmark = pytest.mark.gui


def test_the_camera_gets_there_by_way_of_places_between(
    viewer: Viewer, layers: SessionLayers, qtbot: QtBot
) -> None:
    camera, glide, seen = viewer.scene.camera, Glide(viewer), []
    start, zoom = camera.center, camera.zoom
    camera.events.center.connect(lambda: seen.append(camera.center[2]))
    end = (start[0], start[1], start[2] + 40)
    glide.to(end, zoom * 2)
    qtbot.waitUntil(lambda: camera.center == pytest.approx(end))
    assert camera.zoom == pytest.approx(zoom * 2)
    between = [x for x in seen if start[2] < x < end[2]]
    assert between and between == sorted(between)


def test_who_moves_the_camera_meanwhile_keeps_it(
    viewer: Viewer, layers: SessionLayers, qtbot: QtBot
) -> None:
    camera, glide = viewer.scene.camera, Glide(viewer)
    glide.to((0.0, 0.0, 0.0), camera.zoom)
    camera.center = (0.0, 5.0, 7.0)
    qtbot.waitUntil(lambda: not glide.is_moving)
    assert camera.center == (0.0, 5.0, 7.0)


def test_settling_is_being_there(viewer: Viewer, layers: SessionLayers) -> None:
    glide = Glide(viewer)
    glide.to((1.0, 2.0, 3.0), 0.5)
    glide.settle()
    assert viewer.scene.camera.center == pytest.approx((1.0, 2.0, 3.0))
    assert viewer.scene.camera.zoom == pytest.approx(0.5)
    assert not glide.is_moving
