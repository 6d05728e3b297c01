"""What is taken into a project, and what leaves it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from napari_unetseg.config.base import Config, VoxelSize, Workers
from napari_unetseg.geometry import Box, Zyx

ExportFormat = Literal["ome-zarr", "in-place", "tiff", "nifti", "csv"]


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
