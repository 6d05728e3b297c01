from __future__ import annotations

import json
import math
from pathlib import Path
from typing import get_args

import pytest

from napari_unetseg.app.wire import from_line, to_line
from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    BlockStarted,
    BlockState,
    Event,
    LearnsFrom,
    Message,
    Outcome,
    Progress,
    RunFinished,
    RunStarted,
    StepDone,
)
from napari_unetseg.geometry import Box

EVENTS: tuple[Event, ...] = (
    RunStarted("predict", total=8, finished=2, subject="v1"),
    BlocksPlanned((1, 2, 2), (4, 4, 4), (0, 3), {0: BlockState.DONE}),
    BlockStarted(3),
    BlockDone(3, Box((0, 4, 4), (4, 8, 8)), BlockState.FAILED, 0.25, "A chunk is lost"),
    Progress(3, 8, "level 1"),
    LearnsFrom("4 voxels in 1 region by Ana", ("a1", "b2"), ("Ana",)),
    StepDone(10, 400, loss=0.25, dice={"cell": 0.5}, seconds=0.125),
    Message("Écrit à 25 °C\nfrom a second line", "warning"),
    RunFinished(Outcome.FAILED, {"done": 3}, "The disk is full.", 'File "run.py"\n'),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_from_its_line(event: Event) -> None:
    copy = from_line(to_line(event))
    assert type(copy) is type(event)
    assert copy == event


def test_every_kind_of_event_has_been_tried() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_one_line_of_plain_json(event: Event) -> None:
    line = to_line(event)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["event"] == type(event).__name__


def test_values_keep_their_types_on_the_way() -> None:
    done = from_line(to_line(EVENTS[3]))
    assert isinstance(done, BlockDone)
    assert isinstance(done.write_box, Box)
    assert done.state is BlockState.FAILED
    planned = from_line(to_line(EVENTS[1]))
    assert isinstance(planned, BlocksPlanned)
    assert planned.states == {0: BlockState.DONE}


def test_a_loss_that_is_no_number_still_arrives() -> None:
    event = from_line(to_line(StepDone(1, 2, loss=math.nan)))
    assert isinstance(event, StepDone)
    assert math.isnan(event.loss)


def test_paths_in_a_result_become_text() -> None:
    path = Path("folder") / "out.zarr"
    event = from_line(to_line(RunFinished(Outcome.DONE, {"path": path})))
    assert isinstance(event, RunFinished)
    assert event.result == {"path": str(path)}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "loading weights …",
        '{"event": "Progress", "done": 1',
        '{"event": "Nonsense"}',
        '{"done": 1, "total": 2}',
        '{"event": "Progress", "done": 1}',
        '{"event": "Progress", "done": "many", "total": 2}',
        '{"event": ["Progress"]}',
        "[1, 2]",
        "7",
        "null",
    ],
)
def test_what_is_no_event_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        from_line(line)


def test_a_long_line_that_is_no_event_is_shown_in_part() -> None:
    with pytest.raises(ValueError, match="Not an event: ") as caught:
        from_line(json.dumps({"event": "x" * 500}))
    assert len(str(caught.value)) < 120
