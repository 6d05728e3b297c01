from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.geometry import Box
from napari_unetseg.interactive.growing import bounds, goes_on, grown_where_touched

WHOLE = Box.whole((40, 40, 40))
AROUND = Box((10, 10, 10), (20, 20, 20))


@pytest.mark.parametrize(
    ("found", "larger"),
    [
        (Box((12, 12, 12), (18, 18, 18)), AROUND),
        (Box((10, 12, 12), (18, 18, 18)), Box((5, 10, 10), (20, 20, 20))),
        (Box((12, 12, 12), (18, 20, 18)), Box((10, 10, 10), (20, 25, 20))),
        (AROUND, Box((5, 5, 5), (25, 25, 25))),
    ],
)
def test_a_box_grows_where_it_is_touched(found: Box, larger: Box) -> None:
    assert grown_where_touched(AROUND, found, WHOLE, 0.5) == larger
    assert goes_on(AROUND, found, WHOLE) is (larger != AROUND)


def test_the_end_of_the_volume_is_no_side_to_grow_on() -> None:
    corner = Box((0, 0, 0), (20, 20, 40))
    assert not goes_on(corner, Box((0, 0, 0), (19, 19, 40)), WHOLE)
    grown = grown_where_touched(corner, corner, WHOLE, 2.0)
    assert grown == WHOLE


def test_bounds_fit_tightly() -> None:
    mask = np.zeros((5, 6, 7), bool)
    assert bounds(mask) is None and bounds(mask[:0]) is None
    mask[2, 3, 4:6] = True
    assert bounds(mask) == Box((2, 3, 4), (3, 4, 6))
