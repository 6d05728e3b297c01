"""What napari can open through this plugin: project folders and zarr volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari import current_viewer
from napari.layers import Labels

from napari_unetseg.app.project_file import is_project
from napari_unetseg.data.volume import Volume, is_zarr
from napari_unetseg.errors import UnetsegError
from napari_unetseg.viewer.chunk_cache import ChunkCache
from napari_unetseg.viewer.image_layers import image_options, layer_place
from napari_unetseg.viewer.launch import main_widget
from napari_unetseg.viewer.overview import Overview
from napari_unetseg.viewer.pyramids import lazy_views
from napari_unetseg.viewer.shown_levels import shown_levels

LayerData = tuple[Any, ...]
Reader = Callable[[str | Sequence[str]], list[LayerData]]
_OVERVIEW = "napari-unetseg: overview"
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
    levels, overview = shown_levels(volume, ChunkCache())
    images = [
        (
            data,
            {
                **options,
                "name": options["name"].replace("image", volume.name),
                "metadata": _followed(overview),
            },
            "image",
        )
        for data, options in image_options(volume, levels)
    ]
    uri = volume.uri.rstrip("/")
    labels = [
        _labels(Volume.open(f"{uri}/labels/{name}"), name)
        for name in volume.info.label_names
    ]
    return [*images, *labels]


def label_layer(path: str, name: str) -> Labels:
    """Return labels on disk as a layer that is shown."""
    data, options, _ = _labels(Volume.open(path), name)
    return Labels(data, **{**options, "visible": True})


def _labels(volume: Volume, name: str) -> LayerData:
    levels, overview = shown_levels(volume, ChunkCache())
    options = {
        **layer_place(volume),
        "name": name,
        "multiscale": True,
        "cache": False,
        "visible": False,
        "opacity": 0.5,
        "metadata": _followed(overview),
    }
    return lazy_views(levels), options, "labels"


def _followed(overview: Overview | None) -> dict[str, Overview]:
    """Return metadata by which the layers of an overview are found and refreshed."""
    if overview is None:
        return {}
    overview.changed.connect(lambda: _refresh(overview))
    return {_OVERVIEW: overview}


def _refresh(overview: Overview) -> None:
    viewer = current_viewer()
    for layer in () if viewer is None else viewer.layers:
        if layer.metadata.get(_OVERVIEW) is overview:
            layer.refresh(extent=False)
