"""What is measured: agreement of raters, effort of correcting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from napari_unetseg.config.base import Config
from napari_unetseg.geometry import Box


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
