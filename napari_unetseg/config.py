"""What a person can choose, one frozen model per verb.

Limits, choices and help texts stand here once: the forms of the window, the options
of the command line and the checks of the engine all read them from the fields.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_unetseg.geometry import Box, Zyx

RATER_DISAGREEMENT = "rater_disagreement"
MODEL_DISAGREEMENT = "model_disagreement"
TOTAL_UNCERTAINTY = "total_uncertainty"
MAPS = (RATER_DISAGREEMENT, MODEL_DISAGREEMENT, TOTAL_UNCERTAINTY)

Workers = Annotated[int, Field(ge=0, le=1024)]
Device = Literal["auto", "cpu", "cuda", "mps"]
Backend = Literal["auto", "torch-fp32", "torch-bf16", "openvino-fp32", "openvino-bf16"]
Preset = Literal["S", "M", "L"]
Blocks = Literal["plain", "reversible"]
Layers = Literal["auto", "decoder", "all"]
Start = Literal["origin", "last"]
RaterKind = Literal["named", "anonymous", "latent"]
ExportFormat = Literal["ome-zarr", "in-place", "tiff", "nifti", "csv"]
WorklistStrategy = Literal["uncertainty", "raters", "models", "random", "scan"]


class Config(BaseModel):
    """A frozen value; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Not in the types of the fields: those are what forms and options are made from.
    @field_validator("chunk", "block", "patch", "voxel_size", check_fields=False)
    @classmethod
    def _lengths_are_positive(cls, lengths: Any) -> Any:
        if lengths and not all(math.isfinite(n) and n > 0 for n in lengths):
            raise ValueError("every length must be a number greater than zero")
        return lengths

    def replace(self, **changes: object) -> Self:
        """Return a copy with some fields changed, validated anew."""
        return type(self).model_validate({**dict(self), **changes})


class VoxelSize(Config):
    """What a person says of the size of voxels: files often say nothing, or 1."""

    voxel_size: tuple[float, float, float] = Field(description="Voxel size (z, y, x).")
    unit: str | None = Field(None, description="Unit of the voxel size.")


class NewProjectConfig(Config):
    """What a new project is about."""

    classes: tuple[str, ...] = Field(description="Names of what is segmented.")
    raters: tuple[str, ...] = Field(
        (), description="Names of raters whose styles are learned."
    )
    thin: tuple[str, ...] = Field(
        (), description="Names of the classes that are sheets or fibres."
    )
    scale: VoxelSize | None = Field(
        None, description="Voxel size; what the volume says if empty."
    )


class ConvertConfig(Config):
    """How a file that is no zarr becomes one."""

    chunk: Zyx | None = Field(
        None, description="Chunk (z, y, x) in voxels; chosen from the data if empty."
    )
    voxel_size: tuple[float, float, float] | None = Field(
        None, description="Voxel size (z, y, x) if the file does not say it."
    )
    unit: str | None = Field(None, description="Unit of the voxel size.")


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


