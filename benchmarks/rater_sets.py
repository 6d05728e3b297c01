"""Images that several raters drew on: two synthetic sets, two real ones.

nested
    One ball per image, blurred; raters cut the blur at three heights, as in the toy
    example of Kahl et al. (ICLR 2024), with noise in the image.
styles
    Several ellipsoids; one rater draws all too large, one draws them displaced by two
    voxels, one leaves out those of small volume: no mask holds another.
bubil
    Phase contrast, one cell per image and a window around it, 2D; B01–B10 are learned
    from, choices are looked at on B11 and B12, and B13–B17 are tested.
lidc
    One lung nodule of a CT, 4 reading sessions; sections below 32 are learned from,
    those from 32 on are tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from benchmarks.common import shared_data
from napari_unetseg.geometry import Zyx

EDGE = 64
HEIGHTS = (0.2, 0.5, 0.8)
SHIFT = (0, 2, 0)
SMALL = 6.0  # an object with less than the volume of such a ball
BUBIL_STEP = 4  # every 4 × 4 pixels become one
BUBIL_SHAPE = (192, 256)
# Both masks of the second person are the same file.
BUBIL_RATERS = tuple(
    f"person{n}_{tool}"
    for n in range(1, 6)
    for tool in ("amira", "imagej")
    if (n, tool) != (2, "imagej")
)
LIDC_CUT = 32
LIDC_CROP = (slice(16, 48), slice(64, 192), slice(64, 192))


@dataclass(frozen=True)
class Case:
    """An image, float32 zyx, and masks, uint8 rzyx."""

    image: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True)
class RaterSet:
    """Images of one kind; those for testing are used once, at the end."""

    name: str
    raters: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]

    @property
    def all_raters_known(self) -> bool:
        """Whether there are no other raters than these."""
        return self.name in ("nested", "styles")


def nested(*, quick: bool) -> RaterSet:
    """Return the set whose masks lie one in another."""
    return _synthetic("nested", ("inner", "middle", "outer"), _ball, quick=quick)


def styles(*, quick: bool) -> RaterSet:
    """Return the set of three styles, none of which holds another."""
    return _synthetic("styles", ("large", "shifted", "few"), _ellipsoids, quick=quick)


def _synthetic(
    name: str,
    raters: tuple[str, ...],
    draw: Callable[[np.random.Generator], Case],
    *,
    quick: bool,
) -> RaterSet:
    sizes = (16, 3, 6) if quick else (32, 6, 16)
    parts = []
    for part, size in enumerate(sizes):
        rngs = [np.random.default_rng([part, number]) for number in range(size)]
        parts.append(tuple(draw(rng) for rng in rngs))
    return RaterSet(name, raters, (1.0, 1.0, 1.0), *parts)


def _ball(rng: np.random.Generator) -> Case:
    radius = 0.5 * EDGE * rng.uniform(1 / 5, 1 / 2)
    centre = rng.uniform(radius + 4, EDGE - radius - 4, 3)
    ball = _inside(centre, (radius, radius, radius))
    blurred = ndimage.gaussian_filter(ball.astype(np.float32), 2)
    masks = np.stack([blurred > height for height in reversed(HEIGHTS)])
    return Case(_noisy(blurred, rng), masks.astype(np.uint8))


def _ellipsoids(rng: np.random.Generator) -> Case:
    masks = np.zeros((3, EDGE, EDGE, EDGE), bool)
    truth = np.zeros((EDGE, EDGE, EDGE), np.float32)
    taken = np.zeros_like(masks[0])
    for _ in range(9):
        radius = rng.uniform(3.5, 10)
        radii = radius * rng.uniform(0.85, 1.15, 3)
        centre = rng.uniform(radius * 1.5, EDGE - radius * 1.5, 3)
        wide = _inside(centre, radii * 1.25 + 3)
        if (wide & taken).any():
            continue
        taken |= wide
        truth[_inside(centre, radii)] = rng.uniform(0.8, 1.2)
        masks[0] |= _inside(centre, radii * 1.2)
        masks[1] |= _inside(centre + SHIFT, radii)
        if radii.prod() > SMALL**3:
            masks[2] |= _inside(centre, radii * 0.95)
    return Case(_noisy(ndimage.gaussian_filter(truth, 1), rng), masks.astype(np.uint8))


def _inside(centre: np.ndarray, radii: np.ndarray | tuple[float, ...]) -> np.ndarray:
    grid = np.ogrid[:EDGE, :EDGE, :EDGE]
    parts = zip(grid, centre, radii, strict=True)
    return np.asarray(sum(((axis - c) / r) ** 2 for axis, c, r in parts) < 1)


def _noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add noise, fine and coarse."""
    coarse = ndimage.gaussian_filter(rng.normal(size=image.shape), 6)
    noise = rng.normal(0, 0.15, image.shape) + 0.1 * coarse / coarse.std()
    return np.asarray(image + noise, np.float32)


