"""What correcting cost, from real journals whose clock is turned by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.corrections import CorrectionStore, Stroke
from napari_unetseg.data.effort import Effort, EffortMeter, moment, summed
from napari_unetseg.data.journal_merge import merge_journals
from napari_unetseg.geometry import Box
from tests.helpers.journal_clock import BEGIN, JournalClock

SHAPE = (16, 48, 48)
FOUR = Box((0, 0, 0), (1, 2, 2))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> JournalClock:
    return JournalClock(monkeypatch)


def opened(folder: Path) -> CorrectionStore:
    folder.mkdir(exist_ok=True)
    return CorrectionStore.open(folder, shape=SHAPE, voxel_size=(1.0, 1.0, 1.0))


@pytest.fixture
def store(clock: JournalClock, tmp_path: Path) -> Iterator[CorrectionStore]:
    made = opened(tmp_path / "here")
    yield made
    made.close()


def paint(
    store: CorrectionStore,
    value: int = 1,
    *,
    box: Box = FOUR,
    annotator: str = "Ana",
    tool: str = "brush",
    version: str | None = "v1",
) -> Stroke:
    mask = np.ones(box.shape, bool)
    return store.commit(
        box, mask, value, annotator=annotator, tool=tool, model_version=version
    )


def the_only(store: CorrectionStore, **options) -> Effort:
    (effort,) = EffortMeter(store).measure(**options)
    return effort


def test_strokes_are_counted_by_tool_person_and_version(store) -> None:
    paint(store)
    paint(store, tool="click")
    paint(store, tool="click", version="v2")
    paint(store, annotator="Bo", version=None)
    found = EffortMeter(store).measure()
    assert [(e.annotator, e.model_version, dict(e.strokes)) for e in found] == [
        ("Ana", "v1", {"brush": 1, "click": 1}),
        ("Ana", "v2", {"click": 1}),
        ("Bo", None, {"brush": 1}),
    ]
    total = summed(found)
    assert total.strokes == {"brush": 2, "click": 2}
    assert total.n_strokes == 4 and total.n_voxels == 16


def test_what_was_set_again_has_not_changed(store) -> None:
    paint(store, 1)
    paint(store, 1, box=Box((0, 0, 0), (1, 2, 3)))
    found = the_only(store)
    assert found.n_voxels == 4 + 6
    assert found.n_changed == 4 + 2
    assert the_only(store, changed=False).n_changed is None


def test_what_was_undone_is_counted_apart_and_redone_again(store) -> None:
    paint(store)
    paint(store, 2, box=Box((0, 0, 0), (1, 1, 2)))
    store.undo("Ana")
    found = the_only(store)
    assert (found.n_strokes, found.n_voxels, found.n_changed) == (1, 4, 4)
    assert (found.n_undone, found.n_undone_voxels, found.n_steps_back) == (1, 2, 1)
    store.redo("Ana")
    found = the_only(store)
    assert (found.n_strokes, found.n_undone, found.n_steps_back) == (2, 0, 2)


def test_a_stroke_taken_out_of_the_middle_is_undone(store) -> None:
    first = paint(store)
    paint(store, 2, box=Box((0, 0, 0), (1, 1, 2)))
    store.undo_stroke(first)
    found = the_only(store)
    assert (found.n_strokes, found.n_voxels, found.n_undone) == (1, 2, 1)
    store.undo("Ana")  # of the revert
    assert the_only(store).n_strokes == 2


def test_pauses_are_no_work(store, clock) -> None:
    paint(store)
    for gap in (40, 20, 121, 10, 120):
        clock.turn(gap)
        paint(store)
    assert the_only(store).active_s == 40 + 20 + 10 + 120
    (short,) = EffortMeter(store, pause_s=15).measure()
    assert short.active_s == 10


def test_steps_back_reviews_and_rejected_clicks_are_work_too(store, clock) -> None:
    paint(store)
    clock.turn(30)
    store.undo("Ana")
    clock.turn(20)
    store.add_reviewed(FOUR, "Ana", "v1", "corrected")
    clock.turn(10)
    store.add_rejected_click((0, 0, 0), 1, "Ana", "v1")
    found = the_only(store)
    assert found.active_s == 60
    assert found.reviewed == {"corrected": 1} and found.n_reviewed == 1
    assert found.n_clicks == found.n_rejected_clicks == 1


def test_a_gap_belongs_to_the_version_that_ended_it(store, clock) -> None:
    paint(store, version="v1")
    clock.turn(30)
    paint(store, version="v2")
    clock.turn(7)
    paint(store, annotator="Bo", version="v2")  # another person: no gap
    seconds = {(e.annotator, e.model_version): e.active_s
               for e in EffortMeter(store).measure()}  # fmt: skip
    assert seconds == {("Ana", "v1"): 0, ("Ana", "v2"): 30, ("Bo", "v2"): 0}


def test_imported_labels_are_nobodys_work(store, clock) -> None:
    paint(store, tool="import", version=None)
    clock.turn(30)
    paint(store, tool="import", version=None)
    found = the_only(store)
    assert (found.n_strokes, found.n_voxels, found.active_s) == (0, 0, 0)
    assert found.n_brought_in == 8


def test_only_what_was_done_since_a_moment(store, clock) -> None:
    paint(store)
    clock.turn(30)
    since = clock.now
    paint(store, tool="fill")
    clock.turn(5)
    store.undo("Ana")
    clock.turn(5)
    paint(store, tool="eraser")
    found = the_only(store, since=since)
    assert found.strokes == {"eraser": 1}
    assert (found.n_undone, found.active_s) == (1, 10)


def test_what_had_been_spent_at_a_moment(store, clock) -> None:
    paint(store)
    paint(store, tool="import")
    clock.turn(60)
    then = clock.now
    paint(store)
    clock.turn(60)
    store.undo_to(store.strokes()[0])
    meter = EffortMeter(store)
    assert meter.spent_until(then) == (2, 60)
    assert meter.spent_until(clock.now) == (1, 120)
    assert meter.spent_until(datetime(2020, 1, 1, tzinfo=UTC)) == (0, 0)


def test_a_merged_copy_is_put_in_order_by_time(store, clock, tmp_path) -> None:
    other = opened(tmp_path / "copy")
    paint(other, annotator="Bo")
    clock.turn(30)
    paint(store)
    paint(other, annotator="Bo")
    clock.turn(30)
    paint(store)
    other.close()
    merge_journals(store, tmp_path / "copy")
    assert [e.active_s for e in EffortMeter(store).measure()] == [30, 30]


def test_nothing_was_done_yet(store) -> None:
    assert EffortMeter(store).measure() == ()
    assert summed(()) == Effort(n_changed=0)


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment("2026-03-01T09:00:00") == BEGIN == moment("2026-03-01T10:00:00+01:00")


def test_a_meter_that_is_brought_up_says_what_a_new_one_says(store, clock) -> None:
    paint(store)
    store.add_reviewed(FOUR, "Ana", "v1")
    meter = EffortMeter(store)
    clock.turn(30)
    paint(store, tool="click")
    paint(store, annotator="Bo")
    store.undo("Ana")
    store.remove_reviewed(store.reviewed()[0].id)
    stale = meter.measure()
    meter.update()
    assert meter.measure() == EffortMeter(store).measure() != stale
