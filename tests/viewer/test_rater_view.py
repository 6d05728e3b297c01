from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.geometry import Block, Box
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.panels.raters import agreement_text
from napari_unetseg.viewer.rater_readout import opinion

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.session import Session
    from napari_unetseg.viewer.main_widget import MainWidget
    from napari_unetseg.viewer.panels.raters import RaterTools

pytestmark = pytest.mark.gui
RATERS = ("Ana", "Bo", "Cy")
OF_BO = Box((0, 10, 10), (16, 30, 30))
MAYBE_OF_BO = Box((0, 8, 8), (16, 30, 30))
OF_CY = Box((0, 20, 20), (16, 40, 40))


@pytest.fixture
def predicted(session: Session, tmp_path: Path) -> PredictionStore:
    """A prediction by three raters: Ana sees nothing, Bo and Cy overlap."""
    volume = session.project.volume
    store = PredictionStore.create(
        tmp_path / "predicted.zarr", shape=volume.shape, voxel_size=volume.voxel_size,
        chunk=(16, 32, 32), class_names=session.project.class_names, maps=(),
        rater_names=RATERS,
    )  # fmt: skip
    whole = Box.whole(volume.shape)
    n = len(session.project.classes)
    raters = np.zeros((3, n, *whole.shape), np.uint8)
    raters[1, 0][MAYBE_OF_BO.slices] = 80
    raters[1, 0][OF_BO.slices] = 255
    raters[2, 0][OF_CY.slices] = 255
    probability = raters.mean(axis=0).astype(np.uint8)
    labels = (probability[0] > 127).astype(np.uint8)
    store.write(
        Block(0, whole, whole),
        BlockPrediction(labels, probability, rater_probability=raters),
    )
    session._predictions = store
    return store


@pytest.fixture
def tools(predicted: PredictionStore, dock: MainWidget) -> Iterator[RaterTools]:
    dock.panels["review"].set_open(True)
    dock.panels["review"].rater_fold.toggle()
    yield dock.panels["review"].raters
    dock.panels["review"].rater_fold.toggle()


def shown(viewer: Viewer) -> np.ndarray:
    layer = viewer.layers["one rater"]
    return np.asarray(layer.data[0][viewer.dims.current_step[0]])


def test_the_key_walks_through_the_raters_and_back_to_everybody(
    viewer: Viewer, tools: RaterTools
) -> None:
    seen = []
    for _ in range(4):
        assert tools.view.step()
        seen.append(tools.view.chosen)
        lines = [one for one in viewer.layers if one.name.startswith("contours")]
        assert all(one.visible != bool(tools.view.chosen) for one in lines)
    assert seen == ["Ana", "Bo", "Cy", ""]
    assert not viewer.layers["one rater"].visible


def test_arrows_beside_the_name_walk_through_the_raters(
    viewer: Viewer, tools: RaterTools, qtbot: QtBot
) -> None:
    seen = []
    for button in (tools.after, tools.after, tools.before, tools.before, tools.before):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        seen.append(tools.who.currentText())
    assert seen == ["Ana", "Bo", "Ana", "everybody", "Cy"]


def test_a_rater_is_shown_as_this_rater_would_draw(
    viewer: Viewer, tools: RaterTools
) -> None:
    tools.view.choose("Bo")
    assert (shown(viewer)[OF_BO.slices[1:]] == 1).all()
    assert shown(viewer).sum() == 400
    tools.strictness.setValue(25)
    assert shown(viewer).sum() == 22 * 22
    assert "25" in tools.percent.text()
    tools.strictness.setValue(90)
    assert shown(viewer).sum() == 400
    tools.view.choose("Ana")
    assert shown(viewer).sum() == 0
    assert tools.who.currentText() == "Ana"


def test_what_a_rater_would_draw_is_adopted_as_ones_own(
    viewer: Viewer, session: Session, tools: RaterTools
) -> None:
    tools.refresh()
    assert not tools.adopt.isEnabled()
    tools.view.choose("Bo")
    tools.adopt.click()
    (stroke,) = session.project.corrections.strokes()
    assert stroke.tool == "adopt Bo" and stroke.annotator == "Ana"
    z = viewer.dims.current_step[0]
    assert (stroke.box.start[0], stroke.box.stop[0]) == (z, z + 1)
    said = session.project.corrections.read("Ana", OF_BO)
    agreed = OF_BO.intersection(OF_CY).relative_to(OF_BO)
    assert (said[z][: agreed.start[1]] == 1).all()
    heard = []
    session.notice.connect(heard.append)
    tools.adopt.click()
    assert heard[-1].text == "This is what Bo would draw already."


def test_pointing_at_a_voxel_says_what_they_would_say(
    viewer: Viewer, tools: RaterTools, qtbot: QtBot
) -> None:
    hand = Hand(viewer)
    hand.rest()
    scale = viewer.layers["image"].scale
    for place, text in (
        ((15, 15), "Bo includes this in"),
        ((25, 25), "Bo and Cy include this in"),
        ((40, 15), "All say background"),
    ):
        world = (viewer.dims.point[0], place[0] * scale[1], place[1] * scale[2])
        hand.move(world)
        qtbot.waitUntil(lambda t=text: t in tools.opinion.text())


def test_without_styles_of_several_raters_nothing_is_offered(dock: MainWidget) -> None:
    tools = dock.panels["review"].raters
    tools.refresh()
    assert not tools.who.isEnabled()
    assert "one rater only" in tools.who.toolTip()
    assert not tools.view.step()


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([0, 1, 1], "Bo and Cy include this in cell, Ana does not; p = 0.62"),
        ([1, 0, 0], "Ana includes this in cell, Bo and Cy do not; p = 0.62"),
        ([0, 0, 0], "All say background; p(cell) = 0.62"),
        ([2, 2, 2], "All say fibre; p = 0.10"),
        ([2, 1, 0], "Ana: fibre, Bo: cell, Cy: background; p(fibre) = 0.10"),
    ],
)
def test_opinions_are_sentences(ids: list[int], expected: str) -> None:
    assert opinion(RATERS, ids, ("cell", "fibre"), (0.62, 0.10)) == expected


def test_agreement_is_one_line() -> None:
    near = {"mean_dice": 0.834, "krippendorff_alpha": None}
    found = {"names": ["Ana", "Bo"], "near": near}
    assert agreement_text(found) == "Ana and Bo, near the objects: Dice 0.83."
