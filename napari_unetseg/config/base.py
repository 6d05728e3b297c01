"""What all choices have in common, and the values that several of them take."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

RATER_DISAGREEMENT = "rater_disagreement"
MODEL_DISAGREEMENT = "model_disagreement"
TOTAL_UNCERTAINTY = "total_uncertainty"
MAPS = (RATER_DISAGREEMENT, MODEL_DISAGREEMENT, TOTAL_UNCERTAINTY)

Workers = Annotated[int, Field(ge=0, le=1024)]
Device = Literal["auto", "cpu", "cuda", "mps"]
WorklistStrategy = Literal["random", "uncertainty", "raters", "models", "scan"]


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
