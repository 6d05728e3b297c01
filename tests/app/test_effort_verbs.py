"""Effort in the session: numbers at once, and a report from a real child process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.app.session import Session
from napari_unetseg.geometry import Box

BOX = Box((0, 0, 0), (1, 2, 2))
PATIENCE_S = 120


@pytest.fixture
def session(project_folder: Path) -> Iterator[Session]:
    session = Session()
    session.open_project(project_folder)
    yield session
    session.close()


def paint(session: Session, tool: str = "brush") -> None:
    assert session.project is not None
    session.project.corrections.commit(
        BOX, np.ones(BOX.shape, bool), 1, annotator="Ana", tool=tool
    )


def test_numbers_since_the_project_was_opened_and_in_all(session, project_folder):
    paint(session)
    session.close()
    session.open_project(project_folder)
    paint(session, "fill")
    now = session.effort_now()
    assert now.here.strokes == {"fill": 1}
    assert now.total.strokes == {"brush": 1, "fill": 1}
    assert now.total.n_changed is None


def test_without_a_project_there_is_no_effort(session) -> None:
    project = session.project
    session.close()
    assert session.effort_now() is None
    assert session.why_not("measure_effort") == "Open a volume or a project first."
    session.project = project  # closed by another thread meanwhile
    assert session.effort_now() is None
    session.project = None


def test_effort_is_measured_in_another_process(session, tmp_path) -> None:
    assert "Nothing was corrected" in session.why_not("measure_effort")
    paint(session)
    heard: list[dict[str, Any]] = []
    session.effort_measured.connect(heard.append)
    session.measure_effort(out=tmp_path / "report")
    pause = threading.Event()
    for _ in range(PATIENCE_S * 50):
        session.poll()
        if heard:
            break
        pause.wait(0.02)
    (found,) = heard
    assert found["total"]["strokes"] == {"brush": 1}
    assert Path(found["report"]) == tmp_path / "report" / "effort.html"
    assert Path(found["csv"]).is_file()
