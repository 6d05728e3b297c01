"""Any sequence of what people and programs do: labels are those of a plain model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from napari_unetseg.data.composite import read_composite
from napari_unetseg.data.corrections import UNSET, CorrectionStore, Stroke
from napari_unetseg.data.look_back import history_page, labels_at
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.geometry import Block, Box, zyx

SHAPE = (4, 16, 16)
WHOLE = Box.whole(SHAPE)
PEOPLE = ("Ana", "Bo")
seeds = st.integers(0, 2**32 - 1)


class Person:
    """What one person did, as lists of full-size arrays; the simplest there is."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self.undone: list[dict[str, Any]] = []
        self.past: list[tuple[int, np.ndarray]] = []

    def do(self, **step: Any) -> None:
        self.done.append(step)
        self.undone.clear()

    @property
    def in_effect(self) -> list[dict[str, Any]]:
        """Return the edits that are neither undone nor taken back."""
        gone: set[str] = set()
        for step in reversed(self.done):
            if "reverts" in step and step["row"].uuid not in gone:
                gone.add(step["reverts"].uuid)
        rest = [step for step in self.done if step["row"].uuid not in gone]
        return [step for step in rest if "reverts" not in step]

    @property
    def labels(self) -> np.ndarray:
        values = np.full(SHAPE, UNSET, np.uint8)
        for step in self.in_effect:
            np.copyto(values, step["values"], where=step["mask"])
        return values