def bubil(*, quick: bool) -> RaterSet | None:
    """Return the cells, a quarter as large."""
    folder = shared_data("bubil_multirater_2d")
    if folder is None:
        return None
    from skimage.io import imread

    def plane(kind: str, number: int) -> np.ndarray:
        image = imread(folder / kind / f"B{number:02d}.png")
        gray = np.asarray(image, np.float32)
        gray = gray if gray.ndim == 2 else gray[..., :3].mean(-1)
        height, width = (n // BUBIL_STEP for n in gray.shape)
        cells = gray[: height * BUBIL_STEP, : width * BUBIL_STEP]
        return cells.reshape(height, BUBIL_STEP, width, BUBIL_STEP).mean((1, 3))

    def case(number: int) -> Case:
        image = plane("raw", number)
        flat = image / (ndimage.gaussian_filter(image, 30) + 1)
        masks = np.stack([plane(rater, number) > 127 for rater in BUBIL_RATERS])
        window = _around(masks.any(0), BUBIL_SHAPE)
        # Every image was taken on its own, and has a range of its own.
        even = (flat - flat.mean()) / flat.std()
        return Case(even[window][None], masks[:, None, *window].astype(np.uint8))

    cases = [case(number) for number in range(1, 18)]
    return RaterSet(
        "bubil",
        BUBIL_RATERS,
        (1.0, 1.0, 1.0),
        tuple(cases[:10]),
        tuple(cases[10:12]),
        tuple(cases[12:]),
    )


def _around(mask: np.ndarray, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return a window of that shape whose middle is near that of a mask, yx."""
    starts = [
        int(np.clip((at.min() + at.max() - size) // 2, 0, edge - size))
        for at, size, edge in zip(np.nonzero(mask), shape, mask.shape, strict=True)
    ]
    y, x = (slice(a, a + size) for a, size in zip(starts, shape, strict=True))
    return y, x


def lidc(*, quick: bool) -> RaterSet | None:
    """Return the nodule, cut into two halves of sections."""
    folder = shared_data("lidc_0001")
    if folder is None:
        return None
    import nibabel

    def read(name: str) -> np.ndarray:
        image = nibabel.Nifti1Image.from_filename(folder / f"{name}.nii.gz")
        return np.asarray(image.dataobj).T[LIDC_CROP]

    raters = tuple(f"rater{n}" for n in range(1, 5))
    image = read("ct").astype(np.float32)
    masks = np.stack([read(name) > 0 for name in raters]).astype(np.uint8)
    cut = LIDC_CUT - LIDC_CROP[0].start
    below = Case(image[:cut], masks[:, :cut])
    above = Case(image[cut:], masks[:, cut:])
    return RaterSet("lidc", raters, (2.5, 0.7, 0.7), (below,), (below,), (above,))


SETS: dict[str, Callable[..., RaterSet | None]] = {
    "nested": nested,
    "styles": styles,
    "bubil": bubil,
    "lidc": lidc,
}


def along(cases: tuple[Case, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return image zyx and masks rzyx of all cases in one volume.

    Volumes follow each other along z, planes along y, so that they stay planes.
    """
    axis = 0 if cases[0].image.shape[0] > 1 else 1
    image = np.concatenate([case.image for case in cases], axis)
    return image, np.concatenate([case.masks for case in cases], axis + 1)


def shape_of(cases: tuple[Case, ...]) -> Zyx:
    """Return the shape of the first image."""
    z, y, x = cases[0].image.shape
    return z, y, x
