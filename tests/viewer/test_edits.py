from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.edits import EditTools
from napari_unetseg.viewer.hand import Hand

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.layers import SessionLayers

pytestmark = pytest.mark.gui


@pytest.fixture
def edits(
    viewer: Viewer, session: Session, layers: SessionLayers
) -> Iterator[EditTools]:
    tools = EditTools(viewer, session, layers)
    yield tools
    tools.close()


@pytest.fixture
def hand(viewer: Viewer, edits: EditTools) -> Hand:
    hand = Hand(viewer)
    hand.rest()
    return hand


def overlay(session: Session) -> np.ndarray:
    project = session.project
    assert project is not None
    whole = Box.whole(project.volume.shape)
    return project.corrections.read(session.annotator, whole)


def at(viewer: Viewer, y: float, x: float) -> tuple[float, float, float]:
    """Return the world point of voxel (y, x) on the current slice."""
    scale = viewer.layers["image"].scale
    return float(viewer.dims.point[0]), y * scale[1], x * scale[2]


def test_drag_of_the_brush_is_one_stroke(
    viewer: Viewer, session: Session, edits: EditTools, hand: Hand
) -> None:
    edits.set_tool("brush")
    edits.set_brush(size=4)
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 20), at(viewer, 20, 30)])
    (stroke,) = session.project.corrections.strokes()
    assert (stroke.tool, stroke.annotator) == ("brush", "Ana")
    labelled = overlay(session)
    z = viewer.dims.current_step[0]
    assert (labelled[z, 20, 10:31] == 1).all()
    assert (labelled[:z] == UNSET).all()


def test_painting_over_the_same_value_counts_as_labelled(
    viewer: Viewer, session: Session, edits: EditTools, hand: Hand
) -> None:
    edits.set_tool("eraser")
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 30)])
    (stroke,) = session.project.corrections.strokes()
    assert stroke.tool == "eraser"
    labelled = overlay(session)
    assert (labelled[viewer.dims.current_step[0], 20, 10:31] == 0).all()
    assert np.count_nonzero(labelled == 0) == stroke.n_voxels


def test_polygon_and_fill_are_strokes_too(
    viewer: Viewer, session: Session, edits: EditTools, hand: Hand
) -> None:
    edits.set_tool("polygon")
    for corner in [(10, 10), (10, 30), (30, 30)]:
        hand.click(at(viewer, *corner))
    pixel = hand.position(at(viewer, 10, 10))
    QTest.mouseDClick(
        hand.canvas,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        pixel,
    )
    session.set_class(2)
    edits.set_tool("fill")
    hand.click(at(viewer, 15, 22))
    assert [s.tool for s in session.project.corrections.strokes()] == [
        "polygon",
        "fill",
    ]
    assert overlay(session)[viewer.dims.current_step[0], 15, 22] == 2


def test_ctrl_z_takes_back_one_stroke_and_redo_brings_it_back(
    viewer: Viewer,
    session: Session,
    layers: SessionLayers,
    edits: EditTools,
    hand: Hand,
) -> None:
    edits.set_tool("brush")
    hand.drag([at(viewer, 12, 10), at(viewer, 12, 30)])
    hand.drag([at(viewer, 36, 10), at(viewer, 36, 30)])
    both = overlay(session)
    shown = np.array(layers.editable.data[:, :, :])
    hand.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    after = overlay(session)
    z = viewer.dims.current_step[0]
    assert (after[z, 12, 10:31] == 1).all()
    assert (after[z, 36, 10:31] == UNSET).all()
    hand.press(
        Qt.Key.Key_Z,
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
    )
    np.testing.assert_array_equal(overlay(session), both)
    np.testing.assert_array_equal(np.asarray(layers.editable.data[:, :, :]), shown)


def test_tool_waits_while_the_view_is_3d(
    viewer: Viewer, layers: SessionLayers, edits: EditTools
) -> None:
    edits.set_tool("brush")
    viewer.dims.ndisplay = 3
    assert edits.tool == "brush"
    assert edits.reason
    assert not layers.editable.visible
    viewer.dims.ndisplay = 2
    assert edits.reason == ""
    assert str(layers.editable.mode) == "paint"
    assert layers.editable.visible


def test_class_follows_session_and_layer(
    session: Session, layers: SessionLayers, edits: EditTools
) -> None:
    session.set_class(2)
    assert layers.editable.selected_label == 2
    layers.editable.selected_label = 1
    assert session.current_class == 1
    layers.editable.selected_label = 9
    assert layers.editable.selected_label == session.current_class == 1


def test_brush_size_follows_both_ways(layers: SessionLayers, edits: EditTools) -> None:
    edits.set_brush(size=21)
    assert layers.editable.brush_size == 21
    layers.editable.brush_size = 7
    assert edits.brush.size == 7
    edits.set_brush(size=0)
    assert edits.brush.size == 1


def test_mode_of_napari_s_buttons_is_the_tool(
    layers: SessionLayers, edits: EditTools
) -> None:
    layers.editable.mode = "erase"
    assert edits.tool == "eraser"
    layers.editable.mode = "pan_zoom"
    assert edits.tool == "none"


