"""A phantom: a volume that nobody had to annotate, and three raters who disagree.

Round *cells* and thin *fibres* under uneven light and noise. The raters differ as
people do, and none of them is a superset of another: Ana draws boundaries outwards and
leaves gaps beside cells, Bo misses small objects and draws inwards, Cy joins what
nearly touches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import ndimage

from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.ome_zarr import create_image, register_labels
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.geometry import Box, Zyx

CLASS_NAMES = ("cell", "fibre")
RATERS = ("Ana", "Bo", "Cy")
VOXEL_SIZE_UM = (0.5, 0.5, 0.5)
CELL, FIBRE = 1, 2
CHUNK = (32, 64, 64)

Contrast = Literal["standard", "shifted"]


@dataclass(frozen=True)
class Phantom:
    """A volume with its truth and its raters; all arrays are uint8 zyx.

    Attributes
    ----------
    cells
        Ids of the single cells, int32 zyx; those that touch share a class only.
    """

    image: np.ndarray
    truth: np.ndarray
    raters: Mapping[str, np.ndarray]
    class_names: tuple[str, ...] = CLASS_NAMES
    cells: np.ndarray | None = None


@dataclass(frozen=True)
class _Look:
    """Brightness of what is in the image, 0 to 1."""

    background: float
    cell: float
    cell_spread: float
    fibre: float
    blob: float
    noise: float
    shade: float


# Under "shifted" light all stands out less, and fibres less from cells. The model in
# the package has seen "standard" alone: from a Dice of 0.95 for cells and 0.92 for
# fibres it falls to 0.80 and 0.67 on the sample. Much to correct, and not hopeless.
_LOOKS: Mapping[Contrast, _Look] = {
    "standard": _Look(0.32, 0.62, 0.05, 0.85, 0.95, 0.05, 0.06),
    "shifted": _Look(0.40, 0.60, 0.07, 0.76, 0.90, 0.07, 0.07),
}


def make_phantom(
    shape: Zyx = (64, 128, 128),
    seed: int = 0,
    contrast: Contrast = "standard",
    *,
    is_empty: bool = False,
) -> Phantom:
    """Make a phantom; the same arguments always give the same one.

    Parameters
    ----------
    shape
        zyx.
    contrast
        ``"shifted"`` looks different from ``"standard"`` in the way another microscope
        does.
    is_empty
        Nothing but background, as outside of a specimen.
    """
    rng = np.random.default_rng(seed)
    cells, fibres = np.zeros(shape, np.int32), np.zeros(shape, bool)
    if not is_empty:
        cells = _cells(shape, rng)
        fibres = _fibres(shape, rng) & (cells == 0)
    truth = np.where(cells > 0, CELL, np.where(fibres, FIBRE, 0)).astype(np.uint8)
    look = _LOOKS[contrast]
    image = _photograph(cells, fibres, look, rng, has_specks=not is_empty)
    raters = {
        "Ana": _drawn_outwards(truth),
        "Bo": _small_ones_missed(truth, cells),
        "Cy": _neighbours_joined(truth),
    }
    return Phantom(image, truth, raters, cells=cells)


def write_phantom(phantom: Phantom, path: Path | str) -> None:
    """Write a phantom as OME-Zarr with labels ``truth`` and ``rater_<name>``."""
    path = Path(path)
    box = Box.whole(phantom.image.shape)
    shape = box.shape
    image = create_image(
        path,
        shape=shape,
        dtype="uint8",
        chunk=CHUNK,
        voxel_size=VOXEL_SIZE_UM,
        unit="micrometer",
    )
    write_pyramid_block(image, box, phantom.image)
    colors = {
        info.id: (*(round(255 * c) for c in info.rgb), 255)
        for info in default_classes(phantom.class_names)
    }
    drawn = {"truth": phantom.truth}
    drawn |= {f"rater_{n.lower()}": labels for n, labels in phantom.raters.items()}
    for name, labels in drawn.items():
        group = create_image(
            path / "labels" / name,
            shape=shape,
            dtype="uint8",
            chunk=CHUNK,
            voxel_size=VOXEL_SIZE_UM,
            unit="micrometer",
            compressor="labels",
            label_of="../../",
            label_colors=colors,  # type: ignore[arg-type]
        )
        write_pyramid_block(group, box, labels)
        register_labels(path, name)


def _cells(shape: Zyx, rng: np.random.Generator) -> np.ndarray:
    """Return numbered, slightly flattened balls that may touch but not overlap."""
    cells = np.zeros(shape, np.int32)
    n_cells = max(4, round(np.prod(shape) / 16_000))
    grid = np.indices(shape, dtype=np.float32)
    for number in range(1, n_cells + 1):
        centre = rng.uniform(0, shape)
        radii = rng.uniform(3.5, 10.5) * rng.uniform(0.8, 1.2, 3)
        distance = sum(
            ((axis - c) / r) ** 2
            for axis, c, r in zip(grid, centre, radii, strict=True)
        )
        cells[(distance < 1) & (cells == 0)] = number
    return cells


def _fibres(shape: Zyx, rng: np.random.Generator) -> np.ndarray:
    """Return tubes along smooth random walks through the volume."""
    fibres = np.zeros(shape, bool)
    n_fibres = max(2, round(np.prod(shape) / 60_000))
    for _ in range(n_fibres):
        position = rng.uniform(0, shape)
        direction = rng.normal(size=3) * (0.5, 1.0, 1.0)
        for _ in range(4 * max(shape)):
            direction += rng.normal(scale=0.05, size=3)
            direction /= np.linalg.norm(direction)
            position = position + 0.7 * direction
            voxel = np.round(position).astype(int)
            if (voxel < 0).any() or (voxel >= shape).any():
                break
            fibres[tuple(voxel)] = True
    thick: np.ndarray = ndimage.distance_transform_edt(~fibres) <= 2.3
    return thick


def _photograph(
    cells: np.ndarray,
    fibres: np.ndarray,
    look: _Look,
    rng: np.random.Generator,
    *,
    has_specks: bool,
) -> np.ndarray:
    shape = cells.shape
    brightness = rng.normal(look.cell, look.cell_spread, int(cells.max()) + 1)
    image = np.where(cells > 0, brightness[cells], look.background)
    image = np.where(fibres, look.fibre, image)
    if has_specks:
        image = np.where(_blobs(shape, rng), look.blob, image)
    image = ndimage.gaussian_filter(image, 0.9)
    image += look.shade * _smooth_noise(shape, 24, rng)
    image += 0.03 * _smooth_noise(shape, 3, rng)
    image += rng.normal(0, look.noise, shape)
    photograph: np.ndarray = np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)
    return photograph


def _blobs(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return bright specks that belong to no class."""
    seeds = rng.random(shape) < 1 / 9000
    specks: np.ndarray = ndimage.binary_dilation(seeds, iterations=1)
    return specks


