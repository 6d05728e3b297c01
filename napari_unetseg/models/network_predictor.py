"""A network in evaluation mode, with the passes and maps that were asked for."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from napari_unetseg.config import PredictConfig
from napari_unetseg.data.predictions import BlockPrediction
from napari_unetseg.errors import CorruptModelError, MemoryBudgetError
from napari_unetseg.geometry import Block, Box, Zyx, zyx
from napari_unetseg.models.backends.choice import choose_runner
from napari_unetseg.models.backends.runner import Runner
from napari_unetseg.models.planning import plan_patch
from napari_unetseg.models.predictor import check_channels, map_names
from napari_unetseg.models.sliding_window import blended
from napari_unetseg.models.store import ModelCard, read_card
from napari_unetseg.models.summary import Outputs, blank, fill

_LOG = logging.getLogger(__name__)

# Mirrored axes (of b c z y x) per number of passes; z is not mirrored because slices
# of anisotropic stacks may well have a direction.
_MIRRORS: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((),),
    2: ((), (4,)),
    4: ((), (4,), (3,), (3, 4)),
}


class NetworkPredictor:
    """Predicts blocks with a network, whatever engine runs it.

    Parameters
    ----------
    runner, card
        What runs the network, and the card that belongs to it.
    flips
        Mirrored passes that are averaged.
    mvoxel_per_s
        Of one pass, 0 if nobody measured it.
    """

    def __init__(
        self,
        runner: Runner,
        card: ModelCard,
        *,
        flips: Literal[1, 2, 4] = 1,
        mvoxel_per_s: float = 0.0,
    ) -> None:
        spec = card.spec
        self.card = card
        self.halo: Zyx = card.halo
        self.stride: Zyx = spec.stride
        self.n_channels = spec.in_channels
        self.class_names = card.class_names
        self.rater_names = card.raters if spec.has_raters else ()
        self.map_names = map_names(n_raters=spec.n_raters, n_members=flips)
        self.mvoxel_per_s = mvoxel_per_s
        self._mirrors = _MIRRORS[flips]
        self._runner = runner
        self._too_many_voxels: float = math.inf  # of a read box
        self._patches_at_a_time = runner.patches_at_a_time
        self._outputs = Outputs(
            n_classes=spec.n_channels_out,
            n_raters=len(self.rater_names),
            n_passes=flips,
            map_names=self.map_names,
        )

    @classmethod
    def load(
        cls,
        model_dir: Path | str,
        *,
        config: PredictConfig,
        sample: np.ndarray | None = None,
    ) -> Self:
        """Read a model version.

        Parameters
        ----------
        model_dir
            Folder with a card and weights.
        config
            Flips, backend, device and threads.
        sample
            Normalised voxels czyx on which backends are compared.

        Raises
        ------
        ModelNotFoundError, CorruptModelError, UnsafeCheckpointError, ModelMismatchError
            If the folder holds no model, or not one that can be trusted.
        BackendError
            If the backend that was chosen is not there.
        """
        folder = Path(model_dir)
        card = read_card(folder)
        runner, speed = choose_runner(folder, card, config=config, sample=sample)
        return cls(runner, card, flips=config.flips, mvoxel_per_s=speed)

    @property
    def backend(self) -> str:
        """The name of what runs the network."""
        return self._runner.name

    def predict(self, voxels: np.ndarray, block: Block) -> BlockPrediction:
        """Predict a block from normalised float32 czyx voxels of its read box.

        Where the memory does not suffice, the network gets fewer patches at a time, or
        the block is cut in two, and these again.

        Raises
        ------
        ModelMismatchError
            If the voxels have other channels than the model.
        MemoryBudgetError
            If the memory does not suffice for the smallest piece.
        CorruptModelError
            If the network answers with values that are no numbers.
        """
        check_channels(self.card.version, expected=self.n_channels, got=voxels.shape[0])
        if voxels.shape[1:] != block.read_box.shape:
            raise ValueError(f"Voxels {voxels.shape[1:]} are not those of {block}.")
        halves = self._halves(block)
        if block.read_box.n_voxels < self._too_many_voxels or not halves:
            try:
                return self._predict_whole(voxels, block)
            except MemoryBudgetError as error:
                if not halves:
                    raise
                _LOG.warning("cut in two: %s", error)
        # Not before the error is gone: it holds what took the memory.
        self._too_many_voxels = min(self._too_many_voxels, block.read_box.n_voxels)
        self._free_memory()
        sheet = blank(self._outputs, block.write_box)
        for half in halves:
            part = half.read_box.relative_to(block.read_box).slices
            found = self.predict(voxels[(slice(None), *part)], half)
            fill(sheet, half.write_box.relative_to(block.write_box), found)
        return sheet

    def _predict_whole(self, voxels: np.ndarray, block: Block) -> BlockPrediction:
        with torch.inference_mode(), _explained_memory(block):
            image = torch.from_numpy(self._padded(voxels))[None].to(self._runner.device)
            return self._summed_up(image, block.inner)

    def bytes_for(self, read_shape: Zyx) -> int:
        """Return an upper estimate of the memory of predicting one read box."""
        spec = self.card.spec
        padded = int(np.prod(spec.padded(read_shape)))
        n_logits = spec.n_channels_out * (1 + len(self.rater_names))
        answer = padded * (n_logits + len(self.map_names))  # bytes, at most
        # Of several passes, sums and entropy are kept, and the mirrored logits.
        sums = 4 * padded * (2 * n_logits + 1) if len(self._mirrors) > 1 else 0
        sums += self._outputs.slab_bytes
        images = 3 * 4 * padded * spec.in_channels
        if spec.is_tile_invariant:
            activations = self._runner.activation_bytes(read_shape)
        else:
            activations = self._runner.activation_bytes(self._patch)
            activations *= self._patches_at_a_time
        return answer + sums + images + activations

    def _halves(self, block: Block) -> tuple[Block, ...]:
        """Cut a block across its longest side; empty if that cannot be done."""
        spec, box = self.card.spec, block.write_box
        strides = [n // s for n, s in zip(box.shape, spec.stride, strict=True)]
        axis = int(np.argmax(box.shape))
        if not spec.is_tile_invariant or strides[axis] < 2:
            return ()
        middle = list(box.stop)
        middle[axis] = box.start[axis] + strides[axis] // 2 * spec.stride[axis]
        low = Box(box.start, zyx(middle))
        start = list(box.start)
        start[axis] = middle[axis]
        high = Box(zyx(start), box.stop)
        reads = [
            half.grown(self.halo).aligned(spec.stride).intersection(block.read_box)
            for half in (low, high)
        ]
        if block.read_box in reads:  # as much to read, and nothing won
            return ()
        return Block(block.index, low, reads[0]), Block(block.index, high, reads[1])

    @property
    def _patch(self) -> Zyx:
        spec = self.card.spec
        return self.card.patch or plan_patch(spec, (10**6,) * 3)

    def _padded(self, voxels: np.ndarray) -> np.ndarray:
        """Repeat the last voxels until the sizes are whole strides."""
        target = self.card.spec.padded(voxels.shape[1:])
        extra = [(0, t - n) for t, n in zip(target, voxels.shape[1:], strict=True)]
        if any(after for _, after in extra):
            voxels = np.pad(voxels, [(0, 0), *extra], mode="edge")
        return np.ascontiguousarray(voxels, dtype=np.float32)

    def _summed_up(self, image: Tensor, inner: Box) -> BlockPrediction:
        """Return what all mirrored passes say about a part of the image."""
        summary = self._runner.summary(self._outputs, inner)
        for axes in self._mirrors:
            logits = self._logits(image.flip(axes) if axes else image)
            summary.add(logits.flip(axes) if axes else logits)
        found = summary.result()
        if found is None:
            raise CorruptModelError(
                f"The network of model {self.card.version} answers with values that "
                "are no numbers",
                do="Choose another version, or train the model again.",
            )
        return found

    def _logits(self, image: Tensor) -> Tensor:
        """Return logits (1, heads x classes, z, y, x)."""
        spec = self.card.spec
        if spec.is_tile_invariant:
            return self._runner(image)
        while self._patches_at_a_time > 1:
            with suppress(torch.OutOfMemoryError):
                return self._blended(image)
            self._patches_at_a_time //= 2
            self._free_memory()
        return self._blended(image)

    def _blended(self, image: Tensor) -> Tensor:
        return blended(self._runner, image, self._patch, self.card.spec.stride,
                       batch=self._patches_at_a_time)  # fmt: skip

    def _free_memory(self) -> None:
        if self._runner.device.type == "cuda":
            torch.cuda.empty_cache()


@contextmanager
def _explained_memory(block: Block) -> Iterator[None]:
    """Turn torch's out-of-memory errors into a sentence."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        is_memory = isinstance(error, torch.OutOfMemoryError) or "can't alloc" in text
        if not is_memory:
            raise
        raise MemoryBudgetError(
            f"The memory does not suffice for a block of {block.read_box.shape} voxels",
            do="Choose a smaller block, or allow less memory.",
        ) from error
