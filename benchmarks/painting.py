"""How long the window's thread is busy with a brush, on planes of 16384².

A real napari window with the dock on a project over 4096 × 16384 × 16384 voxels,
sparse on disk. A mouse drags the brush over 60 pixels, again and again; each move, each
release (the stroke goes to disk) and each undo is timed from the event to its return.
The same drag paints into a plain napari labels layer over a zarr array of this shape.

Drawing by the graphics card follows later and is told beside: here it is software.
Needs a display; ``.ci/with-display`` gives a virtual one.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np
import zarr
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from benchmarks.common import Target, parse_args, write_report
from napari_unetseg.app.project import Project
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.geometry import Zyx
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.launch import build_window

SHAPE: Zyx = (4096, 16384, 16384)
CHUNK: Zyx = (64, 128, 128)
CENTRE = (2048.0, 8192.0, 8192.0)
DRAG_PX, STEP_PX = 60, 3
BRUSHES_2D, BRUSH_3D = (5, 20, 60), 10
MOVE_MS, COMMIT_MS, UNDO_MS, RATIO = 3.0, 30.0, 30.0, 30.0


class Mouse:
    """A mouse whose events are timed: each is sent, and returns when it is handled."""

    def __init__(self, canvas: QWidget) -> None:
        self._canvas = canvas
        self.moves: list[float] = []
        self.releases: list[float] = []
        self.draws: list[float] = []

    def drag(self, start: QPoint, *, length: int = DRAG_PX) -> None:
        """Press, move to the right, release."""
        self._send(QEvent.Type.MouseMove, start, pressed=False)
        self._send(QEvent.Type.MouseButtonPress, start)
        self._draw()
        for dx in range(STEP_PX, length + 1, STEP_PX):
            place = start + QPoint(dx, dx // 3)
            self.moves.append(self._send(QEvent.Type.MouseMove, place))
            self.draws.append(self._draw())
        self.releases.append(self._send(QEvent.Type.MouseButtonRelease, place))
        self._draw()

    def _send(self, kind: QEvent.Type, at: QPoint, *, pressed: bool = True) -> float:
        is_move = kind == QEvent.Type.MouseMove
        button = Qt.MouseButton.NoButton if is_move else Qt.MouseButton.LeftButton
        held = Qt.MouseButton.LeftButton if pressed else Qt.MouseButton.NoButton
        if kind == QEvent.Type.MouseButtonRelease:
            held = Qt.MouseButton.NoButton
        event = QMouseEvent(
            kind,
            QPointF(at),
            QPointF(self._canvas.mapToGlobal(at)),
            button,
            held,
            Qt.KeyboardModifier.NoModifier,
        )
        return timed(lambda: QApplication.sendEvent(self._canvas, event))

    def _draw(self) -> float:
        return timed(QApplication.processEvents)


def timed(do: Callable[[], object]) -> float:
    """Return how many milliseconds something took."""
    started = time.perf_counter()
    do()
    return (time.perf_counter() - started) * 1e3


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, 95th percentile and mean."""
    return {
        "p50": round(float(np.percentile(values, 50)), 3),
        "p95": round(float(np.percentile(values, 95)), 3),
        "mean": round(float(np.mean(values)), 3),
        "n": len(values),
    }


def places(hand: Hand, n: int, seed: int = 0) -> list[QPoint]:
    """Return pixels from which a drag stays on the canvas and clear of its edges."""
    size, random = hand.canvas.size(), np.random.default_rng(seed)
    xs = random.integers(60, size.width() - DRAG_PX - 60, n)
    ys = random.integers(60, size.height() - DRAG_PX - 60, n)
    return [QPoint(int(x), int(y)) for x, y in zip(xs, ys, strict=True)]


def look_at_the_centre(viewer: napari.Viewer, hand: Hand) -> None:
    """Show the middle plane around its middle, a voxel per pixel."""
    viewer.dims.set_point(0, CENTRE[0])
    viewer.scene.camera.center = CENTRE
    viewer.scene.camera.zoom = 1.0
    hand.rest(1500)


def make_project(folder: Path) -> Path:
    """Make a volume that is all empty space, and a project over it."""
    volume, project = folder / "large.zarr", folder / "large.unetseg"
    create_image(
        volume, shape=SHAPE, dtype="uint8", chunk=CHUNK, voxel_size=(1.0, 1.0, 1.0)
    )
    Project.create(project, volume, class_names=("cell", "fibre")).close()
    return project


