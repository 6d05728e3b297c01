"""How a network learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from napari_unetseg.config.base import Config, Device
from napari_unetseg.geometry import Zyx

Preset = Literal["S", "M", "L"]
Blocks = Literal["plain", "reversible"]
Layers = Literal["auto", "decoder", "all"]
Start = Literal["origin", "last"]
RaterKind = Literal["named", "anonymous", "latent"]


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
    rehearse: bool = Field(
        True,
        description="Whether every second patch of a fine-tuning is one that the model "
        "learned from in another volume, so that it keeps what it knew.",
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
    steps: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0,
        description="Training steps at most; 0 takes 400 for a new network, and for a "
        "fine-tuning ten for each labelled region, from 50 to 150.",
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
        None,
        description="Step size; 2e-3 for a new network, 1e-3 for fine-tuning one that "
        "was made from these labels, 5e-4 for another, 1e-4 if that cannot rehearse.",
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
