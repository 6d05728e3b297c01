from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from pytestqt.qtbot import QtBot

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.reviewed_frames import ReviewedFrames

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers

pytestmark = pytest.mark.gui


@pytest.fixture
def frames(
    viewer: Viewer, session: Session, layers: SessionLayers
) -> Iterator[ReviewedFrames]:
    frames = ReviewedFrames(viewer, session, layers)
    yield frames
    frames.close()


def n_frames(viewer: Viewer) -> int:
    return len(viewer.layers["reviewed"].data) // 4


def go(viewer: Viewer, z: int) -> None:
    viewer.dims.set_point(0, z * viewer.layers["image"].scale[0])


def test_what_was_reviewed_is_framed_in_its_slices(
    viewer: Viewer, session: Session, frames: ReviewedFrames, qtbot: QtBot
) -> None:
    go(viewer, 4)
    qtbot.waitUntil(lambda: not frames._timer.isActive())
    assert "reviewed" not in viewer.layers
    session.mark_reviewed(Box((4, 5, 5), (5, 20, 20)))
    session.mark_reviewed(Box((3, 25, 5), (8, 40, 20)))
    session.mark_reviewed(Box((4, 25, 25), (5, 40, 40)), "skipped")
    qtbot.waitUntil(lambda: "reviewed" in viewer.layers and n_frames(viewer) == 2)
    go(viewer, 6)
    qtbot.waitUntil(lambda: n_frames(viewer) == 1)
    go(viewer, 12)
    qtbot.waitUntil(lambda: n_frames(viewer) == 0)


def test_frames_go_with_the_project(
    viewer: Viewer, session: Session, frames: ReviewedFrames, qtbot: QtBot
) -> None:
    session.mark_reviewed(Box((0, 5, 5), (20, 20, 20)))
    qtbot.waitUntil(lambda: "reviewed" in viewer.layers)
    session.close()
    qtbot.waitUntil(lambda: "reviewed" not in viewer.layers)
