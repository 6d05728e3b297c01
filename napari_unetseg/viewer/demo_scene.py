"""What the demo works on: the sample, or any volume that somebody names."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from napari_unetseg.app.opening import look_at
from napari_unetseg.app.project import Project
from napari_unetseg.app.sample import make_sample_project
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import ExportError, UnsupportedFormatError
from napari_unetseg.geometry import Box, zyx

SUMMARY = "summary.json"
LARGEST = (64, 256, 256)


@dataclass(frozen=True)
class Scene:
    """A project, and what the demo's annotator takes for the truth.

    Attributes
    ----------
    box, truth
        The part of the volume that the demo works in, and its class ids, uint8 zyx.
    has_model
        Whether the project begins with a model.
    """

    project: Path
    box: Box
    truth: np.ndarray
    has_model: bool


def prepare(volume: Path | None, output: Path) -> Scene:
    """Make the project of the demo inside its output folder.

    Parameters
    ----------
    volume
        A zarr volume; the sample if None. Its first label image is the truth; without
        one, what is brighter than Otsu's threshold.
    output
        Emptied if it is that of an earlier demo.

    Raises
    ------
    ExportError
        If the folder holds something else.
    """
    _empty(output)
    work = output / "project"
    if volume is not None:
        return _scene_of(volume, work)
    project = make_sample_project(work)
    truth = Volume.open(work / "phantom.zarr" / "labels" / "truth")
    box = Box.whole(truth.shape)
    return Scene(project, box, truth.read(box)[0], has_model=True)


def _scene_of(uri: Path, work: Path) -> Scene:
    found = look_at(uri)
    if found.kind != "volume":
        raise UnsupportedFormatError(
            f"{uri} is no zarr volume",
            do="Convert it first: napari-unetseg new makes a project of any file.",
        )
    volume = Volume.open(found.path)
    box = _middle(volume)
    truth, names = _truth(volume, box)
    work.mkdir(parents=True)
    folder = work / "demo.unetseg"
    Project.create(folder, volume.uri, class_names=names).close()
    return Scene(folder, box, truth, has_model=False)


def _middle(volume: Volume) -> Box:
    shape = zyx(min(n, m) for n, m in zip(volume.shape, LARGEST, strict=True))
    start = zyx((n - s) // 2 for n, s in zip(volume.shape, shape, strict=True))
    return Box(start, zyx(a + s for a, s in zip(start, shape, strict=True)))


def _truth(volume: Volume, box: Box) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class ids and names of the truth of any volume."""
    for name in volume.info.label_names:
        labels = Volume.open(f"{volume.uri}/labels/{name}")
        if labels.shape == volume.shape:
            values = labels.read(box)[0]
            ids = [int(v) for v in np.unique(values) if v][:5]
            if ids:
                classes = [np.where(values == v, n, 0) for n, v in enumerate(ids, 1)]
                named = tuple(f"{name}_{v}" for v in ids)
                return np.max(classes, axis=0).astype(np.uint8), named
    smooth = ndimage.gaussian_filter(volume.read(box)[0].astype(np.float32), 1.0)
    return (smooth > threshold_otsu(smooth)).astype(np.uint8), ("bright",)


def _empty(output: Path) -> None:
    if output.exists() and any(output.iterdir()):
        if not (output / SUMMARY).exists():
            raise ExportError(
                f"The folder {output} holds something that is not of a demo",
                do="Choose another folder with --output.",
            )
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)
    # From now on the folder is known as the demo's, even if it is stopped.
    (output / SUMMARY).write_text(json.dumps({"finished": False}))
