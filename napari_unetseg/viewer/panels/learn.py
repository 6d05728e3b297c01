"""The card that trains a model from the labels, and keeps its versions."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unetseg.app.model_actions import VersionState, state_of
from napari_unetseg.app.project import Project
from napari_unetseg.app.status import JobState, JobStatus, counted
from napari_unetseg.config import TrainConfig
from napari_unetseg.events import StepDone
from napari_unetseg.viewer.card import Fold
from napari_unetseg.viewer.config_form import ConfigForm
from napari_unetseg.viewer.controls import (
    explain,
    label,
    push_button,
    row,
    set_hint,
)
from napari_unetseg.viewer.header import import_model
from napari_unetseg.viewer.panels.adapt import AdaptRow
from napari_unetseg.viewer.panels.auto import AutoTraining
from napari_unetseg.viewer.panels.effort import EffortFold
from napari_unetseg.viewer.panels.panel import Panel, Parts
from napari_unetseg.viewer.panels.versions import VersionList
from napari_unetseg.viewer.plots import TrainingPlot, best_step, mean_dice
from napari_unetseg.viewer.status_line import time_text
from napari_unetseg.viewer.style import Palette, set_role

_FIELDS = ("steps", "budget_s", "start", "layers", "preset", "blocks", "recompute",
           "batch", "patch", "learning_rate", "device", "threads", "seed",
           "annotators", "promote")  # fmt: skip
_NEW_TIP = "Plan a network from your data and train it from nothing."
_TUNE_TIP = (
    "Train the active model further on all corrections to date, in the background (T). "
    "It becomes a new version, which is used if it is better; the old one stays."
)
_KEPT_LATER = (
    "Before it was measured for the first time no version is made of it; from then on "
    "the best so far is kept."
)
_START = "Label a few slices, then “New model from these labels”."


class LearnPanel(Panel):
    """Training set, two ways to train, curves, versions."""

    name = "Learn"
    hears = ("labels_changed", "worklist_changed", "model_changed", "models_changed",
             "classes_changed", "step_done", "preferences_changed")  # fmt: skip

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._what = label(wraps=True)
        self._waiting = label(role="hint", wraps=True)
        self._hint = label(role="hint", wraps=True)
        self.tune = push_button("Fine-tune", _TUNE_TIP, self.finetune)
        self.new = push_button(
            "New model from these labels", _NEW_TIP, self.train_new, "primary"
        )
        self.stop = push_button("Stop", stop_tip(()), self.session.cancel)
        self.form = ConfigForm(TrainConfig, _FIELDS)
        self.form.changed.connect(self.mark)
        self.import_button = push_button(
            "Import a model…",
            "Copy a model from another project into this one.",
            lambda: import_model(self, self.session),
        )
        more = QWidget()
        below = QVBoxLayout(more)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.form)
        below.addLayout(row(self.import_button, None))
        self.more = Fold(more, "Steps, size, device; import a model.")
        self._progress = label(wraps=True)
        self.plot = TrainingPlot()
        self.versions = VersionList(parts)
        self.auto = AutoTraining(self.session)
        self.body.addWidget(self._what)
        self.body.addWidget(self._waiting)
        self.body.addWidget(self._hint)
        self.body.addLayout(row(self.tune, self.new, self.stop, None, self.more.button))
        self.body.addWidget(self.more)
        self.body.addWidget(self._progress)
        self.body.addWidget(self.plot)
        self.body.addWidget(self.auto)
        self.body.addWidget(self.versions)
        self.adapt = AdaptRow(self.session)
        self.body.addWidget(self.adapt)
        self.effort = EffortFold(parts)
        self.body.addWidget(self.effort)

    def finetune(self) -> None:
        """Train the active model further."""
        self.session.finetune(**self.form.changes())

    def train_new(self) -> None:
        """Train a new model."""
        self.session.train_new(**self.form.changes())

    def refresh(self) -> None:
        """Show what there is to learn from, and what can be started."""
        project, job = self.session.project, self.session.job
        steps_done = self.session.training_steps
        has_model = project is not None and project.active_model is not None
        is_training = job.verb == "train" and not job.is_idle
        usual = self.session.preferences
        steps = usual.finetune_steps if has_model else usual.steps
        self.form.set_default("steps", steps)
        self.form.set_default("budget_s", None if has_model else usual.budget_s)
        self.form.set_default("device", usual.device)
        self.form.set_default("threads", usual.threads)
        self._what.setText(self.session.training_summary())
        self._what.setVisible(project is not None)
        set_hint(self._waiting, self.session.waiting_text())
        self.auto.refresh(has_model)
        self._show_buttons(has_model, is_training)
        set_hint(self._hint, "" if has_model or is_training else self._what_next())
        explain(
            self.import_button,
            "Copy a model from another project into this one.",
            "" if project is not None else "Open a volume first.",
        )
        if self.is_open:
            classes = () if project is None else project.classes
            self.plot.show_steps(steps_done, classes)
            set_hint(self._progress, progress_text(job, steps_done))
        self.versions.refresh()
        self.adapt.refresh()
        self.effort.refresh()
        self.set_summary(self._summary())

    def set_palette(self, palette: Palette) -> None:
        """Take other colours for the curves."""
        self.plot.set_palette(palette)
        self.versions.belief.set_palette(palette)
        self.effort.set_palette(palette)
        self.mark()

    def close_panel(self) -> None:
        """Let go of the session."""
        super().close_panel()
        self.effort.close_fold()
        self.versions.comparison.close_comparison()

    def _show_buttons(self, has_model: bool, is_training: bool) -> None:
        problem = self.form.problem
        explain(self.tune, _TUNE_TIP, self.session.why_not("finetune") or problem)
        explain(self.new, _NEW_TIP, self.session.why_not("train") or problem)
        tip = stop_tip(self.session.training_steps)
        explain(self.stop, tip, self.session.why_not("cancel"))
        set_role(self.tune, "primary" if has_model else "")
        set_role(self.new, "" if has_model else "primary")
        self.new.setText("New model" if has_model else "New model from these labels")
        self.tune.setVisible(has_model and not is_training)
        self.new.setVisible(not is_training)
        self.stop.setVisible(is_training)

    def _what_next(self) -> str:
        if self.session.project is None:
            return self.session.why_not("train")
        if not self.is_open or self.form.problem:
            return _START
        plan = self.session.plan_said(**self.form.changes())
        return f"New model: {plan}" if plan else _START

    def _summary(self) -> str:
        project = self.session.project
        if project is None:
            return ""
        if self.session.job.verb == "train":
            return progress_text(self.session.job, self.session.training_steps)
        store, version = project.corrections, project.active_model
        if version is None:
            return f"{counted(store.n_strokes, 'stroke')} · no model yet"
        known = project.models.card(version).training.get("strokes", ())
        n = store.strokes_since(known)
        since = f"{counted(n, 'stroke')} since {version}"
        candidate = _newest_candidate(project)
        return f"{candidate} is a candidate · {since}" if candidate else since


def progress_text(job: JobStatus, steps: Sequence[StepDone]) -> str:
    """Return where a training is and how long it takes, or how long it took."""
    if job.verb != "train":
        if not steps:
            return ""
        return f"{steps[-1].step:,} steps in {time_text(steps[-1].seconds)}"
    if job.state is JobState.CANCELLING:
        return "stopping"
    if not steps:
        return "starting"
    last = steps[-1]
    if (job.done, job.total) != (last.step, last.total):  # it is compared
        parts = [f"{job.text} {job.done}/{job.total}"]
    elif last.step == last.total:
        return f"step {last.step}/{last.total} · finishing"
    else:
        parts = [f"step {last.step}/{last.total}"]
    if job.seconds_left is not None:
        parts.append(f"{time_text(job.seconds_left)} left")
    return " · ".join(parts)


def stop_tip(steps: Sequence[StepDone]) -> str:
    """Return what is kept of a training that is stopped now."""
    best = best_step(steps)
    if best is None:
        return f"Stop training. {_KEPT_LATER}"
    dice = mean_dice(best)
    return (
        f"Stop training. The best so far is kept: Dice {dice:.2f} at step {best.step}."
    )


def _newest_candidate(project: Project) -> str:
    """Return the last version that was trained if it is not in use yet, else ""."""
    newest = project.models.card(project.models.versions()[-1])
    is_candidate = state_of(project, newest) is VersionState.CANDIDATE
    return newest.version if is_candidate else ""