class TrainConfig(Config):
    """How a network learns from labels."""

    parent: str | None = Field(
        None, description="Version to start from; a new network if empty."
    )
    preset: Preset = Field("M", description="Size of a new network.")
    blocks: Blocks = Field(
        "plain",
        description="What a new network is made of; reversible blocks learn from the "
        "same patch in a third of the memory, and take up to twice as long.",
    )
    recompute: bool = Field(
        False,
        description="Compute features of a step a second time instead of keeping them: "
        "less memory, more time, and the same network.",
    )
    layers: Layers = Field(
        "all",
        description="What a fine-tuning changes: all layers, or decoder and heads "
        "alone, which takes a little less time and memory; auto decides by how much is "
        "labelled.",
    )
    start: Start = Field(
        "origin",
        description="Weights that a fine-tuning begins with: those that the first one "
        "began with, so that all corrections count alike, or those of the last one.",
    )
    implied: Annotated[float, Field(ge=0, le=1)] = Field(
        0.3,
        description="What voxels count that were seen beside an edit and left as they "
        "were; 0 for nothing.",
    )
    replay: bool = Field(
        False,
        description="Whether every fourth patch of a fine-tuning lies where nobody "
        "labelled, so that it keeps what the model knew.",
    )
    rater_kind: RaterKind = Field(
        "named",
        description="What a new network learns of several raters: the style of each by "
        "name, as many styles without names, or a hidden style that is drawn.",
    )
    styles: Annotated[int, Field(ge=0, le=16)] = Field(
        0,
        description="Styles without names, or draws that predictions show; 0 takes as "
        "many as there are raters, or eight draws.",
    )
    steps: Annotated[int, Field(ge=1, le=100_000)] = Field(
        400, description="Training steps at most."
    )
    budget_s: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Seconds of training at most."
    )
    batch: Annotated[int, Field(ge=1, le=16)] = Field(
        2, description="Patches per step."
    )
    patch: Zyx | None = Field(
        None, description="Patch (z, y, x) in voxels; planned from the data if empty."
    )
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] | None = Field(
        None, description="Step size; 2e-3 for a new network, 5e-4 for fine-tuning."
    )
    device: Device = Field("auto", description="Where the network learns.")
    threads: Annotated[int, Field(ge=0)] = Field(
        0, description="Processor threads; 0 takes all cores but one, at least two."
    )
    mirror: bool = Field(
        True,
        description="Mirror and turn patches at random. Not if what is learned has a "
        "direction, as the style of a rater who draws a section too late.",
    )
    seed: int = Field(0, description="Seed of all random choices.")
    annotators: tuple[str, ...] = Field(
        (), description="Whose corrections count; everybody's if empty."
    )
    promote: Literal["gate", "always", "never"] = Field(
        "gate",
        description="When the new version takes the place of the one in use: if a "
        "comparison on labels that neither learned finds it better, always, or never. "
        "A version that does not stays as a candidate.",
    )


class AdaptConfig(Config):
    """How a model gets used to a volume without labels."""

    model: str | None = Field(
        None, description="Model version; the active one if empty."
    )
    places: Annotated[int, Field(ge=1, le=1000)] = Field(
        16, description="Places of the volume that are looked at."
    )
    device: Device = Field("auto", description="Where the network runs.")
    threads: Annotated[int, Field(ge=0)] = Field(
        0, description="Processor threads; 0 takes all cores but one, at least two."
    )


class ExportConfig(Config):
    """What leaves the project, and how."""

    format: ExportFormat = Field(
        "ome-zarr", description="File format; in-place writes beside the source image."
    )
    target: Path | None = Field(
        None, description="File or folder to write; not needed for in-place."
    )
    name: str = Field("segmentation", description="Name of the labels.")
    kind: Literal["classes", "objects"] = Field(
        "classes", description="Class ids, or one id per connected object."
    )
    annotator: str | None = Field(
        None, description="Whose corrections count; everybody's if empty."
    )
    box: Box | None = Field(None, description="Part of the volume; all of it if empty.")
    min_voxels: Annotated[int, Field(ge=0)] = Field(
        0, description="Objects smaller than this are left out."
    )
    neck: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="Objects that touch are separated where the neck between them is "
        "narrower than this part of the smaller one, e.g. 0.7; 0 separates nothing.",
    )
    like: Path | None = Field(
        None,
        description="Objects keep the ids that they have in these labels, an earlier "
        "export as OME-Zarr; those that are replaced if empty.",
    )
    overwrite: bool = Field(False, description="Replace what is at the target.")
    workers: Workers = Field(
        0, description="Processes on this machine that find objects; 0 does it in one."
    )
    scheduler: str | None = Field(
        None,
        description="Address of a dask scheduler (tcp://…) whose workers find objects.",
    )


class VotesConfig(Config):
    """Whose labels are compared, and where."""

    raters: tuple[str, ...] = Field(
        (), description="Whose labels of a project count; everybody's if empty."
    )
    names: tuple[str, ...] = Field(
        (), description="Names of label images, in their order; their own if empty."
    )
    unlabelled: Literal["missing", "background"] = Field(
        "missing",
        description="What it means that a rater did not label a voxel: background is "
        "for people who paint nothing but objects.",
    )
    margin: Annotated[float, Field(ge=0, le=1000)] = Field(
        5.0, description="Voxels around the objects that are near them."
    )
    margin_um: Annotated[float, Field(ge=0, le=1e6)] | None = Field(
        None, description="The same in micrometres; takes the place of voxels."
    )
    threads: Annotated[int, Field(ge=0, le=64)] = Field(
        0, description="Blocks read at the same time; 0 takes up to four."
    )


