"""What a model version says about a volume, block by block on disk.

::

    v3.zarr/
      probability/            uint8 czyx, one channel per foreground class
        labels/prediction/    uint8 zyx, class ids: OME-Zarr's place for labels
      rater_disagreement/     uint8 zyx, 255 = 1; each map is an image of its own
      model_disagreement/
      total_uncertainty/
      rater_probability/      uint8 czyx, the classes of one rater after another

Chunks of the finest level belong to one block. Cells of coarser levels do too, but
chunks of these are shared: were they smaller instead, showing one slice of a coarse
level would open thousands of files. So either one thread writes, in any order of
blocks, or many processes write the finest level, and the others follow by whole
chunks. The result is the same, and writing a block twice changes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, cast

import numpy as np
import zarr

from napari_unetseg.config import MAPS
from napari_unetseg.data.nodes import attributes_of, is_zarr, open_node
from napari_unetseg.data.ome_metadata import Level, coarsening, read_image
from napari_unetseg.data.ome_zarr import create_image, level_factors, register_labels
from napari_unetseg.data.pyramid_store import (
    THIN,
    LevelStep,
    coarsen_block,
    level_steps,
    write_finest_block,
    write_pyramid_block,
)
from napari_unetseg.errors import MetadataError, explained_writing
from napari_unetseg.geometry import Block, BlockGrid, Box, Zyx, zyx

LABELS, PROBABILITY = "labels", "probability"
RATER_PROBABILITY = "rater_probability"
_HEADER = "unetseg_prediction"
_FORMAT = 2  # 1 kept the labels of raters, not how probable they are
_CHUNKS_AT_ONCE = 2

WriteBlock: TypeAlias = Callable[[zarr.Group, Box, np.ndarray], None]


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
    rater_probability
        Of each rater, foreground classes × 255, uint8 rczyx; None with fewer than two
        raters.
    taken_from
        The version whose prediction this is, if it is kept from another one.
    """

    labels: np.ndarray
    probability: np.ndarray
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    rater_probability: np.ndarray | None = None
    taken_from: str = ""


