from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.panels.volume import VolumePanel
from napari_unetseg.viewer.side_views import SideViews

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui


@pytest.fixture
def side(viewer: Viewer, dock: MainWidget) -> SideViews:
    """The side views, open and drawn."""
    panel = dock.panels["volume"]
    assert isinstance(panel, VolumePanel)
    panel.set_open(True)
    hand = Hand(viewer)
    hand.rest(150)
    hand.push(panel.side_fold.button)
    views = panel.side_views
    hand.wait_until(lambda: views.views[0].plane is not None, what="the side views")
    return views


def test_they_show_the_planes_through_the_middle_of_the_canvas(
    dock: MainWidget, side: SideViews
) -> None:
    for view in side.views:
        assert view.plane is not None
        assert view.plane.point == dock.layers.point
    assert side.views[0].plane.across == 2
    assert side.views[1].plane.across == 1


def test_they_follow_the_slice_and_what_is_painted(
    viewer: Viewer, session: Session, side: SideViews
) -> None:
    hand = Hand(viewer)
    viewer.dims.set_current_step(0, 3)
    view = side.views[0]
    hand.wait_until(lambda: view.plane.point[0] == 3, what="the slice")
    before = view.grab().toImage()
    y = view.plane.point[1]
    box = Box((0, y, 0), (16, y + 1, 48))
    assert session.project is not None
    session.project.corrections.commit(
        box, np.ones(box.shape, bool), 1, annotator="Ana", tool="brush"
    )
    session.labels_changed.emit(box)
    hand.wait_until(lambda: view.grab().toImage() != before, what="the labels")


def test_a_click_goes_there(viewer: Viewer, dock: MainWidget, side: SideViews) -> None:
    view = side.views[0]
    plane = view.plane
    assert plane is not None
    place = QPoint(view.width() // 2 + 20, view.height() // 2 + 20)
    QTest.mouseClick(
        view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place
    )
    z, y, x = dock.layers.point
    assert y == plane.point[1]
    assert z > plane.point[0]
    assert x > plane.point[2]


def test_nothing_is_read_while_they_are_closed(
    viewer: Viewer, dock: MainWidget
) -> None:
    panel = dock.panels["volume"]
    assert isinstance(panel, VolumePanel)
    viewer.dims.set_current_step(0, 3)
    Hand(viewer).rest(250)
    assert panel.side_views.views[0].plane is None
