from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app import actions, planning
from napari_unetseg.app.project import Project
from napari_unetseg.app.session import Session
from napari_unetseg.config import TrainConfig
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import MemoryBudgetError
from napari_unetseg.events import Event, Message
from napari_unetseg.geometry import Box, Zyx

SECTION = Box((4, 0, 0), (5, 48, 48))


@pytest.fixture
def labelled(project_folder: Path, phantom_path: Path) -> Path:
    """A project without a model in which one section is labelled."""
    truth = Volume.open(phantom_path / "labels" / "truth").read(SECTION)[0]
    with Project.open(project_folder) as project:
        project.corrections.commit(
            SECTION, np.ones(SECTION.shape, bool), truth,
            annotator="Ana", tool="brush", model_version=None,
        )  # fmt: skip
    return project_folder


@pytest.fixture
def session(labelled: Path) -> Iterator[Session]:
    session = Session()
    session.open_project(labelled)
    yield session
    session.close()


def test_the_window_says_the_plan_before_the_training(session: Session) -> None:
    said = session.plan_said(preset="S")
    assert "scales, patches 16 × 48 × 48, at most 4 minutes; objects are" in said
    assert "at most 2 minutes" in session.plan_said(preset="S", budget_s=120)


def test_without_labels_there_is_no_plan(project_folder: Path) -> None:
    session = Session()
    assert session.plan_said() == ""
    session.open_project(project_folder)
    assert session.plan_said() == ""
    session.close()


def test_it_is_planned_again_only_if_something_has_changed(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = session.plan_said()
    monkeypatch.setattr(planning, "available_bytes", lambda: 2000)
    assert session.plan_said() == first
    assert "Training needs more memory than there is" in session.plan_said(batch=1)


def test_what_was_planned_is_what_is_trained(
    labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> Zyx:
        return 0, 0, 0

    monkeypatch.setattr("napari_unetseg.models.registration.measure_halo", none)
    heard: list[Event] = []
    config = TrainConfig(steps=1, preset="S", threads=1)
    actions.train(labelled, config, heard.append)
    messages = [event.text for event in heard if isinstance(event, Message)]
    with Project.open(labelled, read_only=True) as project:
        card = project.models.card("v1")
    assert messages == [card.training["plan"]]
    assert card.training["plan"].startswith("4 scales, patches 16 × 48 × 48, 1 step;")
    assert card.patch == (16, 48, 48)


def test_a_training_that_does_not_fit_does_not_begin(
    labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "available_bytes", lambda: 2000)
    with pytest.raises(MemoryBudgetError, match="expected at least"):
        actions.train(labelled, TrainConfig(steps=1))
