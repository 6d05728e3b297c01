from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unetseg.geometry import Box
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.panels.object_list import ObjectList
from napari_unetseg.viewer.panels.review import ReviewPanel

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.main_widget import MainWidget

pytestmark = pytest.mark.gui

LARGE = Box((2, 4, 4), (6, 20, 20))
SMALL = Box((10, 30, 30), (12, 34, 36))


@pytest.fixture
def found(viewer: Viewer, session: Session, dock: MainWidget) -> ObjectList:
    """The list of two objects, found by a child process."""
    assert session.project is not None
    for box, class_id in [(LARGE, 1), (SMALL, 2)]:
        session.project.corrections.commit(
            box, np.ones(box.shape, bool), class_id,
            annotator=session.annotator, tool="brush",
        )  # fmt: skip
    session.labels_changed.emit(None)
    panel = dock.panels["review"]
    assert isinstance(panel, ReviewPanel)
    panel.set_open(True)
    hand = Hand(viewer)
    hand.rest(150)
    hand.push(panel.object_fold.button)
    panel.objects.in_view.setChecked(False)
    hand.rest(150)
    hand.push(panel.objects.button)
    hand.wait_until(lambda: len(session.objects) == 2, what="the objects")
    hand.rest(150)
    return panel.objects


def row(found: ObjectList, line: int) -> list[str]:
    cells = (found.table.item(line, column) for column in range(4))
    return [cell.text() for cell in cells if cell is not None]


def test_objects_are_listed_the_largest_first(
    found: ObjectList, session: Session
) -> None:
    assert session.project is not None
    names = session.project.class_names
    assert [row(found, line)[1] for line in (0, 1)] == list(names[:2])
    assert found.table.rowCount() == 2
    size = float(np.prod(session.project.volume.voxel_size))
    assert float(row(found, 0)[2]) == pytest.approx(LARGE.n_voxels * size, rel=1e-3)


def test_a_click_goes_there(viewer: Viewer, found: ObjectList) -> None:
    item = found.table.item(1, 1)
    assert item is not None
    QTest.mouseClick(
        found.table.viewport(),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        found.table.visualItemRect(item).center(),
    )
    assert viewer.dims.current_step[0] == SMALL.centre[0]


def test_what_was_reviewed_is_marked(
    viewer: Viewer, session: Session, found: ObjectList
) -> None:
    assert row(found, 0)[3] == row(found, 1)[3] == ""
    session.mark_reviewed(LARGE.grown((1, 1, 1)))
    Hand(viewer).rest(200)
    assert row(found, 0)[3] == "yes"
    assert row(found, 1)[3] == ""


def test_it_is_empty_for_another_project(
    viewer: Viewer, session: Session, found: ObjectList
) -> None:
    session.close()
    Hand(viewer).rest(200)
    assert session.objects == ()
    assert found.table.rowCount() == 0
