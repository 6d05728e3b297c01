from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_unetseg.app.session import Session
from napari_unetseg.app.status import JobState, JobStatus, Notice
from napari_unetseg.viewer.status_line import StatusLine, job_text, time_text

pytestmark = pytest.mark.gui


@pytest.fixture
def quiet_session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


@pytest.fixture
def line(quiet_session: Session, qtbot: QtBot) -> StatusLine:
    line = StatusLine(quiet_session)
    qtbot.addWidget(line)
    line.resize(380, 40)
    line.show()
    return line


@pytest.mark.parametrize(
    ("job", "text"),
    [
        (JobStatus(), ""),
        (
            JobStatus("predict", JobState.RUNNING, 312, 512, 2.13, 100.0),
            "predicting 312/512 · 2.1 Mvox/s · 1:40 left",
        ),
        (
            JobStatus("train", JobState.RUNNING, 7, 400, text="loss 0.310"),
            "training 7/400 · loss 0.310",
        ),
        (
            JobStatus("export", JobState.CANCELLING, 1, 9),
            "stopping: exporting 1/9",
        ),
        (JobStatus("sample", JobState.RUNNING, 0, 1), "making the sample"),
    ],
)
def test_a_job_is_one_line(job: JobStatus, text: str) -> None:
    assert job_text(job) == text


def test_durations_read_like_a_clock() -> None:
    assert [time_text(s) for s in (0, 59.6, 3599, 3600)] == [
        "0 s",
        "1:00",
        "59:59",
        "1 h 00",
    ]


def test_idle_shows_the_latest_message(line: StatusLine) -> None:
    assert line.text.text() == "ready"
    assert line.stop.isHidden()
    line.say(Notice("warning", "Predict first."))
    assert line.text.text() == "Predict first."
    assert line.text.property("level") == "warning"


def test_a_running_job_shows_progress_and_can_be_stopped(
    line: StatusLine, quiet_session: Session, qtbot: QtBot
) -> None:
    stopped: list[bool] = []
    line.stop.clicked.connect(stopped.append)
    quiet_session.job = JobStatus("predict", JobState.RUNNING, 3, 12)
    line.refresh()
    assert (line.bar.value(), line.bar.maximum()) == (3, 12)
    assert line.stop.isEnabled()
    qtbot.mouseClick(line.stop, Qt.MouseButton.LeftButton)
    assert stopped

    quiet_session.job = JobStatus("predict", JobState.CANCELLING, 3, 12)
    line.refresh()
    assert not line.stop.isEnabled()
    assert "It is stopping already." in line.stop.toolTip()


def test_work_of_unknown_length_shows_that_it_goes_on(
    line: StatusLine, quiet_session: Session
) -> None:
    quiet_session.job = JobStatus("convert", JobState.RUNNING)
    line.refresh()
    assert (line.bar.minimum(), line.bar.maximum()) == (0, 0)


def test_a_click_asks_for_the_log(line: StatusLine, qtbot: QtBot) -> None:
    asked: list[bool] = []
    line.log_wanted.connect(lambda: asked.append(True))
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)
    assert asked
