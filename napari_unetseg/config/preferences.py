"""What holds in every window."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from napari_unetseg.config.base import Config, Device, WorklistStrategy


class Preferences(Config):
    """What a person wants in every window and project, unless told otherwise."""

    annotator: str = Field(
        "", description="Your name on your corrections; the login name if empty."
    )
    flips: Literal[1, 2, 4] = Field(
        2, description="Mirrored passes that are averaged in a prediction."
    )
    steps: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1000, description="Training steps of a new model at most."
    )
    budget_s: Annotated[float, Field(ge=10, le=86_400)] = Field(
        240.0,
        description="Seconds of training of a new model at most: with the first "
        "prediction after it, five minutes.",
    )
    finetune_steps: Annotated[int, Field(ge=0, le=100_000)] = Field(
        0,
        description="Training steps of a fine-tuning; 0 takes ten for each labelled "
        "region, from 50 to 150.",
    )
    worklist: WorklistStrategy = Field(
        "random", description="Which regions come first in the worklist."
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