def _smooth_noise(
    shape: tuple[int, ...], scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Return noise of standard deviation 1 that changes over ``scale`` voxels."""
    small = [max(4, round(n / scale) + 3) for n in shape]
    factor = [n / m for n, m in zip(shape, small, strict=True)]
    noise = ndimage.zoom(rng.normal(size=small), factor, order=2, mode="nearest")
    smooth: np.ndarray = (noise - noise.mean()) / noise.std()
    return smooth


def _drawn_outwards(truth: np.ndarray) -> np.ndarray:
    """Ana: one voxel too far; where a fibre meets a cell she leaves a gap."""
    beside = ndimage.binary_dilation(truth == CELL, _ball(), iterations=3)
    kept = np.where((truth == FIBRE) & beside, 0, truth)
    grown = ndimage.grey_dilation(kept, footprint=_ball())
    return np.where(kept > 0, kept, grown).astype(np.uint8)


def _small_ones_missed(truth: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Bo: small cells and short pieces of fibre are not there, the rest is tight."""
    sizes = np.bincount(cells.ravel())
    small_cells = (sizes < 1100)[cells] & (cells > 0)
    pieces, _ = ndimage.label(truth == FIBRE)
    short = (np.bincount(pieces.ravel()) < 700)[pieces] & (pieces > 0)
    kept = np.where(small_cells | short, 0, truth)
    core = ndimage.binary_erosion(kept == CELL, _ball())
    return np.where((kept == CELL) & ~core, 0, kept).astype(np.uint8)


def _neighbours_joined(truth: np.ndarray) -> np.ndarray:
    """Cy: gaps between neighbouring cells are closed, fibres are drawn thin."""
    closed = ndimage.binary_closing(truth == CELL, _ball(), iterations=3)
    thin = ndimage.binary_erosion(truth == FIBRE, _ball())
    drawn = np.where(closed, CELL, np.where(thin, FIBRE, 0))
    return np.where(truth == CELL, CELL, drawn).astype(np.uint8)


def _ball() -> np.ndarray:
    ball: np.ndarray = ndimage.generate_binary_structure(3, 1)
    return ball
