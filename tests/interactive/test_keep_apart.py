from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unetseg.interactive.keep_apart import kept_apart

TOUCHING = np.ones((3, 3, 3), bool)


def test_two_halves_lose_one_sheet_of_the_larger() -> None:
    parts = np.ones((6, 6, 10), np.int32)
    parts[..., 4:] = 2
    protected = np.zeros(parts.shape, bool)
    protected[3, 3, [1, 8]] = True
    apart = kept_apart(parts, protected)
    assert (apart[..., :4] == 1).all()
    assert (apart[..., 4] == 0).all()
    assert (apart[..., 5:] == 2).all()


def test_a_protected_voxel_stays_at_the_price_of_the_smaller_part() -> None:
    parts = np.ones((3, 3, 10), np.int32)
    parts[..., 4:] = 2
    protected = np.zeros(parts.shape, bool)
    protected[1, 1, [1, 4]] = True
    apart = kept_apart(parts, protected)
    assert apart[1, 1, 4] == 2 and (apart[:, :, 3] == 0).all()


def test_what_is_cut_off_goes_to_the_part_that_it_touches() -> None:
    parts = np.zeros((1, 3, 9), np.int32)
    parts[0, 1] = [1, 1, 2, 2, 2, 1, 2, 2, 2]
    protected = np.zeros(parts.shape, bool)
    protected[0, 1, [0, 8]] = True
    apart = kept_apart(parts, protected)
    assert apart[0, 1, 0] == 1 and apart[0, 1, 8] == 2
    assert (apart[0, 1] == 0).sum() == 1
    assert ndimage.label(apart > 0, TOUCHING)[1] == 2


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 5))
def test_no_two_parts_touch_and_each_is_one_piece(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    parts = random.integers(1, n + 1, (6, 8, 10)).astype(np.int32)
    protected = np.zeros(parts.shape, bool)
    for number in range(n):
        place = (3, 4, 2 * number)
        protected[place], parts[place] = True, number + 1
    apart = kept_apart(parts, protected)
    pieces, n_pieces = ndimage.label(apart > 0, TOUCHING)
    assert n_pieces == n
    assert len(np.unique(pieces[protected])) == n
    assert (apart[protected] == parts[protected]).all()
