"""What a person gives to a tool: where, and whether it belongs to the object."""

from __future__ import annotations

from dataclasses import dataclass

from napari_unetseg.geometry import Zyx


@dataclass(frozen=True)
class Click:
    """A click on a voxel.

    Attributes
    ----------
    point
        zyx.
    positive
        False: what is here does not belong to the object.
    """

    point: Zyx
    positive: bool = True
