"""A tour of the whole loop on a real volume: three rounds in a window, with pictures.

Sections of a fly's nerve cord, and a model that learned from another corner of them,
darker, blurred and noisy. In each round somebody who knows the truth looks at the
worklist, puts a slice right in the regions that it names, and fine-tunes; the window is
used with keys and buttons. A picture of each step, Dice on sections that nobody
labels, and the minutes that a person would have worked::

    python -m benchmarks.vnc_tour --pictures FOLDER --json tour.json

Needs a display; ``.ci/with-display`` gives a virtual one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from benchmarks.common import class_dice, parse_args, write_report
from benchmarks.learning import FULL, QUICK
from benchmarks.learning_annotator import paint, pick
from benchmarks.learning_arms import Desk, Plan, mean, prepare
from benchmarks.learning_sets import SETS
from napari_unetseg.config import Preferences
from napari_unetseg.events import Outcome, RunFinished
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.launch import build_window
from napari_unetseg.viewer.panels.learn import LearnPanel

SET, ROUNDS, REGIONS = "vnc", 3, 4  # slices that are put right per round
WINDOW = (1280, 800)
PATIENCE_S = 1800.0
FIELDS = ("version", "dice", "minutes", "seconds", "verdict")


class Tour:
    """A window on the volume, somebody at work in it, and what came of it."""

    def __init__(self, project: Path, desk: Desk, pictures: Path) -> None:
        self._data, self._pictures = desk.data, pictures
        self._ends: list[tuple[str, RunFinished]] = []
        self.rounds: list[dict[str, Any]] = []
        self._viewer, self._window = build_window()
        self._session = self._window.session
        self._session.job_finished.connect(lambda *end: self._ends.append(end))
        self._viewer.window.resize(*WINDOW)
        self._hand = Hand(self._viewer)
        self._hand.rest(500)
        self._session.open_path(project)
        self._hand.wait_until(
            lambda: self._window.layers.editable is not None, what="the layers"
        )

    def run(self, steps: int) -> None:
        """Predict, and go through all rounds."""
        self._session.set_preferences(Preferences(finetune_steps=steps, flips=1))
        self._predict()
        self._look("0-parent")
        self._note(0.0, 0.0, "")
        for number in range(1, ROUNDS + 1):
            self._round(number)
        self._viewer.close()
        QApplication.processEvents()

    def _round(self, number: int) -> None:
        minutes = self._correct(number)
        started = time.monotonic()
        verdict = self._learn(number)
        self._predict()
        self._look(f"{number}-3-prediction")
        self._note(minutes, time.monotonic() - started, verdict)

    def _correct(self, number: int) -> float:
        """Walk through the worklist, and put slices right."""
        self._show_card("review")
        self._hand.press(Qt.Key.Key_D)
        self._hand.wait_until(
            lambda: bool(self._session.worklist), what="the worklist", seconds=60
        )
        self._hand.press(Qt.Key.Key_N)
        self._hand.rest(800)
        self._picture(f"{number}-1-worklist")
        project = self._session.project
        assert project is not None
        slices = pick(project, self._data, "uncertainty", REGIONS, number)
        minutes = paint(project, self._data, slices)
        self._hand.rest(800)
        self._hand.press(Qt.Key.Key_D)
        return minutes

    def _learn(self, number: int) -> str:
        """Fine-tune, and use the new version unless it was found no better."""
        self._show_card("learn")
        self._hand.press(Qt.Key.Key_T)
        result = self._wait_for("train").result
        if not (result["promoted"] or result["checks"]):
            panel = self._window.panels["learn"]
            assert isinstance(panel, LearnPanel)
            self._hand.wait_until(panel.versions.button.isEnabled, what="the candidate")
            self._hand.push(panel.versions.button)
        if self._session.has_last_prediction:
            self._hand.wait_until(
                lambda: self._session.job.is_idle, what="the view", seconds=PATIENCE_S
            )
        self._hand.rest(600)
        self._picture(f"{number}-2-learned")
        return str(result["verdict"])

    def _predict(self) -> None:
        self._ends.clear()
        self._session.predict()
        self._wait_for("predict")
        self._hand.rest(1500)  # layers follow at most twice a second

    def _note(self, minutes: float, seconds: float, verdict: str) -> None:
        project, predictions = self._session.project, self._session.predictions
        assert project is not None
        assert predictions is not None
        found = predictions.read_labels(self._data.test)
        truth = self._data.new.truth[self._data.test.slices]
        dice = class_dice(found, truth, self._data.class_names)
        row = (project.active_model, dice, round(minutes, 1), round(seconds), verdict)
        self.rounds.append(dict(zip(FIELDS, row, strict=True)))
        print(f"{row[0]}: Dice {mean(dice):.3f} {dice}, {minutes:.1f} min of work, "
              f"{seconds:.0f} s. {verdict}", flush=True)  # fmt: skip

    def _look(self, name: str) -> None:
        """Show a section that nobody labels."""
        self._viewer.dims.set_current_step(0, self._data.test.centre[0])
        self._hand.rest(1200)
        self._picture(name)

    def _show_card(self, name: str) -> None:
        for key, panel in self._window.panels.items():
            if panel.is_open != (key == name):
                self._hand.push(panel.header)

    def _wait_for(self, verb: str) -> RunFinished:
        """Wait for the end of a job; a failed one ends the tour."""

        def ended() -> list[RunFinished]:
            return [finished for name, finished in self._ends if name == verb]

        self._hand.wait_until(lambda: bool(ended()), what=verb, seconds=PATIENCE_S)
        finished = ended()[0]
        self._ends.clear()
        if finished.outcome is not Outcome.DONE:
            raise RuntimeError(finished.error or f"{verb} was stopped.")
        return finished

    def _picture(self, name: str) -> None:
        path = self._pictures / f"{name}.png"
        self._viewer.screenshot(str(path), canvas_only=False, flash=False)


def main() -> None:
    """Make the parent, go on the tour, and write what came of it."""
    args = parse_args((__doc__ or "").splitlines()[0], _add_arguments)
    if SETS[SET]() is None:
        raise SystemExit(f"{SET}: the data are not there")
    plan: Plan = QUICK if args.quick else FULL
    args.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        kept = (args.keep or Path(scratch)) / ("quick" if args.quick else "full")
        parent = prepare(SET, kept, plan)
        desk = Desk.open(SET, kept, "tour", 0, plan)
        tour = Tour(desk.project, desk, args.pictures)
        tour.run(plan.round_steps)
    write_report(args.json, {"parent": parent, "rounds": tour.rounds})


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pictures", type=Path, required=True, help="folder for the pictures"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="of benchmarks.learning: its parent"
    )


if __name__ == "__main__":
    main()
