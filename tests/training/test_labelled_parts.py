"""Where somebody worked: what belongs to one place, and what does not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_unetseg.geometry import Box
from napari_unetseg.training.labelled_parts import labelled_parts

CHUNK = Box((16, 64, 64), (32, 128, 128))


def labelled(*boxes: Box) -> np.ndarray:
    known = np.zeros(CHUNK.shape, bool)
    for box in boxes:
        known[box.relative_to(CHUNK).slices] = True
    return known


def test_two_places_of_a_chunk_are_two_parts() -> None:
    one, other = Box((16, 64, 64), (17, 70, 70)), Box((28, 100, 100), (30, 108, 108))
    assert labelled_parts(labelled(one, other), CHUNK) == (one, other)


def test_labels_side_by_side_are_one_part() -> None:
    one, other = Box((20, 80, 80), (21, 90, 90)), Box((21, 95, 80), (22, 99, 90))
    assert labelled_parts(labelled(one, other), CHUNK) == (one.hull(other),)


def test_a_full_chunk_is_one_part_and_an_empty_one_has_none() -> None:
    assert labelled_parts(np.ones(CHUNK.shape, bool), CHUNK) == (CHUNK,)
    assert labelled_parts(np.zeros(CHUNK.shape, bool), CHUNK) == ()


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_parts_hold_all_labels_and_never_overlap(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    known = np.zeros(CHUNK.shape, bool)
    for at in rng.integers(0, CHUNK.shape, (n, 3)):
        known[Box.around(at, rng.integers(1, 12, 3)).clipped(CHUNK.shape).slices] = True
    parts = labelled_parts(known, CHUNK)
    held = np.zeros(CHUNK.shape, int)
    for part in parts:
        inside = part.relative_to(CHUNK).slices
        assert known[inside].any()
        held[inside] += 1
    assert held.max() == 1
    assert (held[known] == 1).all()
