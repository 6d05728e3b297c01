"""What a model version says about a volume, block by block on disk.

::

    v3.zarr/
      probability/            uint8 czyx, one channel per foreground class
        labels/prediction/    uint8 zyx, class ids: OME-Zarr's place for labels
      rater_disagreement/     uint8 zyx, 255 = 1; each map is an image of its own
      model_disagreement/
      total_uncertainty/
      rater_labels/           uint8 czyx, one channel per rater

Every chunk of every level belongs to one block, so that blocks are written without
locks and in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import zarr

from napari_unetseg.config import MAPS
from napari_unetseg.data.nodes import attributes_of, is_zarr
from napari_unetseg.data.ome_metadata import Level, read_image
from napari_unetseg.data.ome_zarr import (
    create_image,
    level_factors,
    register_labels,
    write_pyramid_block,
)
from napari_unetseg.errors import MetadataError, explained_writing
from napari_unetseg.geometry import Block, Box, Zyx, zyx

LABELS, PROBABILITY, RATER_LABELS = "labels", "probability", "rater_labels"
_HEADER = "unetseg_prediction"


@dataclass(frozen=True)
class BlockPrediction:
    """The prediction of one block; all arrays cover its write box.

    Attributes
    ----------
    labels
        Class ids, uint8 zyx.
    probability
        Foreground classes × 255, uint8 czyx.
    maps
        Name → uint8 zyx, 255 = 1.
    rater_labels
        Class ids per rater, uint8 rzyx; None with fewer than two raters.
    """

    labels: np.ndarray
    probability: np.ndarray
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    rater_labels: np.ndarray | None = None


class PredictionStore:
    """The predictions of one model version; made by :meth:`create` or :meth:`open`."""

    def __init__(self, path: Path, mode: Literal["r", "r+"]) -> None:
        self.path = path
        self._mode = mode
        header = attributes_of(zarr.open_group(path, mode="r")).get(_HEADER)
        if not isinstance(header, dict):
            raise MetadataError(
                f"{path.name} holds no predictions",
                do="Remove the folder and predict again; corrections are kept.",
            )
        self.class_names = tuple(header["class_names"])
        self.rater_names = tuple(header["rater_names"])
        self.map_names = tuple(header["maps"])
        self.shape: Zyx = zyx(header["shape"])
        self.chunk: Zyx = zyx(header["chunk"])
        self.voxel_size = tuple(float(v) for v in header["voxel_size"])
        self.unit: str | None = header["unit"]
        self._groups: dict[str, zarr.Group] = {}

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        shape: Zyx,
        voxel_size: Sequence[float],
        unit: str | None = None,
        chunk: Zyx,
        class_names: Sequence[str],
        rater_names: Sequence[str] = (),
        maps: Sequence[str] = MAPS,
    ) -> Self:
        """Make an empty store.

        Parameters
        ----------
        shape, chunk
            zyx; blocks are whole chunks, and a chunk must hold whole cells of the
            coarsest level.
        maps
            Names out of :data:`napari_unetseg.config.MAPS`.
        """
        path = Path(path)
        raters = tuple(rater_names) if len(rater_names) >= 2 else ()
        factors = level_factors(shape, voxel_size)
        owned = [
            f for f in factors if not any(c % k for c, k in zip(chunk, f, strict=True))
        ]
        common: dict[str, Any] = {
            # A level whose cells reach beyond a chunk would be written by two blocks.
            "n_levels": len(owned),
            "shape": shape, "dtype": "uint8", "chunk": chunk, "voxel_size": voxel_size,
            "unit": unit, "coarse_chunks": "halved", "compressor": "labels",
        }  # fmt: skip
        header: Any = {
            "class_names": list(class_names), "rater_names": list(raters),
            "maps": list(maps), "shape": list(shape), "chunk": list(chunk),
            "voxel_size": list(voxel_size), "unit": unit,
        }  # fmt: skip
        with explained_writing("the prediction", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            zarr.create_group(path)
            probability = path / PROBABILITY
            create_image(
                probability,
                n_channels=len(class_names),
                channel_names=class_names,
                **common,
            )
            labels = probability / "labels" / "prediction"
            create_image(labels, label_of="../../", **common)
            register_labels(probability, "prediction")
            for name in maps:
                create_image(path / name, **common)
            if raters:
                create_image(
                    path / RATER_LABELS,
                    n_channels=len(raters),
                    channel_names=raters,
                    label_of="../probability",
                    **common,
                )
            # The header comes last: a store without it was never finished.
            zarr.open_group(path, mode="r+").attrs.update({_HEADER: header})
        return cls(path, "r+")

    @classmethod
    def open(cls, path: Path | str, mode: Literal["r", "r+"] = "r") -> Self:
        """Open a store.

        Raises
        ------
        MetadataError
            If there is none at the path.
        """
        path = Path(path)
        if not is_zarr(path):
            raise MetadataError(
                f"{path.name} holds no predictions", do="Predict first."
            )
        return cls(path, mode)

    @staticmethod
    def exists(path: Path | str) -> bool:
        """Whether there is a finished store at a path."""
        path = Path(path)
        return is_zarr(path) and _HEADER in attributes_of(
            zarr.open_group(path, mode="r")
        )

    def write(self, block: Block, prediction: BlockPrediction) -> None:
        """Write what was predicted for a block, on all levels.

        Raises
        ------
        DiskFullError, ReadOnlyError
            If it cannot be written.
        """
        box = block.write_box
        with explained_writing("the prediction", self.path):
            write_pyramid_block(self._group(PROBABILITY), box, prediction.probability)
            write_pyramid_block(self._group(LABELS), box, prediction.labels)
            for name in self.map_names:
                write_pyramid_block(self._group(name), box, prediction.maps[name])
            if self.rater_names and prediction.rater_labels is not None:
                write_pyramid_block(
                    self._group(RATER_LABELS), box, prediction.rater_labels
                )

    def read_labels(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx; 0 where nothing was predicted."""
        return self._read(LABELS, box)

    def read_probability(self, box: Box) -> np.ndarray:
        """Return foreground probabilities × 255, uint8 czyx."""
        return self._read(PROBABILITY, box)

    def read_map(self, name: str, box: Box) -> np.ndarray:
        """Return a map × 255, uint8 zyx."""
        return self._read(name, box)

    def read_rater_labels(self, box: Box) -> np.ndarray:
        """Return class ids per rater, uint8 rzyx."""
        return self._read(RATER_LABELS, box)

    def levels(self, name: str) -> list[zarr.Array[Any]]:
        """Return the arrays of ``labels``, ``probability``, a map, ``rater_labels``."""
        group = self._group(name)
        return [cast("zarr.Array[Any]", group[info.path]) for info in self.infos(name)]

    def infos(self, name: str) -> tuple[Level, ...]:
        """Return what is known of the levels of an image of the store."""
        return read_image(self.path / _place(name)).levels

    def scales(self, name: str) -> list[tuple[float, float, float]]:
        """Return the voxel size of each level, zyx."""
        return [info.voxel_size for info in self.infos(name)]

    def _read(self, name: str, box: Box) -> np.ndarray:
        finest = cast("zarr.Array[Any]", self._group(name)["0"])
        return np.asarray(finest[(..., *box.slices)])

    def _group(self, name: str) -> zarr.Group:
        if name not in self._groups:
            path = self.path / _place(name)
            self._groups[name] = zarr.open_group(path, mode=self._mode)
        return self._groups[name]


def _place(name: str) -> str:
    return f"{PROBABILITY}/labels/prediction" if name == LABELS else name
