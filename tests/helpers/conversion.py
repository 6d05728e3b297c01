"""Convert files as a test wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaozarrs

from napari_unetseg.config import ConvertConfig
from napari_unetseg.data.convert import convert
from napari_unetseg.data.volume import Volume
from napari_unetseg.events import Event, ignore_event, never_cancelled
from napari_unetseg.geometry import Box

SHAPE = (6, 20, 24)
VOXELS = np.random.default_rng(0).integers(1, 60_000, SHAPE, np.uint16)


def converted(source: Path, **choices: Any) -> Volume:
    """Convert a file into a valid volume beside it."""
    target = source.with_name("out.zarr")
    convert(source, target, ConvertConfig(**choices), ignore_event, never_cancelled)
    yaozarrs.validate_zarr_store(str(target))
    return Volume.open(target)


def voxels_of(volume: Volume) -> np.ndarray:
    """Return all voxels, channels first."""
    return volume.read(Box.whole(volume.shape))


def run(
    source: Path,
    on_event: Callable[[Event], None] = ignore_event,
    is_cancelled: Callable[[], bool] = never_cancelled,
) -> Path:
    target = source.with_name("out.zarr")
    return convert(source, target, ConvertConfig(), on_event, is_cancelled)


def assert_nothing_left(folder: Path) -> None:
    assert not list(folder.glob("out*"))
