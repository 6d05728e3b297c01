"""How long the window stands still while the network works.

A real napari window with the dock, on a volume that does not fit one block. A hand
turns slices over and paints strokes, with mouse and key events, while a timer in the
event loop notes how late it comes. The same is done with nothing running, with the job
in a child process as the product does it, and, as the baseline, with the very same job
in a thread of the window's process, as plugins usually do. Layers of a prediction cost
time, too: with nothing running it is watched before they are there, and after. How long
the window's thread is busy with a move of the brush, and with the release that brings
the stroke to disk, is told for each case.

Needs a display; ``.ci/with-display`` gives a virtual one.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from qtpy.QtCore import QPoint, Qt, QTimer

from benchmarks.common import Target, parse_args, write_report
from benchmarks.painting import Mouse, spread
from napari_unetseg.app import actions
from napari_unetseg.app.project import Project
from napari_unetseg.app.sample import make_project_with_default_model
from napari_unetseg.config import PredictConfig, TrainConfig
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.phantom import Phantom, make_phantom, write_phantom
from napari_unetseg.errors import Cancelled
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.launch import build_window

TICK_MS = 5
STALL_MS, OPEN_S = 200.0, 1.0
LARGE: Zyx = (10_000, 10_000, 10_000)
LARGE_CHUNK: Zyx = (64, 128, 128)
LEAST_USES = 10
STEPS = 100_000  # training is stopped when there has been enough of it


OPEN_DOCK = """
import time, napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=True)
QApplication.processEvents()
started = time.perf_counter()
from napari_unetseg.viewer.launch import main_widget
main_widget(viewer)
QApplication.processEvents()
print(time.perf_counter() - started)
viewer.close()
"""


OPEN_LARGE = """
import sys, time
from qtpy.QtWidgets import QApplication
from napari_unetseg.viewer.launch import build_window
viewer, dock = build_window()
calm = time.perf_counter() + 2
while time.perf_counter() < calm:
    QApplication.processEvents()
started = time.perf_counter()
if sys.argv[1] == "ours":
    dock.session.open_path(sys.argv[2])
else:
    import zarr
    viewer.add_image(zarr.open_array(sys.argv[2], mode="r"))
QApplication.processEvents()
print(time.perf_counter() - started)
viewer.close()
"""


@dataclass(frozen=True)
class Effort:
    """Shape of the volume and of its blocks, zyx; how long each case is watched.

    Blocks are small, so that the prediction lasts, and layers are often refreshed.
    """

    shape: Zyx
    block: Zyx
    seconds: float


CELL: Zyx = (64, 256, 256)  # the volume is this phantom, several times over
FULL = Effort((128, 512, 512), (32, 128, 128), 60.0)
QUICK = Effort(CELL, (32, 64, 64), 20.0)


@dataclass
class Watch:
    """A timer of the event loop that notes how late it comes, in milliseconds."""

    late: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._last = time.perf_counter()
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.append(max(0.0, (now - self._last) * 1e3 - TICK_MS))
        self._last = now

    def stop(self) -> dict[str, float]:
        """Return what was seen."""
        self._tick()
        self._timer.stop()
        late = np.asarray(self.late)
        return {
            "stall_max_ms": round(float(late.max()), 1),
            "stall_p99_ms": round(float(np.percentile(late, 99)), 1),
            "stalls_over_50_ms": int((late > 50).sum()),
            "watched_s": round(float(late.sum() + TICK_MS * late.size) / 1e3, 1),
        }


class Desk:
    """A window on a project, and a hand that keeps using it."""

    def __init__(self, project: Path, seconds: float) -> None:
        self._seconds = seconds
        self.viewer, self._window = build_window(project)
        self.session = self._window.session
        self.viewer.window.resize(1280, 800)
        self._hand = Hand(self.viewer)
        self._hand.rest(1000)
        self.session.set_annotator("Ana")

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()

    def watch(
        self,
        start: Callable[[], object] | None = None,
        is_running: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Start something and use the window until it ends or was watched enough."""
        n_before = self._n_strokes()
        watch, mouse = Watch(), Mouse(self._hand.canvas)
        if start is not None:
            start()
        end, n_done = time.monotonic() + self._seconds, 0
        while time.monotonic() < end and (is_running is None or is_running()):
            self._use(mouse, n_done)
            n_done += 1
        if n_done < LEAST_USES:
            raise RuntimeError(f"What was to be watched ended after {n_done} slices.")
        seen = watch.stop()
        return {
            **seen,
            "strokes_on_disk": self._n_strokes() - n_before,
            "move_ms": spread(mouse.moves),
            "release_ms": spread(mouse.releases),
            "slices_and_strokes": n_done,
        }

    def stop(self) -> None:
        """Stop the job of the session and wait until it is gone."""
        self.session.cancel()
        self._hand.wait_until(
            lambda: self.session.job.is_idle, what="the job to stop", seconds=120
        )

    def _use(self, mouse: Mouse, number: int) -> None:
        """Turn over a slice; each fifth time paint two strokes as well."""
        forth = number // 10 % 2 == 0
        self._hand.press(Qt.Key.Key_Right if forth else Qt.Key.Key_Left)
        self._hand.rest(100)
        if number % 5 == 0:
            self._hand.press(Qt.Key.Key_B)
            centre = self._hand.canvas.rect().center()
            for key in (Qt.Key.Key_1, Qt.Key.Key_2):  # the second changes the first
                self._hand.press(key)
                mouse.drag(centre + QPoint(0, 2 * (number % 7)))
            self._hand.rest(100)

    def _n_strokes(self) -> int:
        assert self.session.project is not None
        return len(self.session.project.corrections.strokes())