class AgreementConfig(VotesConfig):
    """How raters are compared, and where the report goes."""

    out: Path | None = Field(
        None, description="Folder for the report as JSON, CSV and HTML."
    )
    regions: dict[str, Box] = Field(
        {}, description="Boxes that are compared by themselves too, by name."
    )
    surfaces: bool = Field(
        True, description="Measure how far surfaces are apart; reads the labels again."
    )


class ConsensusConfig(VotesConfig):
    """What raters agree on, and where it goes."""

    out: Path | None = Field(None, description="OME-Zarr labels to write.")
    method: Literal["majority", "staple"] = Field(
        "majority",
        description="More than half of the votes, or STAPLE, which weighs raters by "
        "how good they are and needs three.",
    )
    ties: Literal["background", "most-votes", "unlabelled"] = Field(
        "background",
        description="What a voxel gets of which no class has more than half of the "
        "votes; for the majority.",
    )
    probability: Path | None = Field(
        None, description="OME-Zarr image to write too: a channel per class, 255 is 1."
    )
    overwrite: bool = Field(False, description="Replace what is there.")


class EffortConfig(Config):
    """How the effort of correcting is measured, and where the report goes."""

    out: Path | None = Field(
        None, description="Folder for the report as JSON, CSV and HTML."
    )
    pause_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        120.0,
        description="Seconds between two edits that are a pause and no work.",
    )
    axis: Literal["z", "y", "x"] = Field(
        "z", description="Axis of the slices in which somebody would correct."
    )
    gamma: Annotated[int, Field(ge=0, le=20)] = Field(
        1, description="Voxels of a rim that nobody would correct."
    )
    epsilon: Annotated[float, Field(ge=0, le=100)] = Field(
        2.0, description="Tolerance of the outlines somebody would draw, in voxels."
    )


class WorklistConfig(Config):
    """Which regions to look at next."""

    strategy: WorklistStrategy = Field(
        "uncertainty",
        description="What comes first: where the model is unsure, where raters would "
        "disagree, where mirrored passes do; at random near objects; or everything in "
        "the order of the volume.",
    )
    n: Annotated[int, Field(ge=1, le=1000)] = Field(12, description="Regions at most.")
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="Seed of what is left to chance."
    )


class ImportConfig(Config):
    """Whose labels are imported, and what their values mean."""

    rater: str = Field("", description="Name of whoever made the labels.")
    map: tuple[str, ...] = Field(
        (),
        description="What values mean, such as 255=nerve,0=background,7=unlabelled; "
        "value 1 is the first class if empty.",
    )
    only: str | None = Field(
        None, description="Name of the class that all values but 0 are."
    )
    partial: int | None = Field(
        None, description="The value of voxels that were not labelled."
    )


class Preferences(Config):
    """What a person wants in every window and project, unless told otherwise."""

    annotator: str = Field(
        "", description="Your name on your corrections; the login name if empty."
    )
    flips: Literal[1, 2, 4] = Field(
        2, description="Mirrored passes that are averaged in a prediction."
    )
    steps: Annotated[int, Field(ge=1, le=100_000)] = Field(
        400, description="Training steps of a new model at most."
    )
    budget_s: Annotated[float, Field(gt=0)] | None = Field(
        240.0,
        description="Seconds of training of a new model at most: with the first "
        "prediction after it, five minutes.",
    )
    finetune_steps: Annotated[int, Field(ge=1, le=100_000)] = Field(
        150, description="Training steps of a fine-tuning."
    )
    worklist: WorklistStrategy = Field(
        "uncertainty", description="Which regions come first in the worklist."
    )
    auto_finetune: bool = Field(
        False, description="Fine-tune by itself after every so many corrections."
    )
    auto_corrections: Annotated[int, Field(ge=1, le=100_000)] = Field(
        20, description="Corrections after which fine-tuning begins by itself."
    )
    device: Device = Field("auto", description="Where the network runs and learns.")
    threads: Annotated[int, Field(ge=0, le=1024)] = Field(
        0, description="Processor threads; 0 takes all cores but one, at least two."
    )
