"""Volumes with single objects to click on, and what a network thinks of them.

Each network is trained for a short fixed time on one part of a volume, and predicts
another part, the scene, on whose objects is clicked. Scenes are cut out first, so the
network never saw a voxel of them::

    ┌───────────┬───────────┐
    │ trained   │   scene   │     qcanet_nuclei has eight nuclei only: there both
    │    on     │ ×   ×  ×  │     halves are scenes, each of the other half's network
    └───────────┴───────────┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from benchmarks.architectures import Run, as_predictor, tiled, train
from benchmarks.common import shared_data
from benchmarks.dense_tasks import Case, Task, normalised
from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.data.normalisation import estimate_normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.phantom import make_phantom
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Block, Box, Zyx, zyx
from napari_unetseg.models.backends.torch import TorchRunner
from napari_unetseg.models.network_predictor import NetworkPredictor
from napari_unetseg.models.planning import plan_network, plan_patch
from napari_unetseg.models.store import read_card, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights

VoxelSize = tuple[float, float, float]
CHUNK: Zyx = (64, 64, 64)
LEAST_VOXELS = 150  # smaller pieces are what the cut left of an object
TOUCHING = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class Labelled:
    """An image zyx and the ids of its single objects, int32 zyx."""

    image: np.ndarray
    objects: np.ndarray

    def part(self, start: int, stop: int) -> Labelled:
        """Return the part between two columns, with objects numbered anew."""
        cut = np.s_[..., start:stop]
        return Labelled(self.image[cut], self.objects[cut])


@dataclass(frozen=True)
class Scene:
    """What is clicked on: image and probabilities on disk, and the truth.

    Attributes
    ----------
    objects
        Ids, int32 zyx.
    ids
        Objects that are clicked on, in a fixed random order.
    """

    volume: Volume
    predictions: PredictionStore
    objects: np.ndarray
    ids: tuple[int, ...]

    @cached_property
    def boxes(self) -> list[Box]:
        """The boxes of the objects 1, 2, …, those that are left out too."""
        found = ndimage.find_objects(self.objects)
        return [Box.from_slices(s) if s else Box.whole((0, 0, 0)) for s in found]

    @cached_property
    def smooth(self) -> np.ndarray:
        """The image as float64 zyx, 1st to 99th percentile from 0 to 1, denoised."""
        image = self.volume.read(Box.whole(self.volume.shape))[0].astype(np.float64)
        low, high = np.percentile(image, [1, 99])
        size = np.array(self.volume.voxel_size)
        smooth: np.ndarray = ndimage.gaussian_filter(
            (image - low) / (high - low), size.min() / size
        )
        return smooth


def vnc_sstem() -> tuple[Labelled, VoxelSize] | None:
    """Return mitochondria of the nerve cord; those that touch count as one."""
    if (folder := shared_data("vnc_sstem")) is None:
        return None
    import tifffile

    image, labels = (
        tifffile.imread(folder / f"{name}.tif") for name in ("raw", "mitochondria")
    )
    objects, _ = ndimage.label(labels > 0, TOUCHING)
    return Labelled(image, objects.astype(np.int32)), (50.0, 4.6, 4.6)


def qcanet_nuclei() -> tuple[Labelled, VoxelSize] | None:
    """Return the nuclei of an embryo; the voxel size is not stated."""
    if (folder := shared_data("qcanet_nuclei")) is None:
        return None
    import tifffile

    image = tifffile.imread(folder / "8cell_image.tif")
    labels = tifffile.imread(folder / "8cell_labels_semantic.tif")
    objects, _ = ndimage.label(labels > 0, TOUCHING)
    return Labelled(image, objects.astype(np.int32)), (1.0, 1.0, 1.0)


def plantseg_ovules() -> tuple[Labelled, VoxelSize] | None:
    """Return the nuclei of an ovule, many of which touch."""
    if (folder := shared_data("plantseg_ovules")) is None:
        return None
    import h5py

    with h5py.File(folder / "1135_mini.h5") as file:
        z, y, x = (float(v) for v in file["label"].attrs["element_size_um"])
        image, objects = file["raw"][:], file["label"][:].astype(np.int32)
    return Labelled(image, objects), (z, y, x)


REAL: dict[str, Callable[[], tuple[Labelled, VoxelSize] | None]] = {
    "qcanet_nuclei": qcanet_nuclei,
    "plantseg_ovules": plantseg_ovules,
    "vnc_sstem": vnc_sstem,
}


def all_scenes(
    folder: Path, training_s: float
) -> Iterator[tuple[str, tuple[Scene, ...]]]:
    """Yield each set by its name; those whose data are absent are left out.

    Parameters
    ----------
    training_s
        Processor time for each network.
    """
    yield "phantom", (phantom_scene(folder / "phantom"),)
    for name, read in REAL.items():
        found = read()
        if found is None:
            print(f"{name}: the data are not there, skipped")
            continue
        labelled, voxel_size = found
        width = labelled.image.shape[-1]
        left, right = labelled.part(0, width // 2), labelled.part(width // 2, width)
        folds = [(left, right), (right, left)] if name == "qcanet_nuclei" else [
            (left, right)
        ]  # fmt: skip
        yield name, tuple(
            trained_scene(folder / f"{name}-{number}", seen, clicked, voxel_size,
                          training_s)
            for number, (seen, clicked) in enumerate(folds)
        )  # fmt: skip


def phantom_scene(folder: Path, seed: int = 21) -> Scene:
    """Return cells under other light than the shipped network has learnt from."""
    phantom = make_phantom((64, 128, 128), seed=seed, contrast="shifted")
    if phantom.cells is None:
        raise ValueError("The phantom does not tell its cells apart.")
    volume = on_disk(folder / "image.zarr", phantom.image, (1.0, 1.0, 1.0))
    card = read_card(DEFAULT_MODEL)
    network = UNet(card.spec)
    load_weights(network, weights_path(DEFAULT_MODEL, card))
    predictor = NetworkPredictor(TorchRunner(network.eval()), card)
    image = estimate_normalisation(volume).apply(volume.read(Box.whole(volume.shape)))
    labels, probability = tiled(predictor, image, zyx(64 for _ in range(3)))
    cells = probability[:1]  # fibres are no single objects
    return _scene(folder, volume, labels, cells, phantom.cells)


def trained_scene(
    folder: Path,
    seen: Labelled,
    clicked: Labelled,
    voxel_size: VoxelSize,
    training_s: float,
) -> Scene:
    """Train on one part and predict another."""
    cases = [
        Case(normalised(part.image), (part.objects > 0).astype(np.uint8))
        for part in (seen, clicked)
    ]
    task = Task(folder.name, ("object",), voxel_size, (cases[0],), (cases[1],))
    spec = plan_network(
        voxel_size=voxel_size, shape=task.shape, n_classes=1, preset="S"
    )
    patch = plan_patch(spec, task.shape, "S")
    torch.manual_seed(0)
    network = UNet(spec)
    run = Run(task.name, "plain", "half", "batch", 0, "S", training_s, quick=False)
    train(network, task, patch, run)
    predictor = as_predictor(network, task, patch)
    block = zyx(max(s, 128 // s * s) for s in predictor.stride)
    labels, probability = tiled(predictor, cases[1].image, block)
    volume = on_disk(folder / "image.zarr", clicked.image, voxel_size)
    return _scene(folder, volume, labels, probability, clicked.objects)


def _scene(
    folder: Path,
    volume: Volume,
    labels: np.ndarray,
    probability: np.ndarray,
    objects: np.ndarray,
) -> Scene:
    whole = Box.whole(volume.shape)
    store = PredictionStore.create(
        folder / "predictions.zarr",
        shape=volume.shape,
        voxel_size=volume.voxel_size,
        chunk=CHUNK,
        class_names=["object"],
        maps=(),
    )
    store.write(Block(0, whole, whole), BlockPrediction(labels, probability))
    sizes = np.bincount(objects.ravel())
    large = np.flatnonzero(sizes >= LEAST_VOXELS)
    ids = np.random.default_rng(0).permutation(large[large > 0]).tolist()
    return Scene(volume, store, objects, tuple(ids))


def on_disk(path: Path, image: np.ndarray, voxel_size: VoxelSize) -> Volume:
    """Write an image zyx as OME-Zarr and open it."""
    shape = zyx(image.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    group = create_image(
        path, shape=shape, dtype=image.dtype, chunk=CHUNK, voxel_size=voxel_size
    )
    write_pyramid_block(group, Box.whole(shape), image)
    return Volume.open(path)
