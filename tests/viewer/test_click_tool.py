from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_unetseg.errors import NothingHereError
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.click_tool import ClickTool
from napari_unetseg.viewer.hand import Hand

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers
    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
Clicked = list[tuple[tuple[int, int, int], bool]]
Called = list[tuple[Any, ...]]


@pytest.fixture
def clicked(session: Session, monkeypatch: pytest.MonkeyPatch) -> Clicked:
    """What the session was asked to segment."""
    asked: Clicked = []
    monkeypatch.setattr(
        session, "click", lambda point, positive=True: asked.append((point, positive))
    )
    return asked


@pytest.fixture
def drawn(session: Session, monkeypatch: pytest.MonkeyPatch) -> Called:
    """The boxes and lines that the session was given."""
    asked: Called = []
    monkeypatch.setattr(session, "draw_box", lambda box: asked.append(("box", box)))
    monkeypatch.setattr(
        session,
        "scribble",
        lambda corners, positive=True: asked.append(("line", corners, positive)),
    )
    return asked


@pytest.fixture
def tool(
    viewer: Viewer, session: Session, layers: SessionLayers
) -> Iterator[ClickTool]:
    tool = ClickTool(viewer, session, layers, lambda: True)
    yield tool
    tool.close()


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
    shown = SimpleNamespace(box=box, mask=mask, found_by="image")
    session.preview_changed.emit(shown)
    layer = viewer.layers["preview"]
    assert layer.visible
    assert layer.contour == 1
    np.testing.assert_allclose(
        layer.translate, np.multiply(box.start, viewer.layers["image"].scale)
    )
    assert viewer.layers.selection.active is active
    session.preview_changed.emit(None)
    assert not layer.visible


def test_ctrl_dragging_draws_a_box_and_leaves_the_camera(
    viewer: Viewer, session: Session, clicked: Clicked, drawn: Called, tool: ClickTool
) -> None:
    hand = Hand(viewer)
    hand.rest()
    before = viewer.scene.camera.center
    hand.drag([at(viewer, 20, 10), at(viewer, 24, 14), at(viewer, 29, 17)], CTRL)
    z = viewer.dims.current_step[0]
    (_, box), *others = drawn
    assert (box.start[1:], box.stop[1:]) == ((20, 10), (30, 18))
    assert box.start[0] < z < box.stop[0]
    assert not others and not clicked
    assert viewer.scene.camera.center == before


@pytest.mark.parametrize(
    ("modifiers", "positive"), [(CTRL | SHIFT, True), (SHIFT, False)]
)
def test_shift_dragging_draws_a_line(
    viewer: Viewer,
    clicked: Clicked,
    drawn: Called,
    tool: ClickTool,
    modifiers: Qt.KeyboardModifier,
    positive: bool,
) -> None:
    hand = Hand(viewer)
    hand.rest()
    before = viewer.scene.camera.center
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 20), at(viewer, 30, 20)], modifiers)
    z = viewer.dims.current_step[0]
    (_, corners, sign), *others = drawn
    assert corners == ((z, 20, 10), (z, 20, 20), (z, 30, 20))
    assert sign is positive
    assert not others and not clicked
    assert viewer.scene.camera.center == before


def test_ctrl_wheel_changes_the_object_while_there_is_one(
    viewer: Viewer, session: Session, tool: ClickTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors: list[float] = []
    monkeypatch.setattr(session, "rescale_preview", factors.append)
    hand = Hand(viewer)
    hand.rest()
    place, napari_s = at(viewer, 20, 20), list(viewer.mouse_wheel_callbacks)
    box = Box((4, 10, 12), (6, 20, 24))
    mask = np.ones(box.shape, dtype=bool)
    shown = SimpleNamespace(box=box, mask=mask, found_by="prediction")
    session.preview_changed.emit(shown)
    before = viewer.dims.current_step
    hand.roll(place, 1, CTRL)
    hand.roll(place, -1, CTRL)
    assert factors[0] < 1 < factors[1]
    assert viewer.dims.current_step == before

    session.preview_changed.emit(None)
    hand.roll(place, 1, CTRL)
    assert len(factors) == 2
    assert viewer.dims.current_step != before
    assert viewer.mouse_wheel_callbacks == napari_s


def test_a_click_in_3d_is_the_first_surface_on_the_ray(
    viewer: Viewer, session: Session, clicked: Clicked, tool: ClickTool
) -> None:
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def pick(point: np.ndarray, direction: np.ndarray) -> tuple[int, int, int]:
        asked.append((point, direction))
        return (3, 4, 5)

    session.pick = pick  # type: ignore[method-assign]
    viewer.dims.ndisplay = 3
    hand = Hand(viewer)
    hand.rest()
    centre = tuple(np.array([8, 24, 24]) * viewer.layers["image"].scale)
    hand.click(centre)
    ((point, direction),) = asked
    # The ray goes through the middle of the volume, from the front.
    along = np.array([8, 24, 24]) - point
    aside = along - direction * (along @ direction) / (direction @ direction)
    assert np.abs(aside).max() < 2
    assert clicked == [((3, 4, 5), True)]
    del session.pick


def test_the_card_says_what_was_found_in_the_image_alone(
    viewer: Viewer, session: Session, dock: MainWidget
) -> None:
    assert session.project is not None
    image = session.project.volume.read(Box.whole((16, 48, 48)))[0]
    z, y, x = np.unravel_index(int(image.argmax()), image.shape)
    viewer.dims.set_current_step(0, int(z))
    card = dock.panels["correct"]
    hand = Hand(viewer)
    hand.rest()
    dock.edits.set_tool("click")
    hand.click(at(viewer, int(y), int(x)))
    assert session.preview is not None
    card.set_open(True)

    def shown() -> str:
        labels = card.findChildren(QLabel)
        return " ".join(x.text() for x in labels if x.isVisibleTo(card))

    hand.wait_until(
        lambda: "Found in the image" in shown(), what="the hint", seconds=10
    )
    hand.press(Qt.Key.Key_Escape)
    assert session.preview is None


@pytest.mark.parametrize(("modifiers", "n_lines"), [(CTRL, 4), (CTRL | SHIFT, 2)])
def test_what_is_being_drawn_is_seen_until_the_mouse_is_let_go(
    viewer: Viewer,
    drawn: Called,
    tool: ClickTool,
    modifiers: Qt.KeyboardModifier,
    n_lines: int,
) -> None:
    hand, seen = Hand(viewer), []
    hand.rest()
    viewer.layers.events.inserted.connect(
        lambda event: event.value.events.set_data.connect(
            lambda: seen.append(len(event.value.data))
        )
    )
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 20), at(viewer, 30, 20)], modifiers)
    assert n_lines in seen
    assert len(viewer.layers["being drawn"].data) == 0
    assert len(drawn) == 1


def test_a_click_on_nothing_is_answered_where_the_tools_are(
    dock: MainWidget, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise NothingHereError("There is no object here", do="Click on one.")

    monkeypatch.setattr("napari_unetseg.app.prompting.segment", nothing)
    heard = []
    session.notice.connect(heard.append)
    dock.edits.set_tool("click")
    session.click((4, 20, 20))
    assert [notice.level for notice in heard] == ["info"]
    assert dock.edits.hint == "There is no object here. Click on one."
    dock.edits.set_tool("brush")
    assert dock.edits.hint == ""
