from __future__ import annotations

import numpy as np
import pytest

from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.image_features import ImageFeatures

SHAPE: Zyx = (20, 70, 66)
SIZES = [(1.0, 1.0, 1.0), (10.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 1.0, 4.0)]


def features_of(
    image: np.ndarray, voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> ImageFeatures:
    return ImageFeatures(lambda box: image[box.slices], image.shape, voxel_size)


def voxels_of(box: Box) -> np.ndarray:
    return np.indices(box.shape).reshape(3, -1).T + np.array(box.start)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "box",
    [Box((5, 21, 30), (9, 40, 47)), Box((0, 0, 0), SHAPE), Box((19, 69, 65), SHAPE)],
)
def test_a_map_is_the_sum_of_what_each_voxel_looks_like(
    size: tuple[float, float, float], box: Box
) -> None:
    rng = np.random.default_rng(0)
    features = features_of(rng.normal(0, 1, SHAPE), size)
    features.look_around(box)
    looks = features.at(voxels_of(box))
    weights = rng.normal(0, 1, looks.shape[1])
    np.testing.assert_allclose(
        features.weighted(box, weights), (looks @ weights).reshape(box.shape), atol=1e-3
    )


def test_a_feature_is_the_same_from_whichever_box_it_is_seen() -> None:
    image = np.random.default_rng(0).normal(0, 1, (64, 64, 300)).astype(np.float32)
    near = Box((24, 24, 100), (40, 40, 116))
    whole = features_of(image)
    whole.look_around(Box.whole(image.shape))
    moved = features_of(image)
    moved.look_around(near.grown(3))
    one, other = (known.at(voxels_of(near))[:, 0] for known in (whole, moved))
    # Each is standardised by what it looked at first.
    assert np.corrcoef(one, other)[0, 1] > 0.9999


def test_thick_slices_are_not_mixed() -> None:
    image = np.zeros((9, 40, 40), np.float32)
    image[4] = 1
    thick = features_of(image, (30.0, 1.0, 1.0))
    thick.look_around(Box.whole(image.shape))
    column = np.array([[z, 20, 20] for z in range(9)])
    grey = thick.at(column)[:, 0::2]
    assert (np.ptp(np.delete(grey, 4, axis=0), axis=0) < 1e-4).all()
    thin = features_of(image)
    thin.look_around(Box.whole(image.shape))
    assert np.ptp(np.delete(thin.at(column)[:, 0], 4)) > 0.1


def test_what_is_the_same_all_over_looks_like_nothing() -> None:
    features = features_of(np.full(SHAPE, 1e6, np.float32))
    features.look_around(Box.whole(SHAPE))
    assert not features.at(voxels_of(Box((0, 0, 0), (4, 4, 4)))).any()


def test_a_box_that_was_looked_at_is_not_read_again() -> None:
    reads: list[Box] = []
    image = np.random.default_rng(0).normal(0, 1, SHAPE)

    def read(box: Box) -> np.ndarray:
        reads.append(box)
        return image[box.slices]

    features = ImageFeatures(read, SHAPE, (1.0, 1.0, 1.0))
    features.look_around(Box((4, 20, 20), (12, 40, 40)))
    features.look_around(Box((6, 25, 25), (10, 30, 30)))
    assert len(reads) == 1
    features.look_around(Box((4, 20, 20), (12, 40, 60)))
    assert len(reads) == 2