class PredictionStore:
    """The predictions of one model version; made by :meth:`create` or :meth:`open`."""

    def __init__(self, path: Path, mode: Literal["r", "r+"]) -> None:
        self.path = path
        self._mode = mode
        header = _header_of(path)
        if header is None:
            raise MetadataError(
                f"{path.name} holds no predictions",
                do="Remove the folder and predict again; corrections are kept.",
            )
        self.class_names: tuple[str, ...] = tuple(header["class_names"])
        self.rater_names: tuple[str, ...] = tuple(header["rater_names"])
        self.map_names: tuple[str, ...] = tuple(header["maps"])
        self.shape: Zyx = zyx(header["shape"])
        self.chunk: Zyx = zyx(header["chunk"])
        self.voxel_size = tuple(float(v) for v in header["voxel_size"])
        self.unit: str | None = header["unit"]
        self._groups: dict[str, zarr.Group] = {}
        self._finest: dict[str, zarr.Array[Any]] = {}

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
        thin: Sequence[int] = (),
    ) -> Self:
        """Make an empty store; it appears when it is complete.

        Parameters
        ----------
        shape, chunk
            zyx; blocks are whole chunks.
        rater_names
            Fewer than two are none.
        maps
            Names out of :data:`napari_unetseg.config.MAPS`.
        thin
            Ids of classes of which coarse levels keep every voxel.

        Raises
        ------
        MetadataError
            If there is something at the path.
        DiskFullError, ReadOnlyError
            If it cannot be written.
        """
        path = Path(path)
        raters = tuple(rater_names) if len(rater_names) >= 2 else ()
        header: Any = {
            "class_names": list(class_names), "rater_names": list(raters),
            "maps": list(maps), "shape": list(shape), "chunk": list(chunk),
            "voxel_size": list(voxel_size), "unit": unit, "thin": list(thin),
            "format": _FORMAT,
        }  # fmt: skip
        partial = path.with_name(f"{path.name}.partial")
        if path.exists():
            raise MetadataError(
                f"There already is something at {path}",
                do="Remove it and predict again; corrections are kept.",
            )
        with explained_writing("the prediction", path):
            shutil.rmtree(partial, ignore_errors=True)  # of a killed process
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                zarr.create_group(partial, attributes={_HEADER: header})
                _create_images(partial, header)
                partial.rename(path)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
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
        """Whether there is a store at a path."""
        return is_zarr(path) and _header_of(Path(path)) is not None

    def write(self, block: Block, prediction: BlockPrediction) -> None:
        """Write what was predicted for a block, on all levels; one thread at a time.

        Raises
        ------
        DiskFullError, ReadOnlyError
            If it cannot be written.
        """
        self._write(block, prediction, write_pyramid_block)

    def write_finest(self, block: Block, prediction: BlockPrediction) -> None:
        """Write what was predicted for a block on the finest level.

        Any number of processes may do so, each with blocks of its own.

        Raises
        ------
        DiskFullError, ReadOnlyError
            If it cannot be written.
        """
        self._write(block, prediction, write_finest_block)

    def _write(
        self, block: Block, prediction: BlockPrediction, write: WriteBlock
    ) -> None:
        raters = prediction.rater_probability
        by_name = {
            PROBABILITY: prediction.probability,
            LABELS: prediction.labels,
            **prediction.maps,
            RATER_PROBABILITY: None if raters is None else np.concatenate(raters),
        }
        with explained_writing("the prediction", self.path):
            for name in self.names:
                voxels = by_name[name]
                if voxels is not None:
                    write(self._group(name), block.write_box, voxels)

    def coarse_grid(self, level: int) -> BlockGrid:
        """Return how a coarse level is cut for :meth:`coarsen`; whole chunks."""
        step = self._steps(PROBABILITY)[level]
        chunk = zyx(step.array.chunks[-3:])
        return BlockGrid(
            zyx(step.array.shape[-3:]),
            zyx(_CHUNKS_AT_ONCE * c for c in chunk),
        )

    def coarse_blocks(self, level: int, boxes: Iterable[Box]) -> list[int]:
        """Return the blocks of :meth:`coarse_grid` that boxes of level 0 belong to."""
        grid, factor = self.coarse_grid(level), self._steps(PROBABILITY)[level].factor
        found: set[int] = set()
        for box in boxes:
            whole = box.aligned(factor)
            start = zyx(a // f for a, f in zip(whole.start, factor, strict=True))
            stop = zyx(b // f for b, f in zip(whole.stop, factor, strict=True))
            found.update(grid.touching(Box(start, stop)))
        return sorted(found)

    def coarsen(self, level: int, box: Box) -> None:
        """Write whole chunks of a coarse level from the level before it.

        Raises
        ------
        DiskFullError, ReadOnlyError
            If it cannot be written.
        """
        with explained_writing("the prediction", self.path):
            for name in self.names:
                coarsen_block(self._group(name), level, box)

    @property
    def n_levels(self) -> int:
        """How many levels all images have."""
        return len(self._steps(PROBABILITY))

    @property
    def names(self) -> tuple[str, ...]:
        """The images of the store: labels, probability, maps, those of raters."""
        raters = (RATER_PROBABILITY,) if self.rater_names else ()
        return (PROBABILITY, LABELS, *self.map_names, *raters)

    def read_labels(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx; 0 where nothing was predicted."""
        return self._read(LABELS, box)

    def read_probability(self, box: Box) -> np.ndarray:
        """Return foreground probabilities × 255, uint8 czyx."""
        return self._read(PROBABILITY, box)

    def read_map(self, name: str, box: Box) -> np.ndarray:
        """Return a map × 255, uint8 zyx."""
        return self._read(name, box)

    def read_rater_probability(self, box: Box) -> np.ndarray:
        """Return foreground probabilities of each rater × 255, uint8 rczyx."""
        return self.by_rater(self._read(RATER_PROBABILITY, box))

    def by_rater(self, channels: np.ndarray) -> np.ndarray:
        """Return channels of ``rater_probability``, (r · c, ...), as (r, c, ...)."""
        return channels.reshape(-1, len(self.class_names), *channels.shape[1:])

    def levels(self, name: str) -> list[zarr.Array[Any]]:
        """Return the arrays of an image of the store (:attr:`names`), finest first."""
        group = self._group(name)
        return [cast("zarr.Array[Any]", group[info.path]) for info in self.infos(name)]

    def infos(self, name: str) -> tuple[Level, ...]:
        """Return what is known of the levels of an image of the store."""
        return read_image(self.path / _place(name)).levels

    def factors(self, name: str) -> list[Zyx]:
        """Return how many finest voxels one voxel of each level stands for, zyx."""
        return coarsening(self.infos(name))

    def translations(self, name: str) -> list[tuple[float, float, float]]:
        """Return the physical place of each level's first voxel, zyx."""
        return [info.translation for info in self.infos(name)]

    def _read(self, name: str, box: Box) -> np.ndarray:
        if name not in self._finest:
            self._finest[name] = cast("zarr.Array[Any]", self._group(name)["0"])
        return np.asarray(self._finest[name][(..., *box.slices)])

    def _steps(self, name: str) -> list[LevelStep]:
        return level_steps(self._group(name))

    def _group(self, name: str) -> zarr.Group:
        if name not in self._groups:
            path = self.path / _place(name)
            self._groups[name] = zarr.open_group(path, mode=self._mode)
        return self._groups[name]


def _create_images(path: Path, header: dict[str, Any]) -> None:
    """Make the images of a store, all with the same levels and chunks."""
    common: dict[str, Any] = {
        "shape": zyx(header["shape"]), "chunk": zyx(header["chunk"]), "dtype": "uint8",
        "voxel_size": header["voxel_size"], "unit": header["unit"],
        "compressor": "labels",
    }  # fmt: skip
    levels = level_factors(common["shape"], common["voxel_size"])
    # The cells of each level lie inside one chunk, so that they belong to one block.
    owned = [f for f in levels if _divides(f, common["chunk"])]
    common["n_levels"] = len(owned)
    classes, raters = header["class_names"], header["rater_names"]
    probability = path / PROBABILITY
    create_image(probability, n_channels=len(classes), channel_names=classes, **common)
    labels = probability / "labels" / "prediction"
    rule: dict[str, Any] = {"attributes": {THIN: header["thin"]}}
    create_image(labels, label_of="../../", **rule, **common)
    register_labels(probability, "prediction")
    for name in header["maps"]:
        create_image(path / name, **common)
    if raters:
        create_image(
            path / RATER_PROBABILITY,
            n_channels=len(raters) * len(classes),
            channel_names=[f"{rater}: {name}" for rater in raters for name in classes],
            **common,
        )


def _divides(factor: Zyx, chunk: Zyx) -> bool:
    return not any(c % f for c, f in zip(chunk, factor, strict=True))


def _header_of(path: Path) -> dict[str, Any] | None:
    header = attributes_of(open_node(path)).get(_HEADER)
    is_known = isinstance(header, dict) and header.get("format") == _FORMAT
    return cast("dict[str, Any]", header) if is_known else None


def _place(name: str) -> str:
    return f"{PROBABILITY}/labels/prediction" if name == LABELS else name
