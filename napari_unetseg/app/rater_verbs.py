"""What the person does with several raters: compare, agree, decide, take in.

::

    compare_raters ──▶ child process ──▶ raters_compared     the report
    make_consensus ──▶ child process ──▶ consensus_made      labels on disk
    adjudicate     ──▶ thread        ──▶ worklist_changed    where they disagree
    import_rater   ──▶ thread        ──▶ labels_changed      strokes of the rater

The child opens the project to read. An import writes, which only the process that holds
the project may, and so it is a thread of this one.
"""

from __future__ import annotations

import queue
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from napari_unetseg.app.editing import EditingVerbs
from napari_unetseg.app.project import Project
from napari_unetseg.app.rater_actions import (
    import_into,
    rater_matrix,
    ratings_of_project,
)
from napari_unetseg.app.review import ReviewVerbs
from napari_unetseg.app.status import Notice
from napari_unetseg.config import (
    AgreementConfig,
    ConsensusConfig,
    ImportConfig,
    VotesConfig,
)
from napari_unetseg.data.composite import read_composite
from napari_unetseg.data.corrections import Stroke
from napari_unetseg.data.rater_probability import HALF, labels_at
from napari_unetseg.errors import Cancelled, NothingHereError, UnetsegError
from napari_unetseg.geometry import Box
from napari_unetseg.training.adjudication import disputed_regions
from napari_unetseg.training.worklist_item import WorkItem

_SAME = "This is what {} would draw already."
_Ended: TypeAlias = "dict[str, Any] | Notice"


class RaterVerbs(ReviewVerbs, EditingVerbs):
    """The part of the session that is about several raters."""

    def __init__(self) -> None:
        super().__init__()
        self._import: threading.Thread | None = None
        self._imported: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
        self._stop_import = threading.Event()

    def compare_raters(self, **options: object) -> None:
        """Measure how far the annotators agree; ends in :attr:`raters_compared`."""
        config = AgreementConfig.model_validate(options)
        self._start_if_possible("compare_raters", config)

    def make_consensus(self, method: str = "majority", **options: object) -> None:
        """Write what the annotators agree on; ends in :attr:`consensus_made`."""
        config = ConsensusConfig.model_validate({**options, "method": method})
        self._start_if_possible("make_consensus", config)

    def adjudicate(self, raters: tuple[str, ...] = ()) -> None:
        """Make the worklist that of the regions on which raters disagree.

        Whoever is the annotator now decides: by editing, or by accepting or skipping a
        region, which then does not come back.

        Parameters
        ----------
        raters
            Between whom to decide; everybody else if empty.
        """
        if self._review is None or self._refused("adjudicate"):
            return
        others = raters or tuple(
            n for n in self._open.corrections.annotators() if n != self.annotator
        )
        search = partial(_disputed, self._open, others, self.annotator)
        self._review.search_by(search)
        self.worklist_changed.emit()

    def stop_adjudicating(self) -> None:
        """Let the worklist be that of what the model doubts again."""
        if self._review is not None and self._review.is_adjudicating:
            self._review.search_by(None)
            self.worklist_changed.emit()

    @property
    def is_adjudicating(self) -> bool:
        """Whether the worklist is that of the regions on which raters disagree."""
        return self._review is not None and self._review.is_adjudicating

    def adopt_rater(self, rater: str, box: Box, height: float = HALF) -> Stroke | None:
        """Write what a rater would draw in a box as an edit of the annotator's own.

        Parameters
        ----------
        height
            How strict, as :func:`napari_unetseg.data.rater_probability.labels_at` says.
        """
        if self._refused("edit"):
            return None
        edit = None
        with self._noticed():
            edit = self._adopted(rater, box, height)
            if edit is None:
                self.notice.emit(Notice("info", _SAME.format(rater)))
        if edit is None:
            return None
        mask, labels = edit
        return self._written(
            lambda project: project.corrections.commit(
                box,
                mask,
                labels,
                annotator=self.annotator,
                tool=f"adopt {rater}",
                model_version=project.active_model,
            )
        )

    def _adopted(
        self, rater: str, box: Box, height: float
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return where a rater would say something else, and what; None if nowhere."""
        predictions = self.predictions
        names = () if predictions is None else predictions.rater_names
        if predictions is None or rater not in names:
            raise NothingHereError(
                f"Nothing is predicted as {rater} would draw it",
                do="Predict this region with a model that knows several raters.",
            )
        of_all = predictions.read_rater_probability(box)
        labels = labels_at(of_all[[names.index(rater)]], height)[0]
        seen = read_composite(self._open.corrections, predictions, box, self.annotator)
        mask = labels != seen
        return (mask, labels) if mask.any() else None

    def rater_matrix(self) -> dict[str, dict[str, int]]:
        """Return rater → class → voxels, background too."""
        return {} if self.project is None else rater_matrix(self.project)

    def import_rater(self, labels: str | Path, rater: str, **options: object) -> None:
        """Take labels that were made elsewhere in as strokes of a rater."""
        if self._refused("import_rater"):
            return
        if self.is_importing:
            self.notice.emit(Notice("warning", "Another import is still running."))
            return
        config = ImportConfig.model_validate({**options, "rater": rater})
        self._stop_import.clear()
        self._import = threading.Thread(
            target=self._do_import, args=(self._open, labels, config), daemon=True
        )
        self._import.start()

    @property
    def is_importing(self) -> bool:
        """Whether labels are being taken in."""
        return self._import is not None and self._import.is_alive()

    def stop_import(self) -> None:
        """Ask the import to stop; what was taken in stays."""
        self._stop_import.set()

    def _do_import(
        self, project: Project, labels: str | Path, config: ImportConfig
    ) -> None:
        stopped = self._stop_import.is_set
        try:
            found = import_into(project, labels, config, is_cancelled=stopped)
            self._imported.put(found)
        except Cancelled as error:
            self._imported.put(Notice("info", str(error)))
        except UnetsegError as error:
            self._imported.put(Notice("error", str(error), traceback.format_exc()))
        except Exception as error:  # noqa: BLE001
            # The last fence of the thread: the window must hear of it as a sentence.
            sentence = f"The import failed: {type(error).__name__}: {error}"
            self._imported.put(Notice("error", sentence, traceback.format_exc()))

    def _collect_import(self) -> None:
        """Say how an import ended, on the thread of the window."""
        if self._imported.empty():
            return
        ended = self._imported.get()
        if not isinstance(ended, Notice):
            n, rater = ended["voxels"], ended["rater"]
            ended = Notice("info", f"Imported {n:,} voxels as labels of {rater}.")
        self.labels_changed.emit(None)
        self.notice.emit(ended)

    def _end_import(self) -> None:
        """Stop an import and wait for it; the project is closed next."""
        if self._import is not None:
            self.stop_import()
            self._import.join()
            self._import = None


def _disputed(
    project: Project, raters: tuple[str, ...], adjudicator: str
) -> tuple[WorkItem, ...]:
    ratings = ratings_of_project(project, VotesConfig(raters=raters))
    return disputed_regions(ratings, project.corrections, adjudicator=adjudicator)