class AnySequence(RuleBasedStateMachine):
    """The corrections and the model do the same, and are compared after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="unetseg-"))
        self.people = {name: Person() for name in PEOPLE}
        self.name = PEOPLE[0]
        self.store = self._opened()
        self.predict_again(0)

    def _opened(self) -> CorrectionStore:
        return CorrectionStore.open(
            self.folder, shape=SHAPE, voxel_size=(1.0, 1.0, 1.0), chunk=(2, 8, 8)
        )

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @property
    def person(self) -> Person:
        return self.people[self.name]

    def _note(self, row: Stroke) -> None:
        self.person.past.append((row.sequence, self.person.labels))

    @rule(seed=seeds)
    def replace_the_prediction(self, seed: int) -> None:
        self.predict_again(seed)

    def predict_again(self, seed: int) -> None:
        path = self.folder / "v1.zarr"
        shutil.rmtree(path, ignore_errors=True)
        self.predictions = PredictionStore.create(
            path, shape=SHAPE, voxel_size=(1.0, 1.0, 1.0), chunk=SHAPE,
            class_names=("cell",), maps=(),
        )  # fmt: skip
        self.predicted = np.random.default_rng(seed).integers(0, 3, SHAPE, np.uint8)
        nothing = np.zeros((1, *SHAPE), np.uint8)
        self.predictions.write(
            Block(0, WHOLE, WHOLE), BlockPrediction(self.predicted, nothing)
        )

    @rule(seed=seeds)
    def paint(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        start = random.integers(0, SHAPE)
        box = Box(zyx(start), zyx(random.integers(start + 1, np.array(SHAPE) + 1)))
        mask = random.random(box.shape) < 0.7
        mask.flat[0] = True
        values = random.choice([0, 1, 2, UNSET], box.shape if seed % 2 else ())
        row = self.store.commit(box, mask, values, annotator=self.name, tool="brush")
        full = {"mask": np.zeros(SHAPE, bool), "values": np.zeros(SHAPE, np.uint8)}
        full["mask"][box.slices], full["values"][box.slices] = mask, values
        self.person.do(row=row, **full)
        self._note(row)

    @rule()
    def undo(self) -> None:
        row = self.store.undo(self.name)
        assert (row is None) is not bool(self.person.done)
        if row is not None:
            self.person.undone.append(self.person.done.pop())
            self._note(row)

    @rule()
    def redo(self) -> None:
        row = self.store.redo(self.name)
        assert (row is None) is not bool(self.person.undone)
        if row is not None:
            self.person.done.append(self.person.undone.pop())
            self._note(row)

    @rule(data=st.data())
    def undo_to(self, data: st.DataObject) -> None:
        if done := self.person.done:
            number = data.draw(st.integers(0, len(done) - 1))
            rows = self.store.undo_to(done[number]["row"])
            assert len(rows) == len(done) - 1 - number
            while len(done) > number + 1:
                self.person.undone.append(done.pop())
            for row in rows[-1:]:
                self._note(row)

    @rule(data=st.data())
    def redo_to(self, data: st.DataObject) -> None:
        if undone := self.person.undone:
            number = data.draw(st.integers(0, len(undone) - 1))
            rows = self.store.redo_to(undone[number]["row"])
            while len(undone) > number:
                self.person.done.append(undone.pop())
            self._note(rows[-1])

    @rule(data=st.data())
    def undo_stroke(self, data: st.DataObject) -> None:
        known = {step["row"].uuid for step in self.person.in_effect}
        reverts = [s["row"] for s in self.person.done if "reverts" in s]
        counting = [r for r in reverts if self.store.counts_now(r)]
        edits = [s["row"] for s in self.person.done if s["row"].uuid in known]
        if edits + counting:
            target = data.draw(st.sampled_from(edits + counting))
            row = self.store.undo_stroke(target)
            self.person.do(row=row, reverts=target)
            self._note(row)

    @rule(name=st.sampled_from(PEOPLE))
    def somebody_else(self, name: str) -> None:
        self.name = name

    @rule()
    def rebuild(self) -> None:
        self.store.rebuild(self.name)

    @rule(is_killed=st.booleans())
    def open_again(self, is_killed: bool) -> None:
        if is_killed:
            self.store._journal.close()
        else:
            self.store.close()
        self.store = self._opened()
        assert self.store.restored == ()

    @rule()
    def lose_the_overlays(self) -> None:
        shutil.rmtree(self.folder / "labels", ignore_errors=True)

    @rule(data=st.data())
    def look_back(self, data: st.DataObject) -> None:
        if self.person.past:
            sequence, expected = data.draw(st.sampled_from(self.person.past))
            found = labels_at(self.store, self.name, sequence, WHOLE)
            np.testing.assert_array_equal(found, expected)

    @invariant()
    def labels_are_those_of_the_model(self) -> None:
        for name, person in self.people.items():
            expected = person.labels
            np.testing.assert_array_equal(self.store.read(name, WHOLE), expected)
            assert self.store.counts().get(name, 0) == (expected != UNSET).sum()
            seen = read_composite(self.store, self.predictions, WHOLE, name)
            over = np.where(expected == UNSET, self.predicted, expected)
            np.testing.assert_array_equal(seen, over)

    @invariant()
    def what_counts_is_that_of_the_model(self) -> None:
        counting = [s["row"] for p in self.people.values() for s in p.in_effect]
        ordered = sorted(counting, key=lambda row: row.sequence)
        assert self.store.stroke_ids() == tuple(row.uuid for row in ordered)
        assert self.store.n_strokes == len(ordered)
        lines = history_page(self.store, size=1000)
        edits = [r for r in lines if r.stroke.kind == "edit" and not r.is_undone]
        assert [r.stroke for r in edits] == ordered[::-1]
        for name, person in self.people.items():
            assert self.store.can_undo(name) is bool(person.done)
            assert self.store.can_redo(name) is bool(person.undone)

    @invariant()
    def who_edited_last_wins(self) -> None:
        values = self.predicted.copy()
        people = [p for p in self.people.values() if p.in_effect]
        for person in sorted(people, key=lambda p: p.in_effect[-1]["row"].sequence):
            said = person.labels
            np.copyto(values, said, where=said != UNSET)
        seen = read_composite(self.store, self.predictions, WHOLE)
        np.testing.assert_array_equal(seen, values)


AnySequence.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
class TestAnySequence(AnySequence.TestCase):  # type: ignore[name-defined, misc]
    pass
