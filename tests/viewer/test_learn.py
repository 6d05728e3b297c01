"""The card that trains: what it says while it does, and the check box."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_unetseg.app.status import JobState, JobStatus
from napari_unetseg.config import Preferences
from napari_unetseg.events import LearnsFrom, StepDone
from napari_unetseg.geometry import Box
from napari_unetseg.viewer.panels.learn import progress_text, stop_tip

if TYPE_CHECKING:
    from napari_unetseg.viewer.main_widget import MainWidget
    from napari_unetseg.viewer.panels.learn import LearnPanel

pytestmark = pytest.mark.gui
FIRST, BEST, LAST = (
    StepDone(10, 40, 0.9, {}, 5.0),
    StepDone(20, 40, 0.5, {"cell": 0.8, "fibre": 0.4}, 10.0),
    StepDone(30, 40, 0.4, {"cell": 0.7, "fibre": 0.4}, 15.0),
)


@pytest.fixture
def panel(project_with_model: Path, dock: MainWidget) -> LearnPanel:
    panel = dock.panels["learn"]
    panel.set_open(True)
    dock.refresh()
    return panel


@pytest.mark.parametrize(
    ("job", "steps", "text"),
    [
        (JobStatus("train", JobState.RUNNING), [], "starting"),
        (
            JobStatus("train", JobState.RUNNING, 10, 40, None, 40.0, "loss 0.900"),
            [FIRST],
            "step 10/40 · 40 s left",
        ),
        (
            JobStatus("train", JobState.RUNNING, 2, 8, None, 75.0, "comparing with v1"),
            [FIRST, BEST],
            "comparing with v1 2/8 · 1:15 left",
        ),
        (
            JobStatus("train", JobState.RUNNING, 40, 40, None, 0.0, "loss 0.400"),
            [StepDone(40, 40, 0.4)],
            "step 40/40 · finishing",
        ),
        (JobStatus("train", JobState.CANCELLING, 10, 40), [FIRST], "stopping"),
        (JobStatus(), [FIRST, BEST, LAST], "30 steps in 15 s"),
        (JobStatus(), [], ""),
        (JobStatus("predict", JobState.RUNNING), [], ""),
    ],
)
def test_a_training_is_one_line(
    job: JobStatus, steps: list[StepDone], text: str
) -> None:
    assert progress_text(job, steps) == text


def test_stop_says_what_is_kept() -> None:
    assert stop_tip([FIRST, BEST, LAST]) == (
        "Stop training. The best so far is kept: Dice 0.60 at step 20."
    )
    assert "no version is made of it" in stop_tip([FIRST])


def test_what_is_learned_and_what_came_too_late_stand_in_the_card(
    panel: LearnPanel, dock: MainWidget
) -> None:
    session, box = dock.session, Box((2, 4, 4), (3, 9, 9))
    composite = session.composite(Box((0, 0, 0), (16, 48, 48)))
    composite[box.slices] = 1
    session.commit(composite, "brush")
    session.on_status(JobStatus("train", JobState.RUNNING))
    session.on_learns(LearnsFrom("9 voxels in 2 regions by Ana and Bo"))
    dock.refresh()
    assert panel._what.text() == "Learns from 9 voxels in 2 regions by Ana and Bo."
    assert panel._waiting.text() == "1 stroke since; it counts in the next round."
    assert panel._progress.text() == panel.summary == "starting"
    session.on_status(JobStatus())
    session.learns_from = None
    dock.refresh()
    assert not panel._waiting.isVisibleTo(panel)
    assert panel.summary == "1 stroke since v1"


def test_the_box_is_off_until_it_is_ticked(panel: LearnPanel, dock: MainWidget) -> None:
    session, auto = dock.session, panel.auto
    assert auto.box.text() == "Fine-tune after every 20 corrections"
    assert not auto.box.isChecked()
    assert not auto.count.isVisibleTo(panel)
    auto.box.click()
    dock.refresh()
    assert session.preferences.auto_finetune
    assert auto.count.text() == "0 of 20 so far."
    session.set_preferences(Preferences(auto_finetune=True, auto_corrections=1))
    dock.refresh()
    assert auto.box.text() == "Fine-tune after every correction"
    auto.box.click()
    assert not session.preferences.auto_finetune


def test_a_stroke_under_way_is_painting(dock: MainWidget) -> None:
    session, editable = dock.session, dock.layers.editable
    assert not session.is_painting()
    with editable.block_history():
        assert session.is_painting()
    assert not session.is_painting()
    dock.close_parts()
    assert not session.is_painting()


def test_the_box_is_away_without_a_model(dock: MainWidget) -> None:
    panel = dock.panels["learn"]
    panel.set_open(True)
    dock.refresh()
    assert not panel.auto.isVisibleTo(panel)
