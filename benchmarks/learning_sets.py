"""Volumes in which a model is put right that was made for something else.

Each set has a parent, the part of a volume that may be labelled, a part of it that
nobody labels and that measures, and a probe: something of the parent's own kind that it
never saw either. Split before anything is learned::

    ┌──────────────┬─────────┐     ┌──────────────┬─────────┐
    │  parent      │  probe  │     │ may be       │ test    │
    │  learns here │         │     │ labelled     │         │
    └──────────────┴─────────┘     └──────────────┴─────────┘
        the parent's domain             the new domain

phantom
    The model that ships with the package, which has seen standard light only, on a
    phantom under shifted light.
nuclei
    From nuclei of a plant's ovule (plantseg_ovules, another specimen of another
    kingdom) to those of a mouse embryo (qcanet_nuclei).
ovules
    Nuclei of an ovule: from one half of the volume under another look (darker, blurred,
    noisy) to the other half as it is.
vnc
    Membranes and mitochondria of a fly's nerve cord: from one corner of the sections
    under another look to the opposite corner as it is.
hippocampus
    From ten MR images as they are to ten others of other people under another look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from benchmarks.click_sets import Labelled, plantseg_ovules, qcanet_nuclei
from benchmarks.common import shared_data
from napari_unetseg.data.phantom import CLASS_NAMES, VOXEL_SIZE_UM, make_phantom
from napari_unetseg.geometry import Box, Zyx, zyx

SHARE = 0.05  # of the part that may be labelled
VNC_EDGE = 256
VNC_OPEN = 15  # sections
CASE: Zyx = (40, 56, 40)  # every MR image that fits, enlarged to this
N_PARENT, N_OPEN, N_TEST = 10, 6, 4  # MR images; as many as N_TEST are the probe


@dataclass(frozen=True)
class Part:
    """An image and its class ids, uint8; both zyx."""

    image: np.ndarray
    truth: np.ndarray

    def cut(self, box: Box) -> Part:
        """Return what lies in a box."""
        return Part(self.image[box.slices], self.truth[box.slices])


@dataclass(frozen=True)
class LearningSet:
    """A parent's domain and a new one.

    Attributes
    ----------
    new
        The volume to work on.
    open, test
        Where it may be labelled, and where it is measured.
    tile
        A region of the worklist, one slice of which is put right, zyx.
    taught
        What the parent learns from; None for the model of the package.
    probe
        Of the parent's domain, unseen by it.
    """

    name: str
    class_names: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    new: Part
    open: Box
    test: Box
    tile: Zyx
    taught: Part | None
    probe: Part

    @property
    def n_regions(self) -> int:
        """How many slices of regions are the share that is put right at most."""
        return int(SHARE * self.open.n_voxels) // (self.tile[1] * self.tile[2])


def phantom() -> LearningSet:
    """Return cells and fibres under light that the package's model does not know."""
    new = make_phantom((48, 96, 128), seed=31, contrast="shifted")
    known = make_phantom((48, 96, 96), seed=32)
    return LearningSet(
        "phantom",
        CLASS_NAMES,
        VOXEL_SIZE_UM,
        Part(new.image, new.truth),
        Box((0, 0, 0), (48, 96, 96)),
        Box((0, 0, 96), (48, 96, 128)),
        (8, 32, 32),
        None,
        Part(known.image, known.truth),
    )


def nuclei() -> LearningSet | None:
    """Return the embryo: five nuclei may be labelled, three measure."""
    found, other = qcanet_nuclei(), plantseg_ovules()
    if found is None or other is None:
        return None
    ovule, mirrored = _objects(other[0]), found[0].image[..., ::-1]
    new = _objects(Labelled(mirrored, found[0].objects[..., ::-1]))
    depth, height, width = new.image.shape
    z, y, x = ovule.image.shape
    cut = 64
    return LearningSet(
        "nuclei",
        ("nucleus",),
        found[1],
        new,
        Box((0, 0, 0), (depth, height, 72)),
        Box((0, 0, 72), (depth, height, width)),
        (8, 30, 24),
        ovule.cut(Box((0, 0, 0), (z, cut, x))),
        ovule.cut(Box((0, cut, 0), (z, y, x))),
    )


def ovules() -> LearningSet | None:
    """Return an ovule in two halves, each cut along y."""
    found = plantseg_ovules()
    if found is None:
        return None
    whole = _objects(found[0])
    depth, height, width = whole.image.shape
    half, cut = width // 2, 64
    new = whole.cut(Box((0, 0, half), (depth, height, width)))
    old = whole.cut(Box((0, 0, 0), (depth, height, half)))
    old = Part(another_look(old.image, gamma=1.8, blur=1.0, noise=0.06), old.truth)
    open_, test = Box((0, 0, 0), (depth, cut, half)), Box(
        (0, cut, 0), (depth, height, half)
    )  # fmt: skip
    return LearningSet(
        "ovules", ("nucleus",), found[1], new, open_, test, (8, 32, 25),
        old.cut(open_), old.cut(test),
    )  # fmt: skip


