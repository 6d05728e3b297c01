"""A network whose answer can be written down, and what a run of it needs."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unetseg.data.done_log import DoneLog
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.events import Event
from napari_unetseg.geometry import BlockGrid, Zyx
from napari_unetseg.inference import executors
from napari_unetseg.inference.dask_executor import DaskExecutor
from napari_unetseg.inference.dask_workers import dask_executor
from napari_unetseg.inference.executors import (
    Executor,
    PipelineExecutor,
    SerialExecutor,
)
from napari_unetseg.inference.process_block import predict_steps
from napari_unetseg.inference.run import RunSummary, run_inference

CHILD = Path(__file__).with_name("child_of_a_run.py")
NAMES = runpy.run_path(str(CHILD))
SHAPE: Zyx = NAMES["SHAPE"]
GRID: BlockGrid = NAMES["GRID"]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "PAUSE_S", 0.0)


@pytest.fixture
def child() -> Path:
    """A script that predicts slowly, to be killed."""
    return CHILD


@pytest.fixture(params=[SerialExecutor, PipelineExecutor])
def executor(request: pytest.FixtureRequest) -> Executor:
    made: Executor = request.param()
    return made


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskExecutor]:
    """Two worker processes on this machine."""
    pytest.importorskip("distributed")
    with dask_executor(None, workers=2) as made:
        yield made


@pytest.fixture
def voxels() -> np.ndarray:
    """Voxels without an empty block, below 250."""
    random = np.random.default_rng(0)
    return random.integers(1, 250, SHAPE, dtype=np.uint8)


@dataclass
class Run:
    """A run in the making; ``path`` holds its volume, store and log."""

    path: Path
    plus_one: Any

    @property
    def volume(self) -> Volume:
        return Volume.open(self.path / "volume.zarr")

    @property
    def store(self) -> PredictionStore:
        store: PredictionStore = NAMES["store_in"](self.path)
        return store

    def log(self) -> DoneLog:
        return DoneLog.open(self.path / "log.jsonl", {"model": "plus one"})

    def go(
        self, executor: Executor, events: list[Event] | None = None, **options: Any
    ) -> RunSummary:
        """Run over all blocks, or over ``indices``."""
        taken = [] if events is None else events
        steps = predict_steps(
            options.pop("volume", None) or self.volume,
            NAMES["NORMALISATION"],
            options.pop("predictor", self.plus_one).predict,
            options.pop("store", None) or self.store,
            missing=options.pop("missing", "fail"),
        )
        with self.log() as log:
            return run_inference(
                GRID,
                options.pop("indices", tuple(range(len(GRID)))),
                open_steps=lambda: steps,
                log=log,
                executor=executor,
                on_event=options.pop("on_event", taken.append),
                **options,
            )


@pytest.fixture
def make_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[np.ndarray], Run]:
    """Return a function that writes voxels as a volume and makes a run of them."""

    def make(voxels: np.ndarray, **image: Any) -> Run:
        path = tmp_path_factory.mktemp("run")
        group = create_image(
            path / "volume.zarr",
            shape=SHAPE,
            dtype=voxels.dtype,
            chunk=(8, 16, 16),
            voxel_size=(1, 1, 1),
            n_levels=1,
            **image,
        )
        group["0"][...] = voxels
        return Run(path, NAMES["PlusOne"]())

    return make


@pytest.fixture
def run(make_run: Callable[[np.ndarray], Run], voxels: np.ndarray) -> Run:
    return make_run(voxels)


def contents(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays below a path, decoded, by their place."""
    return {
        str(file.parent.relative_to(path)): np.asarray(
            zarr.open_array(file.parent)[...]
        )
        for file in sorted(path.rglob("zarr.json"))
        if '"node_type": "array"' in file.read_text()
    }


@pytest.fixture
def assert_same_contents() -> Callable[[Path, Path], None]:
    """Return a check that two stores hold the same voxels, and the same bytes."""

    def check(one: Path, other: Path) -> None:
        a, b = contents(one), contents(other)
        assert a.keys() == b.keys()
        assert len(a) >= 3
        for place in a:
            np.testing.assert_array_equal(a[place], b[place], err_msg=place)
        assert files_of(one) == files_of(other)

    return check


def files_of(folder: Path) -> dict[str, bytes]:
    """Return all files under a folder, by their place."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class Faulty:
    """A network that raises for one block, until somebody repairs it."""

    def __init__(self, predictor: Any, index: int, error: Exception) -> None:
        self.__dict__.update(vars(predictor))
        self._predictor, self._index, self._error = predictor, index, error
        self.is_faulty = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def predict(self, voxels: np.ndarray, block: Any) -> Any:
        if self.is_faulty and block.index == self._index:
            raise self._error
        return self._predictor.predict(voxels, block)


@pytest.fixture
def faulty(run: Run) -> Callable[[int, Exception], Faulty]:
    """Return a predictor that fails on one block, until ``is_faulty`` is False."""
    return lambda index, error: Faulty(run.plus_one, index, error)
