from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy import ndimage

from napari_unetseg.data.composite import read_composite
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.object_tool import OBJECT
from napari_unetseg.viewer.panels.correct import CorrectPanel
from napari_unetseg.viewer.panels.object_tools import ObjectTools
from napari_unetseg.viewer.project_layers import CHOSEN, MARKS

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui

Z = 5
DUMBBELL = ((20, 10), (20, 24))  # two discs with a neck
DISC = (40, 20)


@pytest.fixture
def tools(viewer: Viewer, session: Session, dock: MainWidget) -> ObjectTools:
    """The buttons, open, over a dumb-bell and a disc, both three slices thick."""
    assert session.project is not None
    shape = session.project.volume.shape
    _, y, x = np.indices(shape)
    mask = np.zeros(shape, bool)
    for cy, cx in (*DUMBBELL, DISC):
        mask |= (y - cy) ** 2 + (x - cx) ** 2 <= 25
    mask |= (abs(y - 20) <= 1) & (x > 10) & (x < 24)
    mask[: Z - 1] = mask[Z + 2 :] = False
    session.project.corrections.commit(
        Box.whole(shape), mask, 1, annotator="Ana", tool="brush"
    )
    session.labels_changed.emit(None)
    panel = dock.panels["correct"]
    assert isinstance(panel, CorrectPanel)
    panel.set_open(True)
    viewer.dims.set_point(0, Z * viewer.layers["image"].scale[0])
    hand = Hand(viewer)
    hand.push(panel.object_fold.button)
    hand.rest(150)
    return panel.objects


def at(viewer: Viewer, y: float, x: float) -> tuple[float, float, float]:
    scale = viewer.layers["image"].scale
    return float(viewer.dims.point[0]), y * scale[1], x * scale[2]


def labels(session: Session) -> np.ndarray:
    assert session.project is not None
    whole = Box.whole(session.project.volume.shape)
    return read_composite(session.project.corrections, None, whole, "Ana")


def n_objects(session: Session) -> int:
    _, n = ndimage.label(labels(session) == 1, np.ones((3, 3, 3)))
    return int(n)


def last_tool(session: Session) -> str:
    assert session.project is not None
    return session.project.corrections.strokes()[-1].tool


def test_a_click_chooses_an_object_and_shows_its_outline(
    viewer: Viewer, session: Session, dock: MainWidget, tools: ObjectTools
) -> None:
    hand = Hand(viewer)
    assert not tools.buttons["delete"].isEnabled()
    hand.push(tools.tools.button(OBJECT))
    hand.click(at(viewer, *DISC))
    hand.rest(150)
    chosen = dock.edits.object_tool.chosen
    assert chosen is not None
    assert chosen.mask.sum() == 3 * 81
    layer = viewer.layers[CHOSEN]
    assert layer.visible
    np.testing.assert_array_equal(layer.data, chosen.mask)
    assert tools.buttons["delete"].isEnabled()
    hand.press(Qt.Key.Key_Escape)
    assert dock.edits.object_tool.chosen is None
    assert not layer.visible


def test_a_click_beside_all_objects_says_so(
    viewer: Viewer, session: Session, dock: MainWidget, tools: ObjectTools
) -> None:
    said: list[str] = []
    session.notice.connect(lambda notice: said.append(notice.text))
    hand = Hand(viewer)
    hand.push(tools.tools.button(OBJECT))
    hand.click(at(viewer, 2, 2))
    assert dock.edits.object_tool.chosen is None
    assert len(said) == 1


@pytest.mark.parametrize(
    ("button", "tool", "n_voxels"),
    [("delete", "delete", 0), ("grow", "grow", 81 * 3), ("shrink", "shrink", 81 * 3)],
)
def test_the_buttons_change_the_chosen_object_as_one_stroke(
    viewer: Viewer, session: Session, tools: ObjectTools,
    button: str, tool: str, n_voxels: int,
) -> None:  # fmt: skip
    hand = Hand(viewer)
    before = labels(session)
    hand.push(tools.tools.button(OBJECT))
    hand.click(at(viewer, *DISC))
    hand.rest(150)
    hand.push(tools.buttons[button])
    assert last_tool(session) == tool
    after = labels(session)[:, 30:]
    changed = {"delete": after.sum() == 0, "grow": after.sum() > n_voxels,
               "shrink": after.sum() < n_voxels}  # fmt: skip
    assert changed[button]
    hand.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(labels(session), before)


def test_the_chosen_object_gets_the_chosen_class(
    viewer: Viewer, session: Session, tools: ObjectTools
) -> None:
    hand = Hand(viewer)
    hand.push(tools.tools.button(OBJECT))
    hand.click(at(viewer, *DISC))
    hand.press(Qt.Key.Key_2)
    hand.rest(150)
    hand.push(tools.buttons["relabel"])
    assert last_tool(session) == "relabel"
    assert (labels(session)[Z, DISC[0], DISC[1]]) == 2


def test_two_clicks_merge(viewer: Viewer, session: Session, tools: ObjectTools) -> None:
    hand = Hand(viewer)
    assert n_objects(session) == 2
    hand.press(Qt.Key.Key_M)
    hand.click(at(viewer, *DISC))
    hand.click(at(viewer, *DUMBBELL[0]))
    assert last_tool(session) == "merge"
    assert n_objects(session) == 1


def test_a_mark_on_each_part_and_enter_split(
    viewer: Viewer, session: Session, dock: MainWidget, tools: ObjectTools
) -> None:
    hand = Hand(viewer)
    hand.press(Qt.Key.Key_S)
    for y, x in DUMBBELL:
        hand.click(at(viewer, y, x))
    assert len(viewer.layers[MARKS].data) == 2
    assert "2 marked" in dock.edits.object_tool.hint
    hand.press(Qt.Key.Key_Return)
    assert last_tool(session) == "split"
    assert n_objects(session) == 3
    assert not viewer.layers[MARKS].visible


def test_a_line_across_splits_and_the_camera_stays(
    viewer: Viewer, session: Session, tools: ObjectTools
) -> None:
    hand = Hand(viewer)
    hand.press(Qt.Key.Key_S)
    before = viewer.scene.camera.center
    hand.drag([at(viewer, y, 17) for y in np.linspace(12, 28, 12)])
    assert viewer.scene.camera.center == before
    assert last_tool(session) == "split"
    assert n_objects(session) == 3


def test_slices_between_labelled_ones_are_filled(
    viewer: Viewer, session: Session, tools: ObjectTools
) -> None:
    assert session.project is not None
    for z in (Z - 4, Z + 4):
        box = Box((z, 4, 34), (z + 1, 12, 44))
        session.project.corrections.commit(
            box, np.ones(box.shape, bool), 2, annotator="Ana", tool="brush"
        )
    session.set_class(2)
    hand = Hand(viewer)
    hand.rest(150)
    hand.press(Qt.Key.Key_I)
    assert last_tool(session) == "interpolate"
    assert (labels(session)[Z - 4 : Z + 5, 8, 38] == 2).all()
