from __future__ import annotations

import numpy as np

from napari_unetseg.data.kept_ids import kept_ids
from napari_unetseg.geometry import Box


def kept(before: list[int], now: list[int]) -> list[int]:
    old, new = (np.asarray(v, np.uint32).reshape(1, 1, -1) for v in (before, now))
    tiles = [Box((0, 0, 0), (1, 1, 3)), Box((0, 0, 3), (1, 1, len(now)))]
    ids = kept_ids(
        lambda box: old[box.slices], lambda box: new[box.slices], tiles, max(now)
    )
    return ids[now].tolist()


def test_what_stays_keeps_its_id_and_what_is_new_gets_a_new_one() -> None:
    assert kept([9, 9, 0, 0, 4, 4, 0], [1, 1, 0, 0, 2, 2, 3]) == [9, 9, 0, 0, 4, 4, 10]


def test_of_two_parts_the_larger_one_keeps_the_id() -> None:
    assert kept([7, 7, 7, 7, 7], [1, 1, 0, 2, 2]) == [7, 7, 0, 8, 8]
    assert kept([7, 7, 7, 7, 7], [1, 0, 2, 2, 2]) == [8, 0, 7, 7, 7]


def test_what_was_joined_has_the_id_of_the_larger_part() -> None:
    assert kept([5, 5, 0, 6, 6, 6], [1, 1, 1, 1, 1, 1]) == [6] * 6


def test_a_second_best_id_is_taken_if_the_best_is_not_free() -> None:
    assert kept([3, 3, 3, 3, 8, 8], [1, 1, 1, 2, 2, 2]) == [3, 3, 3, 8, 8, 8]


def test_nothing_before_or_now() -> None:
    assert kept([0, 0, 0, 0], [1, 1, 0, 2]) == [1, 1, 0, 2]
