"""Small pieces of the images that a model learned from, kept beside its weights.

A fine-tuning rehearses on them what its parent says there. They are quantised to 8 bits
over the range of each piece, as an image is no more than something to look at again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from napari_unetseg.errors import explained_writing

EXEMPLARS = "exemplars.safetensors"
MOST = 8


def write_exemplars(path: Path, images: np.ndarray) -> None:
    """Write pieces of images.

    Parameters
    ----------
    images
        Normalised float32 (piece, c, z, y, x).
    """
    low, high = (f(images, axis=(1, 2, 3, 4)) for f in (np.min, np.max))
    step = np.maximum(high - low, 1e-6) / 255
    each = (-1, 1, 1, 1, 1)
    scaled = (images - low.reshape(each)) / step.reshape(each)
    tensors = {
        "images": np.rint(scaled).astype(np.uint8),
        "low": low.astype(np.float32),
        "step": step.astype(np.float32),
    }
    with explained_writing("the exemplars", path):
        save_file(tensors, path)


def read_exemplars(folder: Path) -> np.ndarray | None:
    """Return the pieces beside a model, float32 (piece, c, z, y, x); None if none are.

    Damaged ones count as none: a model is whole without them.
    """
    try:
        tensors = load_file(folder / EXEMPLARS)
        images, low, step = (tensors[name] for name in ("images", "low", "step"))
    except (OSError, SafetensorError, KeyError):
        return None
    if images.ndim != 5 or not low.shape == step.shape == images.shape[:1] != (0,):
        return None
    each = (-1, 1, 1, 1, 1)
    found: np.ndarray = images * step.reshape(each) + low.reshape(each)
    return found.astype(np.float32)