def ours(folder: Path, n_strokes: int, n_flat: int) -> dict[str, Any]:
    """Paint in the window of this program."""
    viewer, window = build_window(make_project(folder))
    viewer.window.resize(1280, 800)
    hand = Hand(viewer)
    hand.rest(1000)
    look_at_the_centre(viewer, hand)
    session, tools = window.session, window.edits
    tools.set_tool("brush")
    figures: dict[str, Any] = {}
    for brush, dimensions in [*((b, 2) for b in BRUSHES_2D), (BRUSH_3D, 3)]:
        tools.set_brush(size=brush, in_3d=dimensions == 3)
        mouse = Mouse(hand.canvas)
        for number, start in enumerate(places(hand, n_strokes, seed=brush)):
            session.set_class(1 + number % 2)
            mouse.drag(start)
        undos = []
        for _ in range(n_strokes):
            undos.append(timed(session.undo))
            QApplication.processEvents()
        figures[f"brush {brush} in {dimensions}D"] = {
            "move_ms": spread(mouse.moves),
            "commit_ms": spread(mouse.releases),
            "undo_ms": spread(undos),
            "draw_ms": spread(mouse.draws),
        }
        print(brush, dimensions, figures[f"brush {brush} in {dimensions}D"], flush=True)
    tools.set_brush(size=BRUSHES_2D[0], in_3d=False)
    figures["memory_mb"] = memory_over_strokes(hand, n_flat)
    n_rows = len(session.project.corrections.strokes()) if session.project else 0
    figures["journal_rows"] = n_rows
    viewer.close()
    return figures


def memory_over_strokes(hand: Hand, n: int) -> dict[str, float]:
    """Return the memory of the process as strokes go by, after some to settle."""
    mouse, memory = Mouse(hand.canvas), {}
    for number, start in enumerate(places(hand, n + 1, seed=1)):
        mouse.drag(start, length=9)
        if number in (n // 10, n):
            memory[f"after {number}"] = round(resident_mb(), 1)
    print(memory, flush=True)
    return memory


def resident_mb() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def plain_napari(folder: Path, n_strokes: int) -> dict[str, Any]:
    """Paint into a labels layer over a zarr array, as napari does by itself."""
    array = zarr.create_array(
        folder / "labels.zarr", shape=SHAPE, chunks=CHUNK, dtype="uint8"
    )
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    viewer.dims.ndim = 3
    hand = Hand(viewer)
    layer = viewer.add_labels(array)
    look_at_the_centre(viewer, hand)
    layer.mode, layer.selected_label = "paint", 1
    figures: dict[str, Any] = {}
    for brush in BRUSHES_2D:
        layer.brush_size = brush
        mouse = Mouse(hand.canvas)
        for start in places(hand, n_strokes, seed=brush):
            mouse.drag(start)
        undos = [timed(layer.undo) for _ in range(n_strokes)]
        figures[f"brush {brush} in 2D"] = {
            "move_ms": spread(mouse.moves),
            "commit_ms": spread(mouse.releases),
            "undo_ms": spread(undos),
        }
        print("plain napari", brush, figures[f"brush {brush} in 2D"], flush=True)
    viewer.close()
    return figures


def main() -> None:
    """Paint in both, and compare."""
    arguments = parse_args(__doc__.splitlines()[0])
    n_strokes, n_flat, n_plain = (10, 200, 1) if arguments.quick else (40, 2000, 1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        mine = ours(folder, n_strokes, n_flat)
        theirs = plain_napari(folder, n_plain)
    brushes = {name: f for name, f in mine.items() if name.startswith("brush")}
    worst = {
        what: max(f[what]["p95"] for f in brushes.values())
        for what in ("move_ms", "commit_ms", "undo_ms")
    }
    ratio = min(
        theirs[name]["move_ms"]["mean"] / mine[name]["move_ms"]["mean"]
        for name in theirs
    )
    targets = [
        Target("move_p95_ms", worst["move_ms"], "<=", MOVE_MS),
        Target("commit_p95_ms", worst["commit_ms"], "<=", COMMIT_MS),
        Target("undo_p95_ms", worst["undo_ms"], "<=", UNDO_MS),
        Target("ratio_napari_gui_time", ratio, ">=", RATIO),
    ]
    write_report(arguments.json, {"ours": mine, "plain_napari": theirs}, targets)


if __name__ == "__main__":
    main()
