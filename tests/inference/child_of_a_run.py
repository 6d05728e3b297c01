"""A run of its own process, slow enough to be killed: ``child_of_a_run.py FOLDER``.

Its network adds one to every voxel, so that the right answer can be written down.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np

from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.events import BlockDone, Event
from napari_unetseg.geometry import Block, BlockGrid, Zyx
from napari_unetseg.inference.executors import PipelineExecutor, SerialExecutor
from napari_unetseg.inference.process_block import predict_steps
from napari_unetseg.inference.run import run_inference

SHAPE: Zyx = (12, 12, 400)
CHUNK: Zyx = (8, 16, 16)
GRID = BlockGrid(SHAPE, (8, 16, 64), halo=(2, 3, 5), stride=(2, 4, 4))
# −1 + 2 v / 200 = v / 100 − 1: every byte comes back from its normalised value.
NORMALISATION = Normalisation(low=(0.0,), high=(200.0,))


class PlusOne:
    """A network that adds one, with the outputs of a real one."""

    halo: Zyx = (2, 3, 5)
    stride: Zyx = (2, 4, 4)
    n_channels = 1
    class_names = ("cell", "fibre")
    rater_names = ("Ana", "Bo")
    map_names = ("total_uncertainty",)
    mvoxel_per_s = 0.0

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds

    def predict(self, voxels: np.ndarray, block: Block) -> BlockPrediction:
        threading.Event().wait(self._seconds)  # nobody sets it: a slow network
        assert voxels.dtype == np.float32
        assert voxels.shape == (1, *block.read_box.shape)
        inner = voxels[(0, *block.inner.slices)]
        plus_one = np.rint((inner + 1) * 100 + 1).astype(np.uint8)
        return BlockPrediction(
            labels=plus_one,
            probability=np.stack([plus_one, 255 - plus_one]),
            maps=dict.fromkeys(self.map_names, plus_one // 2),
            rater_probability=np.stack([[plus_one, plus_one], [plus_one // 3] * 2]),
        )

    def bytes_for(self, read_shape: Zyx) -> int:
        return 100 * int(np.prod(read_shape))


def store_in(folder: Path) -> PredictionStore:
    """Open the store of a run, or make it."""
    path = folder / "v1.zarr"
    if PredictionStore.exists(path):
        return PredictionStore.open(path, "r+")
    return PredictionStore.create(
        path,
        shape=SHAPE,
        voxel_size=(1.0, 1.0, 1.0),
        chunk=CHUNK,
        class_names=PlusOne.class_names,
        rater_names=PlusOne.rater_names,
        maps=PlusOne.map_names,
    )


def main(folder: Path, executor: str) -> None:
    """Predict all blocks and say each that is done."""

    def say(event: Event) -> None:
        if isinstance(event, BlockDone):
            sys.stdout.write(f"{event.index}\n")
            sys.stdout.flush()

    with DoneLog.open(folder / "log.jsonl", {"model": "plus one"}) as log:
        run_inference(
            GRID,
            tuple(range(len(GRID))),
            open_steps=lambda: predict_steps(
                Volume.open(folder / "volume.zarr"),
                NORMALISATION,
                PlusOne(seconds=0.02).predict,
                store_in(folder),
            ),
            log=log,
            executor=SerialExecutor() if executor == "serial" else PipelineExecutor(),
            on_event=say,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
