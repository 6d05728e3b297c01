from __future__ import annotations

import dataclasses
import pickle
from typing import get_args

import pytest

from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    BlockState,
    Event,
    Outcome,
    Progress,
    RunFinished,
    RunStarted,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Box


def test_an_event_is_a_value_that_does_not_change() -> None:
    event = Progress(1, 2, "level 0")
    assert event == Progress(1, 2, "level 0")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.done = 2  # type: ignore[misc]


def test_every_kind_of_event_is_a_frozen_dataclass_with_a_docstring() -> None:
    for kind in get_args(Event):
        assert dataclasses.is_dataclass(kind), kind
        assert kind.__dataclass_params__.frozen, kind
        assert kind.__doc__, kind


def test_events_travel_between_processes() -> None:
    events = [
        RunStarted("predict", 8, 2, "v1"),
        BlocksPlanned((1, 2, 2), (4, 4, 4), (0, 3), {3: BlockState.FAILED}),
        BlockDone(3, Box((0, 4, 4), (4, 8, 8)), BlockState.DONE, 0.5),
        RunFinished(Outcome.DONE, {"done": 3}),
    ]
    assert pickle.loads(pickle.dumps(events)) == events


def test_two_events_do_not_share_what_they_hold() -> None:
    first, second = RunFinished(Outcome.DONE), RunFinished(Outcome.DONE)
    assert first.result is not second.result


def test_states_and_outcomes_read_as_words() -> None:
    assert [f"{state}" for state in BlockState] == [
        "todo",
        "running",
        "done",
        "empty",
        "failed",
    ]
    assert Outcome("cancelled") is Outcome.CANCELLED


def test_the_default_listener_ignores_and_the_default_flag_goes_on() -> None:
    assert ignore_event(Progress(0, 1)) is None
    assert never_cancelled() is False
