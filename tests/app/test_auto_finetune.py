"""Fine-tuning by itself: when it begins, and when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_unetseg.app import auto_finetune
from napari_unetseg.app.session import Session
from napari_unetseg.app.status import JobState, JobStatus, Notice
from napari_unetseg.config import Config, Preferences
from napari_unetseg.events import LearnsFrom, Outcome, RunFinished
from napari_unetseg.geometry import Box
from napari_unetseg.models.verdict import not_judged

WANTED = Preferences(auto_finetune=True, auto_corrections=3)
WINDOW = Box((0, 0, 0), (16, 48, 48))


class Work:
    """Stands for the child process: what was started, and how it ends."""

    def __init__(self, session: Session) -> None:
        self.session, self.started = session, []
        session._work.start = self.start

    def start(self, verb: str, config: Config, **_: Any) -> None:
        assert self.session.job.is_idle
        self.started.append((verb, getattr(config, "parent", None)))
        self.session._work._meter.start(verb)
        self.session.on_status(JobStatus(verb, JobState.RUNNING))

    def says_what_it_learns(self) -> None:
        strokes = self.session.project.corrections.stroke_ids()
        self.session.on_learns(LearnsFrom("everything", strokes))

    def ends(self, finished: RunFinished) -> None:
        verb = self.session.job.verb
        self.session.on_status(JobStatus())
        self.session.on_finished(verb, finished)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def session(project_with_model: Path) -> Iterator[Session]:
    session = Session(WANTED)
    session.auto._clock = Clock()
    session.open_project(project_with_model)
    session.set_annotator("Ana")
    yield session
    session.close()


@pytest.fixture
def work(session: Session) -> Work:
    return Work(session)


def paint(session: Session, n: int, *, then: float = 10.0) -> None:
    """Paint ``n`` strokes, and rest."""
    for _ in range(n):
        row = session.project.corrections.n_strokes
        composite = session.composite(WINDOW)
        composite[2, row, 4:9] = 1
        session.commit(composite, "brush")
    session.auto._clock.now += then


def add_candidate(session: Session, strokes: tuple[str, ...]) -> None:
    models = session.project.models
    card = models.card("v1").replace(
        version="v2", parent="v1", gate=not_judged("v1", "Too few regions."),
        training={"strokes": list(strokes)},
    )  # fmt: skip
    models.register(card, models.dir("v1") / "weights.safetensors")


def test_it_begins_after_enough_corrections_and_says_so(
    session: Session, work: Work
) -> None:
    heard: list[Notice] = []
    session.notice.connect(heard.append)
    paint(session, 2)
    session.poll()
    assert not work.started
    assert session.auto.n_new == 2
    paint(session, 1)
    session.poll()
    assert work.started == [("train", "v1")]
    assert session.job.by_itself
    assert [(n.level, n.text) for n in heard] == [
        ("info", "3 corrections since v1: fine-tuning begins by itself.")
    ]


def test_it_is_off_unless_somebody_wants_it(session: Session, work: Work) -> None:
    session.set_preferences(Preferences(auto_corrections=3))
    paint(session, 5)
    session.poll()
    assert not work.started
    session.set_preferences(WANTED)
    session.poll()
    assert work.started


def test_what_was_undone_does_not_count(session: Session, work: Work) -> None:
    paint(session, 3, then=0)
    session.undo()
    session.auto._clock.now += 10
    session.poll()
    assert session.auto.n_new == 2
    assert not work.started


def test_it_waits_for_a_hand_that_paints(session: Session, work: Work) -> None:
    painting = True
    session.is_painting = lambda: painting
    paint(session, 3)
    session.poll()
    assert not work.started
    painting = False
    session.poll()
    assert work.started


def test_between_two_strokes_it_does_not_begin(session: Session, work: Work) -> None:
    paint(session, 3, then=auto_finetune.QUIET_S - 0.1)
    session.poll()
    assert not work.started
    session.auto._clock.now += 0.2
    session.poll()
    assert work.started


def test_there_are_never_two_jobs_at_once(session: Session, work: Work) -> None:
    session.predict(Box((0, 0, 0), (4, 4, 4)))
    paint(session, 3)
    session.poll()
    assert [verb for verb, _ in work.started] == ["predict"]
    work.ends(RunFinished(Outcome.CANCELLED))
    session.poll()
    session.poll()
    assert [verb for verb, _ in work.started] == ["predict", "train"]
    paint(session, 9)
    session.poll()
    assert len(work.started) == 2


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED])
def test_one_that_did_not_succeed_waits_for_new_corrections(
    session: Session, work: Work, outcome: Outcome
) -> None:
    paint(session, 3)
    session.poll()
    work.ends(RunFinished(outcome, error="It did not work."))
    session.poll()
    assert len(work.started) == 1
    paint(session, 3)
    session.poll()
    assert len(work.started) == 2


def test_a_candidate_has_learned_its_corrections(session: Session, work: Work) -> None:
    paint(session, 3)
    session.poll()
    work.says_what_it_learns()
    strokes = session.project.corrections.stroke_ids()
    add_candidate(session, strokes)
    paint(session, 2)  # meanwhile
    result = {"version": "v2", "champion": "v1", "promoted": False, "verdict": "No."}
    work.ends(RunFinished(Outcome.DONE, result))
    session.poll()
    assert session.auto.n_new == 2
    assert len(work.started) == 1

    folder = session.project.folder
    session.close()
    session.open_project(folder)  # another day: its card still knows
    assert session.auto.n_new == 2


def test_a_better_version_waits_for_the_hand(session: Session, work: Work) -> None:
    paint(session, 1)
    session.finetune()
    work.says_what_it_learns()
    add_candidate(session, ())
    session.is_painting = lambda: True
    result = {"version": "v2", "champion": "v1", "promoted": True, "verdict": "Yes."}
    work.ends(RunFinished(Outcome.DONE, result))
    session.poll()
    assert session.project.active_model == "v1"
    session.is_painting = lambda: False
    session.poll()
    assert session.project.active_model == "v2"


def test_what_came_too_late_is_said(session: Session, work: Work) -> None:
    paint(session, 1)
    assert session.waiting_text() == ""
    session.finetune()
    session.on_learns(
        LearnsFrom("1,204 voxels in 7 regions by Ana and Bo",
                   session.project.corrections.stroke_ids())
    )  # fmt: skip
    assert session.training_summary() == (
        "Learns from 1,204 voxels in 7 regions by Ana and Bo."
    )
    assert session.waiting_text() == ""
    paint(session, 1)
    assert session.waiting_text() == "1 stroke since; it counts in the next round."
    paint(session, 2)
    assert session.waiting_text() == "3 strokes since; they count in the next round."
    work.ends(RunFinished(Outcome.CANCELLED))
    assert session.waiting_text() == ""
    assert session.training_summary() == "20 voxels in 4 strokes by Ana"