def vnc() -> LearningSet | None:
    """Return two corners of the sections, the last of which measure."""
    folder = shared_data("vnc_sstem")
    if folder is None:
        return None
    import tifffile

    raw, membranes, mitochondria = (
        tifffile.imread(folder / f"{name}.tif")
        for name in ("raw", "membranes", "mitochondria")
    )
    truth = np.where(mitochondria > 0, 2, membranes > 0).astype(np.uint8)
    near, far = np.s_[:, :VNC_EDGE, :VNC_EDGE], np.s_[:, -VNC_EDGE:, -VNC_EDGE:]
    look = another_look(raw[far], gamma=2.0, blur=(0.0, 1.5, 1.5), noise=0.06)
    old = Part(look, truth[far])
    open_ = Box((0, 0, 0), (VNC_OPEN, VNC_EDGE, VNC_EDGE))
    test = Box((VNC_OPEN, 0, 0), zyx(old.image.shape))
    return LearningSet(
        "vnc", ("membrane", "mitochondrion"), (50.0, 4.6, 4.6),
        Part(raw[near], truth[near]), open_, test, (4, 64, 64),
        old.cut(open_), old.cut(test),
    )  # fmt: skip


def hippocampus() -> LearningSet | None:
    """Return MR images one above the other, each with a range of its own."""
    folder = shared_data("hippocampus")
    if folder is None:
        return None
    import nibabel

    def read(kind: str, name: str) -> np.ndarray:
        image = nibabel.Nifti1Image.from_filename(folder / kind / name)
        return np.asarray(image.dataobj).T  # x y z in the file

    kinds = [{p.name for p in (folder / k).glob("*.nii.gz")} for k in _KINDS]
    cases: list[Part] = []
    for name in sorted(kinds[0] & kinds[1]):
        image, truth = (read(kind, name) for kind in _KINDS)
        if all(n <= most for n, most in zip(image.shape, CASE, strict=True)):
            cases.append(Part(enlarged(stretched(image)), enlarged(truth)))
        if len(cases) == N_PARENT + N_OPEN + 2 * N_TEST:
            break
    taught, rest = cases[:N_PARENT], cases[N_PARENT:]
    probe, new = _stack(rest[:N_TEST]), _stack(rest[N_TEST:])
    look = another_look(new.image, gamma=1.8, blur=0.7, noise=0.05)
    depth, height, width = CASE
    return LearningSet(
        "hippocampus",
        ("anterior", "posterior"),
        (1.0, 1.0, 1.0),
        Part(look, new.truth),
        Box((0, 0, 0), (N_OPEN * depth, height, width)),
        Box((N_OPEN * depth, 0, 0), zyx(new.image.shape)),
        (8, height, width),
        _stack(taught),
        probe,
    )


_KINDS = ("images", "labels")

SETS: dict[str, Callable[[], LearningSet | None]] = {
    "phantom": phantom,
    "nuclei": nuclei,
    "ovules": ovules,
    "vnc": vnc,
    "hippocampus": hippocampus,
}


def read_set(name: str) -> LearningSet:
    """Return a set whose data are there."""
    data = SETS[name]()
    if data is None:
        raise FileNotFoundError(name)
    return data


def another_look(
    image: np.ndarray,
    *,
    gamma: float,
    blur: float | tuple[float, float, float],
    noise: float,
) -> np.ndarray:
    """Return an image, uint8 zyx, as another microscope would show it.

    Parameters
    ----------
    gamma
        Above 1 makes everything but the brightest darker.
    blur, noise
        Standard deviations, in voxels and as a part of the range.
    """
    values = np.clip(stretched(image), 0, 1) ** gamma
    values = ndimage.gaussian_filter(values, blur)
    values = values + np.random.default_rng(0).normal(0, noise, values.shape)
    seen: np.ndarray = np.clip(np.rint(255 * values), 0, 255).astype(np.uint8)
    return seen


def enlarged(image: np.ndarray) -> np.ndarray:
    """Return an image in the middle of one of the shape of all cases."""
    extra = [most - n for n, most in zip(image.shape, CASE, strict=True)]
    return np.pad(image, [(n // 2, n - n // 2) for n in extra], mode="edge")


def stretched(image: np.ndarray) -> np.ndarray:
    """Return float32 voxels, 1st to 99th percentile from 0 to 1."""
    low, high = np.percentile(image, [1, 99])
    return ((image - low) / max(high - low, 1e-6)).astype(np.float32)


def _objects(labelled: Labelled) -> Part:
    return Part(labelled.image, (labelled.objects > 0).astype(np.uint8))


def _stack(cases: list[Part]) -> Part:
    image = np.concatenate([case.image for case in cases])
    return Part(image, np.concatenate([case.truth for case in cases]).astype(np.uint8))
