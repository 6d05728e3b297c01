from __future__ import annotations

import numpy as np

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.training.augment import augment, bend


def half_disc() -> np.ndarray:
    y, x = np.mgrid[:64, :64]
    disc = ((y - 32) ** 2 + (x - 32) ** 2 < 15**2) & (x > 28)
    return np.repeat(disc[None, None].astype(np.uint8), 3, axis=1)


def test_labels_stay_on_their_voxels() -> None:
    rng = np.random.default_rng(0)
    labels = half_disc()
    image = np.where(labels == 1, 2.0, -2.0).astype(np.float32)
    seen = set()
    for _ in range(12):
        changed, moved = augment(image, labels, rng)
        assert changed.shape == image.shape
        assert changed.dtype == np.float32
        known = moved != UNSET
        assert ((changed > 0) == (moved == 1))[known].mean() > 0.98
        seen.add(moved.tobytes())
    assert len(seen) > 4


def test_bending_moves_image_and_labels_alike() -> None:
    labels = half_disc()
    image = labels.astype(np.float32)
    changed, moved = bend(image, labels, np.random.default_rng(1))
    known = moved != UNSET
    assert ((changed > 0.5) == (moved == 1))[known].mean() > 0.99
    assert (moved == 1).sum() > 0.7 * labels.sum()
    assert (moved != labels).any()


def test_labels_of_nobody_are_not_invented() -> None:
    labels = np.full((2, 4, 32, 32), UNSET, np.uint8)
    labels[:, :, 10:20, 10:20] = 3
    _, moved = bend(
        np.zeros((1, 4, 32, 32), np.float32), labels, np.random.default_rng(2)
    )
    assert set(np.unique(moved)) == {3, UNSET}


def test_flat_images_can_be_augmented() -> None:
    rng = np.random.default_rng(0)
    for _ in range(6):
        image, labels = augment(
            np.zeros((2, 1, 16, 24), np.float32),
            np.zeros((1, 1, 16, 24), np.uint8),
            rng,
        )
        assert image.shape == (2, 1, 16, 24)
        assert labels.shape == (1, 1, 16, 24)


def test_what_has_a_direction_keeps_it() -> None:
    labels = half_disc()
    image = np.where(labels == 1, 2.0, -2.0).astype(np.float32)
    shares = {True: set[bool](), False: set[bool]()}
    for mirror, seen in shares.items():
        rng = np.random.default_rng(0)
        for _ in range(12):
            _, moved = augment(image, labels, rng, mirror=mirror)
            disc = moved[0, 0] == 1
            seen.add(bool(disc[:, 44:].sum() > disc[:, :20].sum()))
    assert shares == {True: {True, False}, False: {True}}
