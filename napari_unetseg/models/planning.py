"""From the data to a network: levels, kernels, strides, patch and memory.

An axis that is more than twice as coarse as the finest one is neither pooled nor
convolved along until the others have caught up, so that features stay isotropic in
space. This is how nnU-Net plans (Isensee et al., Nature Methods 2021), with a
half-resolution trunk in addition, and more scales where objects are huge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from napari_unetseg.config import Preset, RaterKind
from napari_unetseg.geometry import Zyx, zyx
from napari_unetseg.models.spec import NetworkSpec

Trunk = Literal["half", "full"]
Block = Literal["plain", "residual", "convnext", "reversible"]
NormName = Literal["batch", "channel", "instance", "group", "none"]

MIN_EDGE = 4  # an axis is not pooled below this many voxels
ANISOTROPY = 2.0
FLOAT_BYTES = 4
RATER_WIDTH = 16  # channels that all rater heads share, at most
CELLS_OF_OBJECT = 6  # of the coarsest level: longer objects get another level
COARSEST = 32  # voxels of a cell: with coarser ones patches get too large
LARGER = 4  # times the voxels of a patch, where objects are longer than that
LEAST_CELLS = 3  # of the coarsest level in such a patch
DEEPEST = 4  # strides of the network, for patches of thick sections


class Size(NamedTuple):
    """A preset: channels of the trunk at half or full resolution, and the patch."""

    half: tuple[int, ...]
    full: tuple[int, ...]
    head: int
    patch_voxels: int


SIZES: dict[Preset, Size] = {
    "S": Size((16, 32, 64, 112), (8, 16, 32, 64, 112), 12, 48**3),
    "M": Size((24, 48, 96, 160), (16, 32, 64, 128, 160), 16, 64**3),
    "L": Size((32, 64, 128, 224, 256), (24, 48, 96, 192, 256), 24, 96**3),
}

# Only what is read is kept. Statistics of a patch would need all of it at once.
_REVERSIBLE = {"skip": "add", "fine_norm": "shift"}


def plan_network(
    *,
    voxel_size: Sequence[float],
    shape: Sequence[int],
    in_channels: int = 1,
    n_classes: int = 1,
    n_raters: int = 0,
    rater_kind: RaterKind = "named",
    preset: Preset = "M",
    block: Block = "plain",
    trunk: Trunk = "half",
    norm: NormName = "batch",
    deep_supervision: bool = True,
    object_size: float = 0.0,
) -> NetworkSpec:
    """Return the network for a volume.

    Parameters
    ----------
    voxel_size
        Voxel size (z, y, x); only the ratios matter.
    shape
        Shape of the volume (z, y, x): a thin axis is pooled less often.
    in_channels, n_classes, n_raters, rater_kind
        Channels of the image, foreground classes, rater heads, and what these are.
    preset, deep_supervision
        Size of the network; whether coarser levels get logits of their own.
    block, trunk, norm
        What the benchmark ``architectures`` compares; the defaults are its answer.
    object_size
        Diameter of the objects in voxels of the finest axis, 0 if nobody knows.
    """
    size, grid = SIZES[preset], _Grid(voxel_size, shape)
    head_kernel = grid.kernel()  # before the grid gets coarser
    widths = _deep_enough(size, trunk, object_size)
    strides, kernels = _levels(grid, len(widths), trunk)
    keeps_width = block in ("convnext", "reversible")  # a projection would cost memory
    plain_stem = "conv" if keeps_width else "identity"
    return NetworkSpec.model_validate(
        {
            "in_channels": in_channels,
            "n_classes": n_classes,
            "n_raters": n_raters,
            "rater_kind": rater_kind,
            # A few per cent of a pass; FiLM on two scales takes a fifth.
            "head": "latent" if rater_kind == "latent" else "linear",
            "widths": widths[: len(strides)],
            "strides": strides,
            "kernels": kernels,
            "depths": [1] * len(strides),
            **dict.fromkeys(("enc", "dec", "bottleneck"), block),
            "stem": "patch" if strides[0] != (1, 1, 1) else plain_stem,
            "down": "conv" if keeps_width else "maxpool",
            **(_REVERSIBLE if block == "reversible" else {}),
            "norm": norm,
            "head_kernel": head_kernel,
            "head_width": size.head,
            "deep_supervision": deep_supervision,
        }
    )


def _deep_enough(size: Size, trunk: Trunk, object_size: float) -> tuple[int, ...]:
    """Repeat the last width until an object is a few cells of the coarsest level."""
    widths = size.half if trunk == "half" else size.full
    stride = 2 ** (len(widths) - (trunk == "full"))
    while object_size > CELLS_OF_OBJECT * stride and stride < COARSEST:
        widths, stride = (*widths, widths[-1]), 2 * stride
    return widths


def _levels(grid: _Grid, n_levels: int, trunk: Trunk) -> tuple[list[Zyx], list[Zyx]]:
    """Return stride and kernel per level, as many as the volume has room for."""
    strides = [grid.pool() if trunk == "half" else (1, 1, 1)]
    kernels = [grid.kernel()]
    for _ in range(1, n_levels):
        stride = grid.pool()
        if stride == (1, 1, 1):
            break
        strides.append(stride)
        kernels.append(grid.kernel())
    return strides, kernels


class _Grid:
    """Voxel size and shape on the way down the levels."""

    def __init__(self, voxel_size: Sequence[float], shape: Sequence[int]) -> None:
        self.size = [float(step) for step in voxel_size]
        self.shape = [int(n) for n in shape]
        self.is_flat = [n == 1 for n in self.shape]

    def _is_coarse(self) -> list[bool]:
        sizes = zip(self.size, self.is_flat, strict=True)
        finest = min((s for s, flat in sizes if not flat), default=1.0)
        return [step > ANISOTROPY * finest for step in self.size]

    def kernel(self) -> Zyx:
        """Return 1 along flat and coarse axes, 3 along the others."""
        axes = zip(self.is_flat, self._is_coarse(), strict=True)
        return zyx(1 if flat or coarse else 3 for flat, coarse in axes)

    def pool(self) -> Zyx:
        """Halve the axes that allow it and return the stride."""
        axes = zip(self.shape, self._is_coarse(), strict=True)
        stride = zyx(1 if coarse or n < 2 * MIN_EDGE else 2 for n, coarse in axes)
        self.size = [s * step for s, step in zip(self.size, stride, strict=True)]
        self.shape = [-(-n // step) for n, step in zip(self.shape, stride, strict=True)]
        return stride


def plan_patch(
    spec: NetworkSpec,
    shape: Sequence[int],
    preset: Preset = "M",
    *,
    object_size: float = 0.0,
) -> Zyx:
    """Return the patch (zyx) for training: whole strides, not larger than the volume.

    The stride already follows the voxel size, so equal numbers of strides along the
    axes are about equal lengths in space. Objects that are longer than the patch make
    it larger: from inside an object nobody can tell what it is.
    """
    usual = _grown(spec, shape, SIZES[preset].patch_voxels)
    in_plane = zip(usual[1:], spec.padded(zyx(shape))[1:], spec.stride[1:], strict=True)
    is_too_small = any(
        p < min(n, max(object_size, LEAST_CELLS * s)) for p, n, s in in_plane
    )
    if not object_size or not is_too_small:
        return usual
    return _grown(spec, shape, LARGER * SIZES[preset].patch_voxels)


def _grown(spec: NetworkSpec, shape: Sequence[int], most: int) -> Zyx:
    """Return the largest patch of at most so many voxels."""
    cells = [1, 1, 1]
    limits = [-(-n // s) for n, s in zip(shape, spec.stride, strict=True)]
    while True:
        open_axes = [axis for axis in (2, 1, 0) if cells[axis] < limits[axis]]
        if not open_axes:
            break
        axis = min(open_axes, key=lambda a: cells[a])
        cells[axis] += 1
        if _voxels(cells, spec.stride) > most:
            cells[axis] -= 1
            break
    return zyx(n * s for n, s in zip(cells, spec.stride, strict=True))


def patch_of(shape: Zyx, stride: Zyx) -> Zyx:
    """Return a shape rounded up to whole strides."""
    return zyx(-(-n // s) * s for n, s in zip(shape, stride, strict=True))


def widened(patch: Zyx, stride: Zyx, shape: Zyx) -> Zyx:
    """Return a patch with fewer sections and more of each, where sections are thick.

    What is around an object in its section says more than the next section but two:
    on serial sections of a nerve cord 8 × 176² voxels reached in a minute what
    16 × 128² voxels, as long in space on all sides, were far from.
    """
    depth = min(patch[0], DEEPEST * stride[0])
    if stride[0] >= stride[1] or depth == patch[0]:
        return patch
    edge = math.isqrt(math.prod(patch) // depth)
    height, width = (
        min(edge // s * s, -(-n // s) * s)
        for s, n in zip(stride[1:], shape[1:], strict=True)
    )
    return depth, height, width


def _voxels(cells: Sequence[int], stride: Zyx) -> int:
    return math.prod(cells) * math.prod(stride)


def activation_bytes(spec: NetworkSpec, shape: Zyx) -> int:
    """Return an upper estimate of the memory of one forward pass, without gradients.

    Every level holds its skip until the decoder is there. The level at work holds
    what it joins, what it returns, and both once more in blocks of 16 channels, as
    processors rearrange them; the factors cover what the allocator keeps back.
    """
    padded = spec.padded(shape)
    full = math.prod(padded)
    floats = full * spec.in_channels
    work: list[float] = []
    for level, width in enumerate(spec.widths):
        voxels = full // math.prod(spec.stride_at(level))
        floats += voxels * width
        work.append(2 * voxels * (4 * width + _in_16(width) + _in_16(2 * width)))
    if spec.stem == "patch":
        detail, head = spec.detail_width, spec.head_width
        floats += full * detail
        joined = 2 * detail + 4 * head + _in_16(detail + head) + _in_16(head)
        work.append(1.25 * full * joined)
    # The heads come last, when what the levels worked on is gone.
    raters = spec.n_raters if spec.has_raters else 0
    answers = spec.n_channels_out * (1 + 2 * raters)
    work.append(full * (answers + 4 * RATER_WIDTH * (raters > 0)))
    return int(FLOAT_BYTES * (floats + max(work)))


def kept_numbers(spec: NetworkSpec) -> float:
    """Return how many numbers per voxel a plain training step keeps, about.

    Three per channel at the image's resolution, twelve per channel of the trunk: of a
    network of preset M that is the 120 that the benchmark ``training_memory`` found.
    """
    fine = spec.detail_width + spec.head_width if spec.stem == "patch" else 0
    trunk = sum(
        width / math.prod(spec.stride_at(level))
        for level, width in enumerate(spec.widths)
    )
    raters = spec.n_raters if spec.has_raters else 0
    answers = (spec.n_channels_out - 2) + spec.n_channels_out * raters
    return 3 * fine + 12 * trunk + 4 * answers


def training_bytes(
    spec: NetworkSpec, patch: Zyx, batch: int, *, recompute: bool = False
) -> int:
    """Return an upper estimate of the memory of one training step.

    The gradient of the last layers needs about as much again as is kept.
    """
    share = 0.3 if spec.enc == "reversible" else 0.8 if recompute else 1.0
    voxels = math.prod(spec.padded(patch)) * batch
    return int(share * 2 * FLOAT_BYTES * kept_numbers(spec) * voxels)


def _in_16(width: int) -> int:
    return -(-width // 16) * 16
