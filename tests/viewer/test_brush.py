from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.viewer.brush import Brush

VALUES = np.array([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("brush", "expected"),
    [
        (Brush(), [1, 1, 1, 1]),
        (Brush(over="background"), [1, 0, 0, 1]),
        (Brush(over="first"), [0, 0, 1, 1]),
        (Brush(locked=frozenset({1})), [1, 0, 1, 1]),
        (Brush(over="first", locked=frozenset({2})), [0, 0, 0, 1]),
    ],
)
def test_only_what_may_be_painted_over_is(brush: Brush, expected: list[int]) -> None:
    allowed = brush.allowed(VALUES, first=2, new=3)
    assert allowed.astype(int).tolist() == expected
    assert brush.is_limited == (brush != Brush())


def test_a_lock_holds_against_the_eraser_too() -> None:
    brush = Brush(locked=frozenset({1}))
    assert brush.allowed(VALUES, first=1, new=0).tolist() == [True, False, True, True]
