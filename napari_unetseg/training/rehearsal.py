"""What keeps a fine-tuning from forgetting what its origin was made for.

Every version keeps some patches of what it learned from as *exemplars*. Every second
patch of a fine-tuning is one of its origin's, and nothing is labelled there: the origin
alone has something to say. Of all that keeps networks from forgetting rehearsal works
best (https://arxiv.org/abs/2407.21216). With it the rest of the volume is not held to
the origin, too: in another light that may be sure, and wrong.

A network that was made from these very labels rehearses nothing: it learns them all
again, and its exemplars would repeat the mistakes that are put right.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_unetseg.geometry import Zyx
from napari_unetseg.models.exemplars import MOST, read_exemplars


def rehearsed_patches(folder: Path | None, n_channels: int) -> tuple[np.ndarray, ...]:
    """Return the exemplars of a version, normalised float32 czyx; none if it has none.

    Parameters
    ----------
    folder
        Of the version that a fine-tuning begins with; None for a new network.
    n_channels
        Of the volume: what has others was not made by this program.
    """
    found = None if folder is None else read_exemplars(folder)
    if found is None or found.shape[1] != n_channels:
        return ()
    return tuple(found)


def exemplars_of(
    learned: Sequence[np.ndarray], rehearsed: Sequence[np.ndarray], patch: Zyx
) -> np.ndarray:
    """Return what a new version keeps: half of it what its origin kept.

    Parameters
    ----------
    learned, rehearsed
        Patches around its labels, and exemplars of its origin; czyx.
    patch
        Shape zyx of all that is kept.

    Returns
    -------
    numpy.ndarray
        float32 (piece, c, z, y, x), eight at most.
    """
    old = rehearsed[: MOST // 2]
    pieces = [*old, *learned[: MOST - len(old)]]
    rng = np.random.default_rng(0)
    return np.stack([fitted(piece, patch, rng) for piece in pieces])


def fitted(image: np.ndarray, patch: Zyx, rng: np.random.Generator) -> np.ndarray:
    """Return a part of an image czyx at random, or the image mirrored to this shape."""
    start = [
        int(rng.integers(0, max(0, n - m) + 1))
        for n, m in zip(image.shape[1:], patch, strict=True)
    ]
    parts = (slice(a, a + m) for a, m in zip(start, patch, strict=True))
    cut = image[(slice(None), *parts)]
    extra = [(0, m - n) for n, m in zip(cut.shape[1:], patch, strict=True)]
    return np.pad(cut, [(0, 0), *extra], mode="symmetric")
