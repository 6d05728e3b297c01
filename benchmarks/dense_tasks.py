"""Densely labelled real volumes, split into training and test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import shared_data


@dataclass(frozen=True)
class Case:
    """An image float32 czyx, normalised, and its labels uint8 zyx."""

    image: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Task:
    """What to learn and where to measure it."""

    name: str
    class_names: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    train: tuple[Case, ...]
    test: tuple[Case, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the smallest training volume."""
        shapes = [case.labels.shape for case in self.train]
        return tuple(min(sizes) for sizes in zip(*shapes, strict=True))


def normalised(image: np.ndarray) -> np.ndarray:
    """Return a zyx image as czyx with the 1st and 99th percentile at -1 and 1."""
    low, high = np.percentile(image, [1, 99])
    values = 2 * (image.astype(np.float32) - low) / max(high - low, 1e-6) - 1
    czyx: np.ndarray = np.clip(values, -3, 3)[None].astype(np.float32)
    return czyx


def vnc_sstem(*, quick: bool) -> Task | None:
    """Return the nerve cord: sections 0–14 for training, 15–19 for testing."""
    folder = shared_data("vnc_sstem")
    if folder is None:
        return None
    import tifffile

    raw, membranes, mitochondria = (
        tifffile.imread(folder / f"{name}.tif")
        for name in ("raw", "membranes", "mitochondria")
    )
    labels = np.where(mitochondria > 0, 2, membranes > 0).astype(np.uint8)
    image = normalised(raw)
    size = 256 if quick else raw.shape[1]
    return Task(
        "vnc_sstem",
        ("membrane", "mitochondrion"),
        (50.0, 4.6, 4.6),
        (Case(image[:, :15], labels[:15]),),
        (Case(image[:, 15:, :size, :size], labels[15:, :size, :size]),),
    )


def hippocampus(*, quick: bool) -> Task | None:
    """Return hippocampus cases: 40 for training and 40 for testing."""
    folder = shared_data("hippocampus")
    if folder is None:
        return None
    import nibabel

    names = {p.name for p in (folder / "images").glob("*.nii.gz")}
    both = sorted(names & {p.name for p in (folder / "labels").glob("*.nii.gz")})
    n = 4 if quick else 40

    def read(path: Path) -> np.ndarray:
        image = nibabel.Nifti1Image.from_filename(path)
        return np.asarray(image.dataobj).T  # x y z in the file

    def case(name: str) -> Case:
        image, labels = (read(folder / kind / name) for kind in ("images", "labels"))
        return Case(normalised(image), labels.astype(np.uint8))

    return Task(
        "hippocampus",
        ("anterior", "posterior"),
        (1.0, 1.0, 1.0),
        tuple(case(name) for name in both[:n]),
        tuple(case(name) for name in both[n : 2 * n]),
    )


TASKS: dict[str, Callable[..., Task | None]] = {
    "vnc_sstem": vnc_sstem,
    "hippocampus": hippocampus,
}
