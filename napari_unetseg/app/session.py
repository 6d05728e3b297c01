"""The session: what is open now, as the one object that tells of its changes.

The window shows it, the command line and the tests drive it; it knows neither. All
signals are emitted on the thread that calls the method, and what long jobs say arrives
through :meth:`Session.poll`, called by a timer of the window::

    person ── verb ──▶ Session ── starts ──▶ child process
                         ▲                        │ events
    window ◀── signal ── │ ◀────── poll() ────────┘
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_unetseg.app import opening
from napari_unetseg.app.class_verbs import ClassVerbs
from napari_unetseg.app.effort_verbs import EffortVerbs
from napari_unetseg.app.history_verbs import HistoryVerbs
from napari_unetseg.app.learning_verbs import LearningVerbs
from napari_unetseg.app.long_work import LongWork
from napari_unetseg.app.model_verbs import ModelVerbs
from napari_unetseg.app.object_editing import ObjectVerbs
from napari_unetseg.app.planning import plan_said
from napari_unetseg.app.project import Project
from napari_unetseg.app.project_file import is_project
from napari_unetseg.app.prompting import PromptingVerbs
from napari_unetseg.app.rater_verbs import RaterVerbs
from napari_unetseg.app.review import Review
from napari_unetseg.app.status import JobStatus, Notice, counted
from napari_unetseg.config import (
    Config,
    ExportConfig,
    NewProjectConfig,
    PredictConfig,
    Preferences,
    TrainConfig,
    VoxelSize,
)
from napari_unetseg.data.object_rows import ObjectRow, read_object_rows
from napari_unetseg.errors import MemoryBudgetError
from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    BlockState,
    LearnsFrom,
    Outcome,
    RunFinished,
    StepDone,
)
from napari_unetseg.geometry import Box, Zyx


class Session(
    PromptingVerbs,
    ObjectVerbs,
    RaterVerbs,
    HistoryVerbs,
    ClassVerbs,
    EffortVerbs,
    ModelVerbs,
    LearningVerbs,
):
    """The open project and everything a person can do with it."""

    def __init__(self, preferences: Preferences | None = None) -> None:
        super().__init__()
        self._work = LongWork(self)
        self.objects: tuple[ObjectRow, ...] = ()
        self._planned_for: tuple[object, ...] = ()
        self._plan_said = ""
        if preferences is not None:
            self.set_preferences(preferences)

    # --- opening and closing ---------------------------------------------------

    def open_path(self, path: str | Path) -> None:
        """Open whatever this is: a project, a volume, or a file to be converted.

        A volume without a project ends in :attr:`classes_wanted`; the answer is
        :meth:`open_volume`.
        """
        with self._noticed():
            found = opening.look_at(path)
            if is_project(found.target):
                self.open_project(found.target)
            else:
                self.classes_wanted.emit(found)

    def open_volume(
        self,
        uri: str | Path,
        project_folder: Path | None = None,
        class_names: tuple[str, ...] = ("object",),
        scale: VoxelSize | None = None,
    ) -> None:
        """Make a project for a volume and open it; a file is converted first."""
        with self._noticed():
            found = opening.look_at(uri)
            folder = project_folder or found.target
            folder.parent.mkdir(parents=True, exist_ok=True)
            if found.kind is opening.PathKind.FILE:
                about = NewProjectConfig(classes=class_names, scale=scale)
                self._work.start("new_project", about, folder=folder, volume=found.path)
            else:
                self._take(
                    Project.create(folder, uri, class_names=class_names, scale=scale)
                )

    def open_project(self, folder: str | Path) -> None:
        """Open a project folder; the one that is open already stays as it is."""
        if self.project and Path(folder).resolve() == self.project.folder:
            return
        with self._noticed():
            self._take(Project.open(folder))

    def open_sample(self, folder: Path | None = None) -> None:
        """Open the sample project; the first time it is made in the background."""
        with self._noticed():
            folder = folder or opening.user_data() / "sample"
            self._work.start("sample", Config(), folder=folder)

    def close(self) -> None:
        """End what runs and let go of the project."""
        self.drop_preview()
        self._drop_edit()
        self._work.close()
        self._end_import()
        if self._review is not None:
            self._review.wait()
        if self.project is not None:
            self.project.close()
            self.project = self._predictions = self._review = None
            self.objects = ()
            self.project_changed.emit(None)

    # --- long work -------------------------------------------------------------

    def predict(self, box: Box | None = None, **options: object) -> None:
        """Predict a box, or the whole volume, with the active model."""
        usual = self.usual_prediction()
        config = PredictConfig.model_validate({**usual, **options, "box": box})
        if self._start_if_possible("predict", config):
            self._last_predict = config.replace(only_failed=False)

    def look_at(self, voxel: Zyx) -> None:
        """Let a running prediction go on around a voxel."""
        self._work.look_at(voxel)

    def train_new(self, **options: object) -> None:
        """Train a new model from the labels made so far."""
        self._start_if_possible("train", self._new_model_config(options))

    def plan_said(self, **options: object) -> str:
        """Say what :meth:`train_new` would train, or why that cannot be done."""
        if self.project is None or not self.has_labels:
            return ""
        store, config = self.project.corrections, self._new_model_config(options)
        # Not after every stroke: somebody is painting.
        n_boxes = [len(store.labelled_boxes(name)) for name in store.annotators()]
        now = (self.project.folder, config, n_boxes)
        if now != self._planned_for:
            self._planned_for = now
            try:
                self._plan_said = plan_said(self.project, config)
            except MemoryBudgetError as error:
                self._plan_said = str(error)
        return self._plan_said

    def finetune(self, **options: object) -> None:
        """Train the active model further with all corrections to date."""
        active = self.project.active_model if self.project else None
        usual = self._usual("device", "threads", steps="finetune_steps")
        config = TrainConfig.model_validate({**usual, **options, "parent": active})
        self._start_if_possible("train", config, reason="finetune")

    def export(self, config: ExportConfig) -> None:
        """Write the corrected labels to an open format."""
        self._start_if_possible("export", config)

    def list_objects(self, box: Box | None = None, *, neck: float = 0.0) -> None:
        """Find and measure all objects of a box, or of the volume."""
        config = ExportConfig(
            format="csv", box=box, neck=neck, annotator=self.annotator, overwrite=True
        )
        self._start_if_possible("list_objects", config)

    def cancel(self) -> None:
        """Ask the running job to stop."""
        self._work.cancel()

    def poll(self) -> None:
        """Take in what happened elsewhere; called some twenty times a second."""
        self._work.poll()
        self.collect_edit()
        self._collect_import()
        if self._review is not None and self._review.collect():
            self.worklist_changed.emit()
        self._take_waiting_model()
        self._finetune_if_due()

    @property
    def block_states(self) -> dict[int, BlockState]:
        """What is known of the blocks of the last planned prediction."""
        return self._work.block_states

    @property
    def training_steps(self) -> list[StepDone]:
        """What the last training said, step by step."""
        return self._work.steps

    @property
    def last_plan(self) -> BlocksPlanned | None:
        """The grid of the last planned prediction."""
        return self._work.last_plan

    # --- people ------------------------------------------------------------------

    @property
    def annotators(self) -> tuple[str, ...]:
        """The person editing now, then all who edited and the model's raters."""
        known = [self.annotator]
        if self.project is not None:
            known += [*self.project.corrections.annotators(), *self.project.raters]
        return tuple(dict.fromkeys(known))

    def set_preferences(self, preferences: Preferences) -> None:
        """Take other defaults for what is started from now on."""
        is_renamed = preferences.annotator != self.preferences.annotator
        self.preferences = preferences
        if is_renamed:
            self.set_annotator(preferences.annotator)
        self._rank_as_preferred()
        self.preferences_changed.emit()

    def set_annotator(self, name: str) -> None:
        """Say who edits from now on."""
        name = name.strip()
        if name and name != self.annotator:
            self.annotator = name
            self.drop_preview()
            self._drop_edit()
            self.annotator_changed.emit(name)

    # --- inside ----------------------------------------------------------------

    def _take(self, project: Project) -> None:
        """Make ``project`` the open one."""
        self.close()
        self.project = project
        self._review = Review(project, self.preferences.worklist)
        self._last_predict = self._trained = None
        self._predicting = ""
        if not self.preferences.annotator:
            known = project.corrections.annotators()
            self.annotator = next(iter(known), self.annotator)
        self.current_class = 1
        self.project_changed.emit(project)
        self._show_known_blocks()
        if project.read_only:
            self.notice.emit(Notice("warning", project.held_by))
        for sentence in project.corrections.restored:
            self.notice.emit(Notice("warning", sentence))
        self.refresh_worklist()

    def _model_is_active(self) -> None:
        """Tell everybody that another version's predictions count."""
        self._predictions = None
        self.drop_preview()
        self._work.forget_blocks()
        self.model_changed.emit(self._open.active_model)
        self._show_known_blocks()
        self.predictions_changed.emit(None)
        self.refresh_worklist()

    def _show_known_blocks(self) -> None:
        project = self._open
        if project.active_model is not None:
            plan = self.blocks_of(project.active_model)
            if plan is not None:
                self._work.show_blocks(plan)

    def _new_model_config(self, options: Mapping[str, object]) -> TrainConfig:
        usual = self._usual("steps", "budget_s", "device", "threads")
        return TrainConfig.model_validate({**usual, **options, "parent": None})

    def _usual(self, *names: str, **renamed: str) -> dict[str, Any]:
        """Return preferences as options of a verb; option=preference renames one."""
        fields = {**dict(zip(names, names, strict=True)), **renamed}
        return {to: getattr(self.preferences, name) for to, name in fields.items()}

    def _start_finetuning(self) -> bool:
        self.finetune()
        has_begun = not self.job.is_idle
        if has_begun:
            self._work.note_by_itself()
        return has_begun

    def _start_if_possible(
        self, verb: str, config: Config, *, reason: str | None = None
    ) -> bool:
        started = False
        if not self._refused(reason or verb):
            with self._noticed():
                self._work.start(verb, config, folder=self._open.folder)
                started = True
        return started

    def _follow_up(self, verb: str, result: Mapping[str, Any]) -> None:
        """Do what a finished job is good for."""
        match verb:
            case "new_project" | "sample":
                self.open_path(result["project"])
            case "predict":
                self.refresh_worklist()
                if n_failed := result.get("failed", 0):
                    failed = counted(n_failed, "block")
                    text = f"{failed} failed. {result['failed_because']}"
                    self.notice.emit(Notice("warning", text))
                else:
                    self.notice.emit(Notice("info", _predicted(result)))
            case "train" | "adapt":
                self._take_new_model(result)
            case "list_objects":
                self.objects = read_object_rows(Path(result["target"]))
                self.objects_changed.emit()
            case "compare_raters":
                self.raters_compared.emit(dict(result))
            case "measure_effort":
                self.effort_measured.emit(dict(result))
            case "make_consensus":
                self.consensus_made.emit(dict(result))
            case "export":
                self.notice.emit(Notice("info", f"Exported to {result['target']}."))

    # --- what the long work says (Listener) --------------------------------------

    def on_status(self, status: JobStatus) -> None:
        """Pass on what the job is at."""
        self.job = status
        self.job_changed.emit(status)

    def on_plan(self, plan: BlocksPlanned) -> None:
        """Pass on the grid of a prediction."""
        self.planned.emit(plan)

    def on_block(self, index: int, state: BlockState, event: BlockDone | None) -> None:
        """Pass on the state of a block, and that its voxels are there."""
        self.block_changed.emit(index, state)
        if event is not None and event.state is not BlockState.FAILED:
            self.predictions_changed.emit(event.write_box)

    def on_learns(self, learns: LearnsFrom) -> None:
        """Keep what the running training learns from."""
        self.learns_from = learns
        self.auto.tried(learns.strokes)

    def on_step(self, step: StepDone) -> None:
        """Pass on a training step."""
        self.step_done.emit(step)

    def on_notice(self, notice: Notice) -> None:
        """Pass on a sentence."""
        self.notice.emit(notice)

    def on_finished(self, verb: str, finished: RunFinished) -> None:
        """Say how a job ended and do what follows from it."""
        if finished.outcome is Outcome.DONE:
            self._follow_up(verb, finished.result)
        elif finished.outcome is Outcome.FAILED:
            self.notice.emit(Notice("error", finished.error, finished.details))
        else:
            self.notice.emit(Notice("info", finished.error or f"Stopped: {verb}."))
        if self._predicting:  # its blocks are not those of the version in use
            self._predicting = ""
            self._work.forget_blocks()
            self._show_known_blocks()
        if verb in ("train", "adapt"):  # also when stopped while it was compared
            self.learns_from = None
            self.models_changed.emit()
        self.job_finished.emit(verb, finished)


def _predicted(result: Mapping[str, Any]) -> str:
    """Return what a prediction did as a sentence."""
    blocks = counted(result["done"] + result["empty"], "block")
    return f"Predicted {blocks} in {result['seconds']:.0f} s."
