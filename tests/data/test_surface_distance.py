from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unetseg.data import surface_distance
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ratings import ratings_of
from napari_unetseg.data.surface_distance import surface_distances

SIZE = (2.0, 1.0, 0.5)


def whole_volume(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Surfaces and distances of the whole volume at once."""
    surfaces = [m & ~ndimage.binary_erosion(m) for m in (a, b)]
    there, back = (
        ndimage.distance_transform_edt(~other, sampling=SIZE)[one]
        for one, other in (surfaces, surfaces[::-1])
    )
    both = np.r_[there, back]
    share = max(np.percentile(there, 95), np.percentile(back, 95))
    return float(both.mean()), float(share), float(both.max())


@settings(max_examples=20)
@given(
    st.integers(0, 1000),
    st.tuples(*[st.integers(1, 13)] * 3),
    st.booleans(),
    st.integers(0, 6),
)
def test_any_block_size_gives_the_distances_of_the_whole(
    seed, block, forgets, reach
) -> None:
    rng = np.random.default_rng(seed)
    labels = []
    for _ in range(2):
        noise = ndimage.gaussian_filter(rng.standard_normal((10, 12, 11)), 1.5)
        labels.append((noise > np.quantile(noise, 0.8)).astype(np.uint8))
    found = measured_with(1 if forgets else 10**6, reach, labels, block)
    expected = whole_volume(labels[0] == 1, labels[1] == 1)
    assert (found.mean, found.percentile_95, found.largest) == pytest.approx(expected)


def measured_with(n_points: int, reach: int, labels: list[np.ndarray], block):
    """Hold so many points at a time, and look so far beyond a block at first."""
    ratings = ratings_of(dict(zip("ab", labels, strict=True)), SIZE, "micrometer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface_distance, "MOST_POINTS", n_points)
        patch.setattr(surface_distance, "_REACH", reach)
        (found,) = surface_distances(ratings, (1,), block=block)
    return found


def test_two_plates_are_as_far_apart_as_they_stand() -> None:
    a, b = (np.zeros((9, 4, 4), np.uint8) for _ in range(2))
    a[1], b[6] = 1, 1
    ratings = ratings_of({"a": a, "b": b}, (40.0, 8.0, 8.0), "nanometer")
    (found,) = surface_distances(ratings, (1,), block=(2, 4, 4))
    assert found.mean == found.percentile_95 == pytest.approx(0.2)  # 5 × 40 nm
    assert found.largest == pytest.approx(0.2)


def test_a_rater_without_the_class_has_no_surface() -> None:
    a = np.ones((3, 3, 3), np.uint8)
    ratings = ratings_of({"a": a, "b": np.zeros_like(a)})
    (found,) = surface_distances(ratings, (1,))
    assert (found.mean, found.percentile_95, found.largest) == (None, None, None)


def test_what_one_left_out_makes_no_surface() -> None:
    a = np.zeros((1, 1, 9), np.uint8)
    a[..., 3:6] = 1
    a = np.pad(a, ((3, 3), (3, 3), (0, 0)), mode="edge")
    b = a.copy()
    b[..., 5:] = UNSET  # the object is cut off where Bo stopped
    (found,) = surface_distances(ratings_of({"a": a, "b": b}), (1,))
    assert found.largest == 0.0


def test_all_pairs_and_classes_are_measured() -> None:
    rng = np.random.default_rng(0)
    labels = {name: rng.integers(0, 3, (5, 6, 7)).astype(np.uint8) for name in "abc"}
    found = surface_distances(ratings_of(labels), (1, 2))
    assert [(f.a, f.b, f.class_id) for f in found] == [
        (a, b, c) for a, b in ((0, 1), (0, 2), (1, 2)) for c in (1, 2)
    ]
