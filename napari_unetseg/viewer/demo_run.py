"""The demo that runs by itself: the whole loop in a real window, step by step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QPushButton, QWidget

from napari_unetseg.data.volume import Volume
from napari_unetseg.events import Outcome, RunFinished
from napari_unetseg.interactive.simulated_annotator import (
    DrawnPath,
    paths_in_slice,
    worst_slices,
)
from napari_unetseg.viewer.demo_corrections import CorrectionTour
from napari_unetseg.viewer.demo_scene import SUMMARY, Scene
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.launch import build_window
from napari_unetseg.viewer.panels.export import ExportPanel
from napari_unetseg.viewer.panels.learn import LearnPanel
from napari_unetseg.viewer.panels.versions import VersionList

WINDOW = (1280, 800)
ANNOTATOR = "Ana"
N_SLICES, PATHS_PER_SLICE = 8, 6
PATIENCE_S = 900.0  # a first model on a slow machine
DRAWN_MS = 900  # layers follow what is on disk at most twice a second
_CTRL = Qt.KeyboardModifier.ControlModifier
_SHIFT = Qt.KeyboardModifier.ShiftModifier


@dataclass(frozen=True)
class Step:
    """One step of the demo and how long it took."""

    title: str
    said: str
    seconds: float


class DemoRun:
    """A window, a hand that uses it, and a record of what happened."""

    def __init__(self, scene: Scene, output: Path) -> None:
        self._scene, self._output = scene, output
        self.steps: list[Step] = []
        self.summary: dict[str, Any] = {}
        self._ends: list[tuple[str, RunFinished]] = []
        self._before: np.ndarray | None = None
        self._pictures = 0
        self._started = time.monotonic()
        self._viewer, self._window = build_window()
        self._session = self._window.session
        self._session.job_finished.connect(self._on_end)
        qt_window = self._viewer.window._qt_window  # noqa: SLF001
        qt_window.resize(*WINDOW)
        self._hand = Hand(self._viewer)
        self._hand.rest(500)

    def run(self) -> None:
        """Do all steps; what fails is raised."""
        steps: list[tuple[str, Callable[[], str]]] = [("open", self._open)]
        if not self._scene.has_model:
            steps += [("label", self._label), ("new model", self._train_new)]
        steps += [
            ("predict", self._predict),
            ("disagreement", self._disagreement),
            ("correct", self._correct),
            ("click", self._click),
            ("undo and redo", self._undo_redo),
            ("one object", self._correct_one_object),
            ("fine-tune", self._finetune),
            ("export", self._export),
        ]
        for title, step in steps:
            started = time.monotonic()
            said = step()
            self.steps.append(Step(title, said, time.monotonic() - started))
        self._finish()

    def close(self) -> None:
        """Close the window."""
        self._viewer.close()
        QApplication.processEvents()

    # --- the steps ---------------------------------------------------------------

    def _open(self) -> str:
        self._session.open_path(self._scene.project)
        self._hand.wait_until(
            lambda: self._window.layers.editable is not None, what="the layers"
        )
        project = self._session.project
        assert project is not None
        self._session.set_annotator(ANNOTATOR)
        self._show_slice(self._scene.box.centre[0])
        self._show_card("volume")
        self._picture("volume")
        self.summary["volume_shape"] = list(project.volume.shape)
        shape = " × ".join(str(n) for n in project.volume.shape)
        return f"{shape} voxels"

    def _label(self) -> str:
        """Paint some objects, and some of what is around them."""
        truth = self._scene.truth
        objects = self._draw(np.zeros_like(truth), n_slices=3)
        background = self._draw(np.where(truth == 0, 1, truth), n_slices=3)
        return f"objects: {objects}; background: {background}"

    def _train_new(self) -> str:
        self._session.train_new(steps=150, preset="S")
        return self._learned()

    def _predict(self) -> str:
        self._show_card("predict")
        self._hand.press(Qt.Key.Key_P)
        finished = self._wait_for("predict")
        result = finished.result
        self._hand.rest(DRAWN_MS)
        self._picture("prediction")
        self._before = self._predicted()
        speed = result["voxels"] / max(result["seconds"], 1e-9) / 1e6
        self.summary["blocks"] = result["done"] + result["empty"]
        self.summary["predict_mvox_per_s"] = round(speed, 3)
        n_blocks = self.summary["blocks"]
        return f"{n_blocks} block{'s' * (n_blocks > 1)}, {speed:.2f} Mvoxel/s"

    def _disagreement(self) -> str:
        self._show_card("review")
        self._hand.press(Qt.Key.Key_D)
        self._hand.wait_until(
            lambda: bool(self._session.worklist), what="the worklist", seconds=30
        )
        self._hand.rest(600)
        self._picture("disagreement")
        self._hand.press(Qt.Key.Key_D)
        return f"{len(self._session.worklist)} regions to look at"

    def _correct(self) -> str:
        self._show_card("correct")
        assert self._before is not None
        said = self._draw(self._before, n_slices=N_SLICES)
        self._picture("correction")
        return said

    def _click(self) -> str:
        """Click on the largest object of the middle slice; keep it if it is right."""
        self._hand.press(Qt.Key.Key_C)
        z = self._scene.box.centre[0]
        self._show_slice(z)
        paths = paths_in_slice(
            np.zeros_like(self._truth_at(z)), self._truth_at(z), z, n_paths=3
        )
        for path in (p for p in paths if p.class_id):
            self._hand.click(self._world(path.z, *path.points[len(path.points) // 2]))
            preview = self._session.preview
            if preview is None:
                continue
            inside = self._scene.box.intersection(preview.box)
            truth = self._scene.truth[inside.relative_to(self._scene.box).slices]
            mask = preview.mask[inside.relative_to(preview.box).slices]
            right = float((truth[mask] == preview.class_id).mean()) if mask.any() else 0
            if right > 0.9:
                self._hand.press(Qt.Key.Key_Return)
                return f"{preview.n_voxels} voxels accepted, {right:.0%} right"
            self._hand.press(Qt.Key.Key_Escape)
        return "nothing worth accepting"

    def _undo_redo(self) -> str:
        project = self._session.project
        assert project is not None
        before = project.corrections.n_strokes
        self._hand.press(Qt.Key.Key_Z, _CTRL)
        undone = project.corrections.n_strokes
        self._hand.press(Qt.Key.Key_Z, _CTRL | _SHIFT)
        if undone != before - 1 or project.corrections.n_strokes != before:
            raise RuntimeError(f"Undo went from {before} to {undone} strokes.")
        self.summary["strokes"] = before
        return f"{before} strokes kept"

    def _correct_one_object(self) -> str:
        tour = CorrectionTour(self._viewer, self._window, self._hand, self._save)
        return tour.run(self._scene.box)

    def _finetune(self) -> str:
        self._show_card("learn")
        self._hand.press(Qt.Key.Key_T)
        self._hand.wait_until(
            lambda: len(self._steps_seen()) > 30 or bool(self._end_of("train")),
            what="training steps",
            seconds=PATIENCE_S,
        )
        self._picture("learning")
        said = self._learned()
        self._read_report()
        return said

    def _export(self) -> str:
        self._show_card("export")
        target = self._output / "segmentation.zarr"
        panel = self._window.panels["export"]
        assert isinstance(panel, ExportPanel)
        panel.set_target(target)
        self._hand.push(_button(panel, "export_button"))
        self._wait_for("export")
        self._hand.rest(300)
        self._picture("export")
        exported = Volume.open(target)
        self.summary["exported"] = str(target)
        return f"{target}, {len(exported.levels)} levels"

    def _finish(self) -> None:
        assert self._before is not None
        project = self._session.project
        assert project is not None
        said = project.corrections.read_all(self._scene.box)
        unseen = said == project.corrections.unset
        after = self._predicted()
        truth = self._scene.truth
        self.summary["dice_before"] = _dice(self._before, truth, unseen)
        self.summary["dice_after"] = _dice(after, truth, unseen)
        self.summary["seconds"] = round(time.monotonic() - self._started, 1)
        self.summary["finished"] = True
        (self._output / SUMMARY).write_text(json.dumps(self.summary, indent=2) + "\n")

    # --- what the steps are made of ------------------------------------------------

    def _show_card(self, name: str) -> None:
        """Open one card of the dock, and close those that are open."""
        for key, panel in self._window.panels.items():
            if panel.is_open != (key == name):
                self._hand.push(panel.header)

    def _draw(self, predicted: np.ndarray, *, n_slices: int) -> str:
        """Correct the worst slices with brush and eraser."""
        truth, n_drawn = self._scene.truth, 0
        for inside in worst_slices(predicted, truth, n=n_slices):
            z = inside + self._scene.box.start[0]
            self._show_slice(z)
            for path in paths_in_slice(
                predicted[inside], truth[inside], z, n_paths=PATHS_PER_SLICE
            ):
                self._draw_path(path)
                n_drawn += 1
        return f"{n_drawn} strokes in {n_slices} slices"

    def _draw_path(self, path: DrawnPath) -> None:
        self._hand.press(Qt.Key.Key_B if path.class_id else Qt.Key.Key_E)
        if path.class_id:
            self._hand.press(Qt.Key(Qt.Key.Key_0 + path.class_id))
        edits = self._window.edits
        for _ in range(abs(path.brush_size - edits.brush.size)):
            larger = path.brush_size > edits.brush.size
            key = Qt.Key.Key_BracketRight if larger else Qt.Key.Key_BracketLeft
            self._hand.press(key, pause_ms=1)
        self._hand.drag([self._world(path.z, y, x) for y, x in path.points])

    def _learned(self) -> str:
        finished = self._wait_for("train")
        dice = finished.result["metrics"].get("dice", {})
        self.summary["promoted"] = finished.result["promoted"]
        self.summary["verdict"] = finished.result["verdict"]
        if not finished.result["promoted"]:
            self._use_candidate()
        if self._session.has_last_prediction:
            self._wait_for("predict")
        named = ", ".join(f"{name} {value:.2f}" for name, value in dice.items())
        version, verdict = finished.result["version"], finished.result["verdict"]
        return f"{version}, held-out Dice {named or 'unknown'}. {verdict}"

    def _use_candidate(self) -> None:
        """Use a new version all the same, as who wants to see what it says does."""
        versions = self._versions()
        self._hand.wait_until(versions.button.isEnabled, what="the candidate")
        self._save("candidate")
        self._hand.push(versions.button)

    def _read_report(self) -> None:
        """Look at how the version in use compared with the one before."""
        versions = self._versions()
        project = self._session.project
        assert project is not None
        versions.select(str(project.active_model))
        self._hand.rest(DRAWN_MS)
        self._save("versions")
        versions.select(project.models.versions()[0])
        self._hand.push(versions.comparison.button)
        self._hand.rest(600)
        self._save("comparison")
        self._hand.press(Qt.Key.Key_Escape)

    def _versions(self) -> VersionList:
        panel = self._window.panels["learn"]
        assert isinstance(panel, LearnPanel)
        return panel.versions

    def _wait_for(self, verb: str) -> RunFinished:
        """Wait for the next end of a job; a failed one ends the demo."""
        self._hand.wait_until(
            lambda: bool(self._end_of(verb)), what=f"{verb} to end", seconds=PATIENCE_S
        )
        finished = self._end_of(verb)[0]
        self._ends.remove((verb, finished))
        if finished.outcome is not Outcome.DONE:
            raise RuntimeError(finished.error or f"{verb} was stopped.")
        return finished

    def _end_of(self, verb: str) -> list[RunFinished]:
        return [finished for ended, finished in self._ends if ended == verb]

    def _on_end(self, verb: str, finished: RunFinished) -> None:
        self._ends.append((verb, finished))

    def _steps_seen(self) -> list[Any]:
        return self._session.training_steps

    def _predicted(self) -> np.ndarray:
        predictions = self._session.predictions
        assert predictions is not None
        return predictions.read_labels(self._scene.box)

    def _truth_at(self, z: int) -> np.ndarray:
        plane: np.ndarray = self._scene.truth[z - self._scene.box.start[0]]
        return plane

    def _show_slice(self, z: int) -> None:
        """Go there as a person does, with the arrow keys."""
        dims = self._viewer.dims
        axis = dims.order[0]
        for _ in range(abs(z - dims.current_step[axis])):
            key = Qt.Key.Key_Right if z > dims.current_step[axis] else Qt.Key.Key_Left
            self._hand.press(key, pause_ms=1)
        self._hand.rest(150)

    def _world(self, z: int, y: int, x: int) -> tuple[float, ...]:
        project = self._session.project
        assert project is not None
        y, x = y + self._scene.box.start[1], x + self._scene.box.start[2]
        level = project.volume.levels[0]
        return tuple(
            n * size + at
            for n, size, at in zip(
                (z, y, x), level.voxel_size, level.translation, strict=True
            )
        )

    def _picture(self, name: str) -> None:
        self._pictures += 1
        self._save(f"{self._pictures}-{name}")

    def _save(self, name: str) -> None:
        path = self._output / f"{name}.png"
        self._viewer.screenshot(str(path), canvas_only=False, flash=False)


def _button(parent: QWidget, name: str) -> QPushButton:
    found = parent.findChild(QPushButton, name)
    if found is None:
        raise LookupError(f"There is no button {name}.")
    return found


def _dice(found: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """Return the mean Dice of the classes, over voxels that nobody labelled."""
    found, truth = found[where], truth[where]
    each = []
    for class_id in np.unique(truth[truth > 0]):
        a, b = found == class_id, truth == class_id
        each.append(2 * (a & b).sum() / max(1, a.sum() + b.sum()))
    return round(float(np.mean(each)), 4)
