"""How a volume is predicted, and which regions are looked at then."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from napari_unetseg.config.base import Config, Device, Workers, WorklistStrategy
from napari_unetseg.geometry import Box, Zyx

Backend = Literal["auto", "torch-fp32", "torch-bf16", "openvino-fp32", "openvino-bf16"]


class PredictConfig(Config):
    """How blocks are predicted."""

    box: Box | None = Field(None, description="Part of the volume; all of it if empty.")
    model: str | None = Field(
        None, description="Model version; the active one if empty."
    )
    block: Zyx | None = Field(
        None, description="Block (z, y, x) in voxels; the largest that fits if empty."
    )
    flips: Literal[1, 2, 4] = Field(
        2,
        description="Mirrored passes that are averaged; their spread is the model "
        "disagreement. 1 is fastest and shows none.",
    )
    device: Device = Field("auto", description="Where the network runs.")
    backend: Backend = Field(
        "auto",
        description="What runs the network; the fastest that answers as torch in "
        "float32 does, measured once, if automatic.",
    )
    threads: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Processor threads of each worker; 0 takes all cores but one, at "
        "least two, or shares them.",
    )
    memory_gb: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Memory allowed in GB, all told; half of what is free if empty.",
    )
    missing_chunks: Literal["fail", "fill"] = Field(
        "fail",
        description="A chunk that is not on disk: a failed block, or empty space.",
    )
    skip_flat: bool = Field(
        False,
        description="Blocks that have one grey value in a coarse level are taken for "
        "empty without being read; a coarse voxel is a mean and may hide a few others.",
    )
    unchanged_from: str | None = Field(
        None,
        description="Version whose blocks are kept where a look at parts of them shows "
        "that nothing changes. If empty all blocks are predicted, kept ones too.",
    )
    retry_failed: bool = Field(True, description="Try failed blocks again.")
    only_failed: bool = Field(
        False, description="Try failed blocks again, and no other."
    )
    workers: Workers = Field(
        0,
        description="Processes on this machine that share the blocks; 0 takes them in "
        "one, which is best unless there are many cores.",
    )
    scheduler: str | None = Field(
        None,
        description="Address of a dask scheduler (tcp://…) whose workers take the "
        "blocks.",
    )


class WorklistConfig(Config):
    """Which regions to look at next."""

    strategy: WorklistStrategy = Field(
        "random",
        description="What comes first: places near objects, at random; where the model "
        "is unsure, where raters would disagree, where mirrored passes do; or "
        "everything in the order of the volume.",
    )
    n: Annotated[int, Field(ge=1, le=1000)] = Field(12, description="Regions at most.")
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="Seed of what is left to chance."
    )