def make_project(folder: Path, shape: Zyx) -> Path:
    """Make a volume and a project with a model and a few labelled sections."""
    volume, project = folder / "phantom.zarr", folder / "phantom.unetseg"
    cell = make_phantom(CELL, seed=11, contrast="shifted")
    repeats = [n // c for n, c in zip(shape, CELL, strict=True)]
    image, truth = np.tile(cell.image, repeats), np.tile(cell.truth, repeats)
    write_phantom(Phantom(image, truth, {}), volume)
    make_project_with_default_model(project, volume)
    with Project.open(project) as opened:
        for z in range(4, shape[0], 16):
            box = Box((z, 0, 0), (z + 1, 128, 128))
            opened.corrections.commit(
                box,
                np.ones(box.shape, bool),
                truth[box.slices],
                annotator="Ana",
                tool="brush",
            )
    return project


class Measured:
    """All cases, one after the other in one window."""

    def __init__(self, folder: Path, effort: Effort) -> None:
        self._folder, self._effort = folder, effort
        self._project = make_project(folder, effort.shape)
        self._other = folder / "other.unetseg"
        shutil.copytree(self._project, self._other)

    def run(self) -> dict[str, Any]:
        """Return what was seen in each case."""
        desk = Desk(self._project, self._effort.seconds)
        try:
            nothing = desk.watch()
            predict = desk.watch(
                lambda: desk.session.predict(block=self._effort.block),
                lambda: not desk.session.job.is_idle,
            )
            desk.stop()
            predicted = desk.watch()
            train = desk.watch(
                lambda: desk.session.finetune(steps=STEPS),
                lambda: not desk.session.job.is_idle,
            )
            desk.stop()
            return {
                "nothing running": nothing,
                "predict, child process": predict,
                "nothing running, predicted": predicted,
                "train, child process": train,
                "predict, thread of the window": self._threaded(desk, self._predict),
                "train, thread of the window": self._threaded(desk, self._train),
            }
        finally:
            desk.close()

    def _threaded(
        self, desk: Desk, action: Callable[[Callable[[], bool]], object]
    ) -> dict[str, Any]:
        stop = threading.Event()
        thread = threading.Thread(target=action, args=(stop.is_set,), daemon=True)
        figures = desk.watch(thread.start, thread.is_alive)
        stop.set()
        thread.join()
        return figures

    def _predict(self, is_cancelled: Callable[[], bool]) -> None:
        config = PredictConfig(block=self._effort.block)
        actions.predict(self._other, config, is_cancelled=is_cancelled)

    def _train(self, is_cancelled: Callable[[], bool]) -> None:
        config = TrainConfig(parent="v1", steps=STEPS)
        with contextlib.suppress(Cancelled):
            actions.train(self._other, config, is_cancelled=is_cancelled)


def starting(repeats: int = 5) -> dict[str, float]:
    """Return how long ``--help`` takes, and the dock after napari; medians, seconds."""
    program = Path(sys.executable).with_name("napari-unetseg")
    helps, docks = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run([program, "--help"], check=True, capture_output=True)
        helps.append(time.perf_counter() - started)
        docks.append(seconds_of(OPEN_DOCK))
    return {
        "help_s": round(statistics.median(helps), 2),
        "dock_after_napari_s": round(statistics.median(docks), 2),
    }


def opening(folder: Path, repeats: int = 3) -> dict[str, float]:
    """Return how long a terabyte takes until it is seen; medians, seconds.

    With and without a pyramid, and napari's own layer of the one without. No voxel is
    on disk: what is measured is what the window does, not the disk.
    """
    plain, pyramid = folder / "plain.zarr", folder / "pyramid.zarr"
    options: Any = {"shape": LARGE, "dtype": "uint8"}
    zarr.create_array(plain, chunks=LARGE_CHUNK, **options)
    create_image(pyramid, chunk=LARGE_CHUNK, voxel_size=(1, 1, 1), **options)
    cases = {"napari_add_image_plain_s": ("napari", plain)}
    for image in (plain, pyramid):
        project = image.with_suffix(".unetseg")
        make_project_with_default_model(project, image)
        cases[f"open_{image.stem}_s"] = ("ours", project)
    return {
        name: round(
            statistics.median(
                seconds_of(OPEN_LARGE, who, str(path)) for _ in range(repeats)
            ),
            2,
        )
        for name, (who, path) in cases.items()
    }


def seconds_of(script: str, *arguments: str) -> float:
    """Return what a script prints last, run by another interpreter."""
    command = [sys.executable, "-c", script, *arguments]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(said.stdout.split()[-1])


def main() -> None:
    """Watch the window and write the report."""
    arguments = parse_args("Stalls of the window while it predicts and trains.")
    effort = QUICK if arguments.quick else FULL
    with tempfile.TemporaryDirectory() as scratch:
        figures = {
            "start": starting(),
            "terabyte": opening(Path(scratch)),
            **Measured(Path(scratch), effort).run(),
        }
    for name, seen in figures.items():
        print(f"{name:32} {seen}")
    targets = [
        Target(
            f"stall_max_ms_{verb}",
            figures[f"{verb}, child process"]["stall_max_ms"],
            "<=",
            STALL_MS,
        )
        for verb in ("predict", "train")
    ]
    calm, busy = (
        figures[case]["stall_p99_ms"]
        for case in ("nothing running", "predict, child process")
    )
    targets.append(Target("stall_p99_ratio_whole_volume", busy / calm, "<=", 1.5))
    targets += [
        Target(name, seconds, "<=", OPEN_S)
        for name, seconds in figures["terabyte"].items()
        if name.startswith("open_")
    ]
    write_report(arguments.json, {"volume_shape": effort.shape, **figures}, targets)


if __name__ == "__main__":
    main()
