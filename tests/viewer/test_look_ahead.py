from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from napari_unetseg.app.status import JobState, JobStatus
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.look_ahead import LookAhead

HERE, THERE = Box((0, 0, 0), (4, 4, 4)), Box((8, 8, 8), (12, 12, 12))
PREDICTING = JobStatus(verb="predict", state=JobState.RUNNING)


@dataclass
class View:
    """A view that is where it is put, and a session that notes what it is told."""

    box: Box | None = HERE
    job: JobStatus = PREDICTING
    told: list[Zyx] = field(default_factory=list)

    def visible_box(self) -> Box | None:
        return self.box

    def look_at(self, voxel: Zyx) -> None:
        self.told.append(voxel)


def test_it_speaks_once_when_the_view_has_come_to_rest() -> None:
    view = View()
    look = LookAhead(cast("Any", view), cast("Any", view))
    look.tick()
    assert view.told == []  # it may still move
    for _ in range(3):
        look.tick()
    assert view.told == [(2, 2, 2)]
    view.box = THERE
    look.tick()
    view.box = HERE  # there and back
    for _ in range(3):
        look.tick()
    assert view.told == [(2, 2, 2)]
    view.box = THERE
    for _ in range(3):
        look.tick()
    assert view.told == [(2, 2, 2), (10, 10, 10)]


def test_it_is_silent_unless_something_is_predicted_and_in_view() -> None:
    view = View(job=JobStatus(verb="train", state=JobState.RUNNING))
    look = LookAhead(cast("Any", view), cast("Any", view))
    for job in (view.job, JobStatus(), PREDICTING):
        view.job, view.box = job, HERE if job != PREDICTING else None
        for _ in range(3):
            look.tick()
    assert view.told == []
