"""What every part of the session shares: its signals, its state, its two fences."""

from __future__ import annotations

import getpass
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psygnal import Signal

from napari_unetseg.app.opening import Found
from napari_unetseg.app.project import Project
from napari_unetseg.app.status import JobStatus, Notice, SaveKind, SaveState
from napari_unetseg.app.why_not import why_not
from napari_unetseg.config import Config, Preferences
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.errors import (
    EditError,
    NothingHereError,
    TakenBackError,
    UnetsegError,
)
from napari_unetseg.events import BlocksPlanned, BlockState, RunFinished, StepDone


class SessionBase(ABC):
    """Signals and state of the session.

    No verb raises for a fault of the input: it becomes a :attr:`notice`.
    """

    project_changed = Signal(object)  # Project | None
    classes_wanted = Signal(Found)  # a volume that has no project yet
    model_changed = Signal(object)  # version | None: another prediction is shown
    models_changed = Signal()  # a version was added
    annotator_changed = Signal(str)
    preferences_changed = Signal()
    class_changed = Signal(int)
    classes_changed = Signal()
    labels_changed = Signal(object)  # Box of level-0 voxels | None = anywhere
    predictions_changed = Signal(object)  # Box of a finished block | None = all
    planned = Signal(BlocksPlanned)
    block_changed = Signal(int, BlockState)
    step_done = Signal(StepDone)
    job_changed = Signal(JobStatus)
    job_finished = Signal(str, RunFinished)  # verb, how it ended
    save_state_changed = Signal(SaveState)
    worklist_changed = Signal()
    objects_changed = Signal()  # others were found
    raters_compared = Signal(dict)  # the report, as the agreement of raters gives it
    consensus_made = Signal(dict)  # where it is, and how good the raters are
    effort_measured = Signal(dict)  # the report on effort
    preview_changed = Signal(object)  # ClickResult | None
    notice = Signal(Notice)

    def __init__(self) -> None:
        self.preferences = Preferences()
        self.project: Project | None = None
        self.annotator = getpass.getuser()
        self.current_class = 1
        self.save_state = SaveState()
        self.job = JobStatus()
        self.is_painting: Callable[[], bool] = nobody_paints  # the window knows better
        self.nothing_here = ""  # why the last click found nothing
        self._predictions: PredictionStore | None = None

    @property
    def predictions(self) -> PredictionStore | None:
        """The predictions of the active model, None while there are none."""
        if self._predictions is None and self.project is not None:
            self._predictions = self.project.predictions()
        return self._predictions

    @property
    def is_adjudicating(self) -> bool:
        """Whether the worklist is that of the regions on which raters disagree."""
        return False

    @property
    def has_labels(self) -> bool:
        """Whether anybody has labelled or reviewed anything."""
        store = self.project.corrections if self.project else None
        return store is not None and bool(store.n_strokes or store.reviewed())

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        project = self.project
        return project is not None and project.corrections.can_undo(self.annotator)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to do again."""
        project = self.project
        return project is not None and project.corrections.can_redo(self.annotator)

    def why_not(self, verb: str) -> str:
        """Say why a verb cannot be used now, as one sentence; "" if it can."""
        return why_not(self, verb)

    @property
    def _open(self) -> Project:
        if self.project is None:
            raise UnetsegError("No project is open", do="Open a volume first.")
        return self.project

    @abstractmethod
    def _start_if_possible(
        self, verb: str, config: Config, *, reason: str | None = None
    ) -> bool:
        """Start long work, which the session itself can; say whether it began."""

    def _refused(self, verb: str) -> bool:
        """Whether a verb cannot be used now; the person is told why."""
        reason = self.why_not(verb)
        if reason:
            self.notice.emit(Notice("warning", reason))
        return bool(reason)

    @contextmanager
    def _saving(self) -> Iterator[None]:
        before = self.save_state
        self._set_save_state(SaveState(SaveKind.SAVING))
        try:
            yield
        except TakenBackError as error:  # nothing was to be saved
            self._set_save_state(before)
            self.notice.emit(Notice("warning", str(error)))
        except UnetsegError as error:
            self._set_save_state(
                SaveState(SaveKind.NOT_SAVED, error.what, error.do or "")
            )
            self.notice.emit(Notice("error", str(error)))
        else:
            self._set_save_state(SaveState())

    def _set_save_state(self, state: SaveState) -> None:
        self.save_state = state
        self.save_state_changed.emit(state)

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        self.nothing_here = ""
        try:
            yield
        except NothingHereError as error:  # an answer, no fault
            self.nothing_here = str(error)
            self.notice.emit(Notice("info", str(error)))
        except EditError as error:  # what was asked for, not what went wrong
            self.notice.emit(Notice("warning", str(error)))
        except UnetsegError as error:
            self.notice.emit(Notice("error", str(error), traceback.format_exc()))


def nobody_paints() -> bool:
    """Say that nobody paints: the default."""
    return False
