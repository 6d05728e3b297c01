from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app.session import Session
from napari_unetseg.app.status import Notice
from napari_unetseg.errors import EditError
from napari_unetseg.geometry import Box
from napari_unetseg.interactive.objects import Edit

BOX = Box((2, 4, 4), (4, 8, 8))
ELSEWHERE = Box((10, 30, 30), (12, 34, 34))


class Slow:
    """An edit that waits to be let go, and says whose labels it was made from."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.began = threading.Semaphore(0)
        self.rounds = 0

    def __call__(self) -> Edit:
        self.rounds += 1
        self.began.release()
        assert self.go_on.wait(30)
        return Edit(BOX, np.ones(BOX.shape, bool), 1)


@pytest.fixture
def session(project_folder: Path) -> Iterator[Session]:
    session = Session()
    session.patience_s = 0.0
    session.open_project(project_folder)
    session.set_annotator("Ana")
    yield session
    session.close()


@pytest.fixture
def notices(session: Session) -> list[Notice]:
    heard: list[Notice] = []
    session.notice.connect(heard.append)
    return heard


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.go_on.set()


def start(session: Session, slow: Slow) -> None:
    assert session._edited("grow", slow) is None
    assert slow.began.acquire(timeout=30)


def finish(session: Session, slow: Slow) -> None:
    slow.go_on.set()
    session._thinking.wait(30)
    session.poll()


def paint(session: Session, box: Box, value: int = 1) -> None:
    composite = session.composite(box.grown((1, 1, 1)))
    composite[(slice(1, -1),) * 3] = value
    assert session.commit(composite, "brush") is not None


def tools(session: Session) -> list[str]:
    return [stroke.tool for stroke in session.project.corrections.strokes()]


def test_a_slow_edit_lets_its_caller_go_and_is_written_when_it_is_ready(
    session: Session, slow: Slow, notices: list[Notice]
) -> None:
    start(session, slow)
    session.poll()
    assert session.thinking == "grow" and tools(session) == []
    assert notices[-1].text == "The grow takes a moment; you can go on."
    finish(session, slow)
    assert session.thinking == "" and tools(session) == ["grow"]
    assert (session.project.corrections.read("Ana", BOX) == 1).all()


def test_an_edit_within_patience_is_written_at_once(
    session: Session, slow: Slow
) -> None:
    session.patience_s = 30
    slow.go_on.set()
    stroke = session._edited("grow", slow)
    assert stroke is not None and stroke.annotator == "Ana"


def test_there_is_one_at_a_time_and_painting_goes_on(
    session: Session, slow: Slow, notices: list[Notice]
) -> None:
    start(session, slow)
    assert session._edited("smooth", Slow()) is None
    assert notices[-1] == Notice("warning", "Wait until the grow before is done.")
    paint(session, ELSEWHERE)
    finish(session, slow)
    assert slow.rounds == 1
    assert tools(session) == ["brush", "grow"]


def test_what_was_changed_there_meanwhile_is_seen(session: Session, slow: Slow) -> None:
    start(session, slow)
    paint(session, BOX)
    finish(session, slow)
    assert slow.rounds == 2 and tools(session) == ["brush"]
    session._thinking.wait(30)
    session.poll()
    assert tools(session) == ["brush", "grow"]


def test_what_cannot_be_made_is_said_when_it_is_known(
    session: Session, notices: list[Notice]
) -> None:
    go_on = threading.Event()

    def refuse() -> Edit:
        assert go_on.wait(30)
        raise EditError("It cannot be cut", do="Draw another line.")

    session._edited("split", refuse)
    go_on.set()
    session._thinking.wait(30)
    session.poll()
    assert notices[-1] == Notice("warning", "It cannot be cut. Draw another line.")
    assert session.thinking == ""


@pytest.mark.parametrize("leave", ["annotator", "project"])
def test_it_is_dropped_with_whoever_asked_for_it(
    session: Session, slow: Slow, leave: str, project_folder: Path
) -> None:
    start(session, slow)
    thread = session._thinking
    if leave == "annotator":
        session.set_annotator("Bo")
    else:
        session.close()
        session.open_project(project_folder)
    assert session.thinking == ""
    slow.go_on.set()
    thread.wait(30)
    session.poll()
    assert tools(session) == []
