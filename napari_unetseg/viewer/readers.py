"""What napari can open through this plugin: project folders and zarr volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari import current_viewer

from napari_unetseg.app.project import is_project
from napari_unetseg.data.volume import Volume, is_zarr
from napari_unetseg.errors import UnetsegError
from napari_unetseg.viewer.chunk_cache import ChunkCache
from napari_unetseg.viewer.image_layers import image_options, layer_place
from napari_unetseg.viewer.launch import main_widget
from napari_unetseg.viewer.pyramids import cached_levels, lazy_views

LayerData = tuple[Any, ...]
Reader = Callable[[str | Sequence[str]], list[LayerData]]
NOTHING_TO_ADD: list[LayerData] = [(None,)]


def project_reader(path: str | Sequence[str]) -> Reader | None:
    """Return a reader for project folders, None for anything else."""
    return _open_project if isinstance(path, str) and is_project(path) else None


def volume_reader(path: str | Sequence[str]) -> Reader | None:
    """Return a reader for zarr volumes, None for anything else."""
    return _read_volume if isinstance(path, str) and is_zarr(path) else None


def _open_project(path: str | Sequence[str]) -> list[LayerData]:
    """Open the project in the dock; its layers come from the session."""
    viewer = current_viewer()
    if viewer is None:
        raise UnetsegError(
            "A project is opened in a window",
            do="Start one with: napari-unetseg open PATH",
        )
    main_widget(viewer).session.open_project(Path(str(path)))
    return NOTHING_TO_ADD


def _read_volume(path: str | Sequence[str]) -> list[LayerData]:
    """Read a zarr volume and its labels, lazily and multiscale."""
    volume = Volume.open(str(path))
    if volume.info.is_labels:
        return [_labels(volume, volume.name)]
    images = [
        (
            levels,
            {**options, "name": options["name"].replace("image", volume.name)},
            "image",
        )
        for levels, options in image_options(volume, ChunkCache())
    ]
    uri = volume.uri.rstrip("/")
    labels = [
        _labels(Volume.open(f"{uri}/labels/{name}"), name)
        for name in volume.info.label_names
    ]
    return [*images, *labels]


def _labels(volume: Volume, name: str) -> LayerData:
    options = {
        **layer_place(volume),
        "name": name,
        "multiscale": True,
        "cache": False,
        "visible": False,
        "opacity": 0.5,
    }
    return (
        lazy_views(cached_levels(volume.lazy_levels(), volume.factors, ChunkCache())),
        options,
        "labels",
    )
