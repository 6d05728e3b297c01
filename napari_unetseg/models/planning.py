"""From the data to a network: levels, kernels, strides, patch and memory.

An axis that is more than twice as coarse as the finest one is neither pooled nor
convolved along until the others have caught up, so that features stay isotropic in
space. This is how nnU-Net plans, with a half-resolution trunk in addition.
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
    """
    size = SIZES[preset]
    widths = size.half if trunk == "half" else size.full
    grid = _Grid(voxel_size, shape)
    head_kernel = grid.kernel()  # before the grid gets coarser
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
            "enc": block,
            "dec": block,
            "bottleneck": block,
            "stem": "patch" if strides[0] != (1, 1, 1) else plain_stem,
            "down": "conv" if keeps_width else "maxpool",
            **(_REVERSIBLE if block == "reversible" else {}),
            "norm": norm,
            "head_kernel": head_kernel,
            "head_width": size.head,
            "deep_supervision": deep_supervision,
        }
    )


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


def plan_patch(spec: NetworkSpec, shape: Sequence[int], preset: Preset = "M") -> Zyx:
    """Return the patch (zyx) for training: whole strides, not larger than the volume.

    The stride already follows the voxel size, so equal numbers of strides along the
    axes are about equal lengths in space.
    """
    cells = [1, 1, 1]
    limits = [-(-n // s) for n, s in zip(shape, spec.stride, strict=True)]
    while True:
        open_axes = [axis for axis in (2, 1, 0) if cells[axis] < limits[axis]]
        if not open_axes:
            break
        axis = min(open_axes, key=lambda a: cells[a])
        cells[axis] += 1
        if _voxels(cells, spec.stride) > SIZES[preset].patch_voxels:
            cells[axis] -= 1
            break
    return zyx(n * s for n, s in zip(cells, spec.stride, strict=True))


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


def _in_16(width: int) -> int:
    return -(-width // 16) * 16
