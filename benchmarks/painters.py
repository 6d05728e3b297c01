"""People at work, to be killed: one with the journal, one who paints into an array."""

from __future__ import annotations

import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from benchmarks.killing import READY, tell
from napari_unetseg.data.corrections import CorrectionStore, Stroke
from napari_unetseg.geometry import Box, Zyx, zyx

SHAPE: Zyx = (32, 256, 256)
CHUNK: Zyx = (16, 64, 64)
PEOPLE = ("Ana", "Bo", "Cy")
UNSET = 255
ACTIONS = ("paint", "click", "join", "undo", "redo", "undo_stroke", "undo_to",
           "person", "review", "reopen")  # fmt: skip
WEIGHTS = (40, 10, 6, 14, 8, 4, 2, 6, 5, 3)


def open_store(folder: Path) -> CorrectionStore:
    """Open the labels as the program does."""
    return CorrectionStore.open(folder, shape=SHAPE, voxel_size=(1, 1, 1), chunk=CHUNK)


class Painter:
    """Somebody at work, until killed; runs in the child."""

    def __init__(self, folder: Path, pipe: int, seed: int) -> None:
        self._folder, self._pipe = folder, pipe
        self._random = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._store = open_store(folder)
        self._person = PEOPLE[0]

    def work(self) -> None:
        """Do one thing after the other."""
        tell(self._pipe, READY)
        while True:
            action = self._random.choices(ACTIONS, WEIGHTS)[0]
            getattr(self, action)()

    def paint(self) -> None:
        """A brush: a ball."""
        self._commit(ball(self._random, 4, 14), self._random.choice([0, 1, 2, UNSET]))

    def click(self) -> None:
        """A click: a larger object over many chunks."""
        self._commit(ball(self._random, 20, 50), 1)

    def join(self) -> None:
        """Join objects: other values in one box."""
        box, mask = ball(self._random, 10, 30)
        self._commit((box, mask), self._noise.integers(1, 9, box.shape))

    def undo(self) -> None:
        """Undo; nothing where there is nothing."""
        self._tell_all([self._store.undo(self._person)])

    def redo(self) -> None:
        """Redo; nothing where there is nothing."""
        self._tell_all([self._store.redo(self._person)])

    def undo_stroke(self) -> None:
        """Take one of the last strokes back."""
        if edits := self._last_edits():
            self._tell_all([self._store.undo_stroke(self._random.choice(edits))])

    def undo_to(self) -> None:
        """Go back some strokes."""
        if edits := self._last_edits():
            self._tell_all(self._store.undo_to(edits[-1]))

    def person(self) -> None:
        """Somebody else sits down."""
        self._person = self._random.choice(PEOPLE)

    def review(self) -> None:
        """Mark a region."""
        box = ball(self._random, 10, 30)[0]
        self._store.add_reviewed(box, self._person)
        tell(self._pipe, "reviewed")

    def reopen(self) -> None:
        """Close the project and open it again."""
        self._store.close()
        self._store = open_store(self._folder)

    def _commit(self, where: tuple[Box, np.ndarray], new: np.ndarray | int) -> None:
        box, mask = where
        row = self._store.commit(box, mask, new, annotator=self._person, tool="brush")
        values = np.broadcast_to(np.asarray(new, np.uint8), mask.shape)[mask]
        tell(self._pipe, f"stroke {row.uuid} {checksum(box, mask, values)}")

    def _tell_all(self, rows: list[Stroke | None] | list[Stroke]) -> None:
        for row in rows:
            if row is not None:
                tell(self._pipe, f"stroke {row.uuid} -")

    def _last_edits(self) -> list[Stroke]:
        edits = self._store.edits_before(None, 6, self._person)
        return [edit for edit in edits if self._store.counts_now(edit)]


class InPlacePainter:
    """Somebody who paints into a zarr array, as viewers do; runs in the child."""

    def __init__(self, folder: Path, pipe: int, seed: int) -> None:
        self._pipe, self._random = pipe, random.Random(seed)
        self._array: Any = zarr.open_array(folder / "labels.zarr", mode="r+")

    def work(self) -> None:
        """Paint one stroke after the other."""
        tell(self._pipe, READY)
        for number in range(10**9):
            box, mask, value = in_place_stroke(self._random, number)
            values = self._array[box.slices]
            values[mask] = value
            self._array[box.slices] = values
            tell(self._pipe, f"stroke {number}")


def in_place_stroke(
    randomness: random.Random, number: int
) -> tuple[Box, np.ndarray, int]:
    """Return what is painted as this stroke; its value is a new one."""
    box, mask = ball(randomness, *((20, 50) if number % 5 == 0 else (4, 14)))
    return box, mask, number % 250


def ball(randomness: random.Random, low: int, high: int) -> tuple[Box, np.ndarray]:
    """Return the box and the mask of a ball inside the volume."""
    size = np.minimum(randomness.randint(low, high), SHAPE)
    start = [
        randomness.randint(0, n - int(s)) for n, s in zip(SHAPE, size, strict=True)
    ]
    grid = np.ogrid[tuple(slice(0, int(s)) for s in size)]
    distance = sum(
        ((g + 0.5) / s * 2 - 1) ** 2 for g, s in zip(grid, size, strict=True)
    )
    return Box(zyx(start), zyx(np.array(start) + size)), np.asarray(distance <= 1)


def checksum(box: Box, mask: np.ndarray, values: np.ndarray) -> int:
    """Return a number that says what a stroke is."""
    head = ",".join(str(int(n)) for n in (*box.start, *box.stop)).encode()
    bits = np.packbits(mask).tobytes()
    return zlib.crc32(
        values.astype(np.uint8).tobytes(), zlib.crc32(bits, zlib.crc32(head))
    )


def child(kind: str, folder: Path, pipe: Any, seed: int) -> None:
    """Work until killed."""
    painter = {"journal": Painter, "in place": InPlacePainter}[kind]
    painter(folder, pipe.fileno(), seed).work()
