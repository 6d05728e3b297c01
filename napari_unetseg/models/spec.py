"""What a network looks like, as plain data: a model file holds no code.

Every level has a width, a depth, a kernel and a stride; every slot has the name of a
block that ``models/blocks.py`` knows::

    image ─ stem ─ enc[0] ──────── skip ─────────── dec[0] ─ head ─ logits
                     down[1]                      up[0]
                       enc[1] ───── skip ───── dec[1]
                         down[2]            up[1]
                           bottleneck (the last level)

With the ``patch`` stem the trunk runs at half resolution: ``strides[0]`` is then the
stem's stride, and a thin head brings the features back to the voxels of the image.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_unetseg.config import Config, RaterKind
from napari_unetseg.geometry import Zyx, zyx

Width = Annotated[int, Field(ge=1, le=4096)]
Depth = Annotated[int, Field(ge=1, le=16)]
SlotName = Annotated[str, Field(min_length=1, max_length=40)]

LOCAL_NORMS = frozenset({"channel", "shift", "none"})
TILE_INVARIANT_NORMS = LOCAL_NORMS | {"batch"}


class NetworkSpec(Config):
    """All that is needed to build a network with random weights."""

    in_channels: Annotated[int, Field(ge=1, le=64)] = Field(
        description="Channels of the image."
    )
    n_classes: Annotated[int, Field(ge=1, le=250)] = Field(
        description="Foreground classes; background is one more channel of logits."
    )
    n_raters: Annotated[int, Field(ge=0, le=64)] = Field(
        0, description="Rater heads; 0 and 1 mean that there is only the consensus."
    )
    rater_kind: RaterKind = Field(
        "named",
        description="What the heads are: people, styles that nobody named, or draws of "
        "a hidden style.",
    )
    latent_width: Annotated[int, Field(ge=1, le=16)] = Field(
        4, description="Numbers that make a hidden style (latent only)."
    )
    latent_seed: Annotated[int, Field(ge=0)] = Field(
        0, description="Seed of the styles that predictions show (latent only)."
    )
    widths: tuple[Width, ...] = Field(description="Channels per level.")
    strides: tuple[Zyx, ...] = Field(
        description="Stride of each level against the one before, of level 0 against "
        "the image."
    )
    kernels: tuple[Zyx, ...] = Field(description="Kernel of each level, 1 or 3.")
    depths: tuple[Depth, ...] = Field(description="Blocks per level.")
    enc: SlotName = Field("plain", description="Block of the encoder.")
    dec: SlotName = Field("plain", description="Block of the decoder.")
    bottleneck: SlotName = Field("plain", description="Block of the last level.")
    stem: Literal["identity", "conv", "patch"] = Field(
        "identity", description="How the image enters; patch halves the resolution."
    )
    down: SlotName = Field("maxpool", description="From a level to the coarser one.")
    up: SlotName = Field("transposed", description="From a level to the finer one.")
    skip: SlotName = Field("concat", description="How encoder and decoder meet.")
    head: SlotName = Field("film", description="How features become logits.")
    norm: SlotName = Field("batch", description="Normalisation after convolutions.")
    fine_norm: SlotName | None = Field(
        None,
        description="Normalisation at the image's resolution, if not as elsewhere "
        "(patch stem only).",
    )
    head_kernel: Zyx = Field(
        (3, 3, 3), description="Kernel at the image's resolution (patch stem only)."
    )
    detail_width: Width = Field(
        8, description="Channels read at the image's resolution (patch stem only)."
    )
    head_width: Width = Field(
        16, description="Channels of the thin head (patch stem only)."
    )
    deep_supervision: bool = Field(
        True, description="Extra logits of coarser levels while training."
    )

    @model_validator(mode="after")
    def _levels_agree(self) -> Self:
        n = self.n_levels
        if n < 1:
            raise ValueError("a network needs at least one level")
        lengths = {len(self.strides), len(self.kernels), len(self.depths)}
        if lengths != {n}:
            raise ValueError(f"{n} widths need as many strides, kernels and depths")
        if any(step not in (1, 2) for stride in self.strides for step in stride):
            raise ValueError("strides are 1 or 2 along each axis")
        if any(k not in (1, 3) for k in (*sum(self.kernels, ()), *self.head_kernel)):
            raise ValueError("kernels are 1 or 3 along each axis")
        if (self.rater_kind == "latent") != (self.head == "latent"):
            raise ValueError("hidden styles and the latent head go together")
        if self.stem != "patch" and self.strides[0] != (1, 1, 1):
            raise ValueError("only the patch stem has a stride of its own")
        return self

    @property
    def n_levels(self) -> int:
        """How many resolutions the trunk has."""
        return len(self.widths)

    @property
    def n_channels_out(self) -> int:
        """Channels of logits: background and the classes."""
        return 1 + self.n_classes

    @property
    def stride(self) -> Zyx:
        """Total stride: sizes of patches are multiples of it."""
        return self.stride_at(self.n_levels - 1)

    @property
    def has_raters(self) -> bool:
        """Whether there are rater heads beside the consensus."""
        return self.n_raters >= 2

    @property
    def is_tile_invariant(self) -> bool:
        """Whether a voxel's logits depend on its surroundings only, not on the tile."""
        return {self.norm, self.finest_norm} <= TILE_INVARIANT_NORMS

    @property
    def finest_norm(self) -> str:
        """Normalisation at the image's resolution."""
        return self.fine_norm or self.norm

    @property
    def is_fine_local(self) -> bool:
        """Whether training, too, can work piece by piece at the image's resolution."""
        return self.stem == "patch" and self.finest_norm in LOCAL_NORMS

    @property
    def fine_reach(self) -> Zyx:
        """How far the two convolutions at the image's resolution see, in voxels."""
        return zyx(2 * (k // 2) for k in self.head_kernel)

    def stride_at(self, level: int) -> Zyx:
        """Return the stride of a level against the image."""
        return zyx(
            math.prod(stride[axis] for stride in self.strides[: level + 1])
            for axis in range(3)
        )

    def padded(self, shape: Zyx) -> Zyx:
        """Return the smallest shape of whole strides that holds ``shape``."""
        return zyx(-(-n // s) * s for n, s in zip(shape, self.stride, strict=True))