def test_unknown_tool_is_refused(edits: EditTools) -> None:
    with pytest.raises(ValueError, match="chainsaw"):
        edits.set_tool("chainsaw")


def test_choosing_a_tool_makes_the_layer_active(
    viewer: Viewer, layers: SessionLayers, edits: EditTools
) -> None:
    viewer.layers.selection.active = viewer.layers["image"]
    edits.set_tool("brush")
    assert viewer.layers.selection.active is layers.editable


def test_read_only_project_cannot_be_painted(
    session: Session, layers: SessionLayers, edits: EditTools
) -> None:
    folder = session.project.folder
    from napari_unetseg.app.session import Session as Another

    other = Another()
    other.open_project(folder)
    try:
        assert other.project.read_only
        assert other.why_not("edit")
    finally:
        other.close()


def test_a_brush_for_the_background_leaves_other_labels(
    viewer: Viewer, session: Session, edits: EditTools, hand: Hand
) -> None:
    edits.set_tool("brush")
    edits.set_brush(size=6)
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 30)])
    session.set_class(2)
    edits.set_brush(size=12, over="background")
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 30)])
    slice_ = overlay(session)[viewer.dims.current_step[0]]
    assert (slice_[20, 10:31] == 1).all()
    assert (slice_[15, 12:28] == 2).all()


def test_a_locked_class_is_neither_painted_over_nor_erased_nor_filled(
    viewer: Viewer, session: Session, edits: EditTools, hand: Hand
) -> None:
    edits.set_tool("brush")
    edits.set_brush(size=6)
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 30)])
    edits.set_locked(1, True)
    edits.set_tool("eraser")
    edits.set_brush(size=12)
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 30)])
    session.set_class(2)
    edits.set_tool("fill")
    hand.click(at(viewer, 20, 20))
    slice_ = overlay(session)[viewer.dims.current_step[0]]
    assert (slice_[20, 10:31] == 1).all()
    assert (slice_[15, 12:28] == 0).all()
    assert 2 not in slice_
    edits.set_locked(1, False)
    hand.click(at(viewer, 20, 20))
    assert (overlay(session)[viewer.dims.current_step[0]][20, 10:31] == 2).all()


def test_a_brush_that_stays_on_its_label_recolours_only_that(
    viewer: Viewer, session: Session, edits: EditTools, hand: Hand
) -> None:
    edits.set_tool("brush")
    edits.set_brush(size=6)
    hand.drag([at(viewer, 20, 10), at(viewer, 20, 30)])
    session.set_class(2)
    edits.set_brush(size=20, over="first")
    hand.drag([at(viewer, 20, 20), at(viewer, 20, 28)])
    slice_ = overlay(session)[viewer.dims.current_step[0]]
    assert (slice_[20, 18:30] == 2).all()
    assert set(np.unique(slice_[10:16])) == {UNSET}


def test_a_ball_is_round_in_physical_units(
    viewer: Viewer, session: Session, edits: EditTools, hand: Hand
) -> None:
    edits.set_tool("brush")
    edits.set_brush(size=13, in_3d=True)
    hand.click(at(viewer, 24, 24))
    labelled = overlay(session) == 1
    scale = viewer.layers["image"].scale
    z, y, x = (np.flatnonzero(labelled.any(axis=axes)).size
               for axes in [(1, 2), (0, 2), (0, 1)])  # fmt: skip
    assert y == x == 13
    assert abs(z * scale[0] - y * scale[1]) <= scale[0]
    assert edits.brush.in_3d


def test_napari_s_own_controls_set_the_brush_too(
    layers: SessionLayers, edits: EditTools
) -> None:
    layer = layers.editable
    assert layer is not None
    layer.brush_size = 7
    layer.n_edit_dimensions = 3
    assert (edits.brush.size, edits.brush.in_3d) == (7, True)
    edits.set_brush(in_3d=False)
    assert layer.n_edit_dimensions == 2
    assert layer.brush_size == 7


def test_classes_of_another_project_are_not_locked(
    session: Session, edits: EditTools
) -> None:
    assert session.project is not None
    folder = session.project.folder
    edits.set_locked(1, True)
    session.close()
    session.open_project(folder)
    assert edits.brush.locked == frozenset()
    assert edits.brush.size == 10


@pytest.mark.parametrize(("size", "larger"), [(1, 2), (9, 10), (20, 22), (64, 70)])
def test_a_notch_is_a_voxel_or_a_tenth_of_a_large_brush(
    edits: EditTools, size: int, larger: int
) -> None:
    edits.set_brush(size=size)
    edits.step_brush(1)
    assert edits.brush.size == larger


def test_a_class_that_is_not_there_needs_a_name(
    session: Session, layers: SessionLayers, edits: EditTools
) -> None:
    heard = []
    session.notice.connect(heard.append)
    layers.editable.selected_label = len(session.project.classes) + 1
    assert session.current_class == layers.editable.selected_label == 1
    assert "needs a name" in heard[-1].text
