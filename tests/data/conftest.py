"""A small image and class ids for it, cut into several tiles, to export."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.config import ExportConfig
from napari_unetseg.data import export_plan
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.export import export_labels
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.volume import Volume
from napari_unetseg.events import ignore_event, never_cancelled
from napari_unetseg.geometry import Box
from tests.helpers.numbered_volumes import image_of_two_levels

SHAPE = (12, 40, 44)


@dataclass
class Labels:
    values: np.ndarray

    @property
    def shape(self):
        return self.values.shape

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.values.tobytes()).hexdigest()

    def read(self, box: Box) -> np.ndarray:
        return self.values[box.slices]


@pytest.fixture
def make_image() -> Callable[..., Volume]:
    """Write an anisotropic image that does not begin at zero."""

    def make(path: Path, zarr_format: Any = 3) -> Volume:
        group = create_image(
            path,
            shape=SHAPE,
            dtype="uint8",
            chunk=(8, 16, 16),
            voxel_size=(2.0, 0.5, 0.25),
            origin=(10.0, 20.0, 30.0),
            unit="micrometer",
            n_levels=2,
            zarr_format=zarr_format,
        )
        group["0"][:] = 7
        return Volume.open(path)

    return make


@pytest.fixture
def volume(make_image, tmp_path: Path) -> Volume:
    return make_image(tmp_path / "image.zarr")


@pytest.fixture
def labels() -> Labels:
    values = np.zeros(SHAPE, np.uint8)
    values[2:10, 4:20, 4:20] = 1  # over several tiles
    values[1:11, 30:32, 2:40] = 2
    values[0, 0, 43] = 1
    return Labels(values)


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Export labels of two classes in small tiles; options are those of the config."""
    monkeypatch.setattr(export_plan, "_tile", lambda chunk: (8, 16, 16))
    monkeypatch.setattr(
        export_plan, "default_chunk", lambda shape, voxel_size: (8, 16, 16)
    )

    def run(
        labels,
        volume,
        on_event=ignore_event,
        is_cancelled=never_cancelled,
        **choice,
    ):
        source = Labels(labels) if isinstance(labels, np.ndarray) else labels
        return export_labels(
            source,
            volume=volume,
            classes=default_classes(["cell", "fibre"]),
            config=ExportConfig(**choice),
            on_event=on_event,
            is_cancelled=is_cancelled,
        )

    return run


@pytest.fixture
def volume_path(tmp_path: Path) -> Path:
    """An OME-Zarr image of two levels, every voxel another number."""
    return image_of_two_levels(tmp_path / "brain.ome.zarr")
