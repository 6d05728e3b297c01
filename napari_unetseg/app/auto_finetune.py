"""Fine-tuning that begins by itself once enough was corrected.

::

    every look ──▶ wanted, and nothing runs? ──▶ N corrections that no training knows?
                                                      │ and nobody has a hand on them
                                                      ▼
                                                 fine-tuning begins

A correction is learned once: what the version in use, the newest version (also one that
stayed a candidate) or the last try knows does not count again. So a training that
failed or was stopped does not come back before there is something new.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_unetseg.app.project import Project

if TYPE_CHECKING:
    from napari_unetseg.app.learning_verbs import LearningVerbs

QUIET_S = 3.0
"""Between two strokes of somebody who is still painting less time passes."""


class AutoFinetune:
    """Counts corrections and says when a fine-tuning is due.

    Parameters
    ----------
    session
        Whose corrections count; it starts the fine-tuning.
    clock
        Seconds from any beginning.
    """

    def __init__(
        self, session: LearningVerbs, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session, self._clock = session, clock
        self._edited_at = -QUIET_S
        self._tried: frozenset[str] = frozenset()
        self._count: int | None = None
        session.project_changed.connect(self._on_project)
        session.labels_changed.connect(self._on_labels)
        for signal in (session.model_changed, session.models_changed):
            signal.connect(self._look_again)

    @property
    def n_new(self) -> int:
        """Corrections that no training knows yet."""
        if self._count is None:
            project = self._session.project
            self._count = 0 if project is None else self._counted(project)
        return self._count

    @property
    def is_due(self) -> bool:
        """Whether a fine-tuning is to begin now."""
        session = self._session
        wanted = session.preferences
        return (
            wanted.auto_finetune
            and session.job.is_idle
            and self.n_new >= wanted.auto_corrections
            and self._clock() - self._edited_at >= QUIET_S
            and not session.is_painting()
            and not session.why_not("finetune")
        )

    def tried(self, strokes: tuple[str, ...]) -> None:
        """Count no correction again that a training, however it ends, has seen."""
        self._tried |= frozenset(strokes)
        self._count = None

    def _counted(self, project: Project) -> int:
        known = set(self._tried)
        for version in (project.active_model, *project.models.versions()[-1:]):
            if version is not None:
                known.update(project.models.card(version).training.get("strokes", ()))
        return project.corrections.strokes_since(tuple(known))

    def _on_project(self, _project: object) -> None:
        self._tried, self._count = frozenset(), None

    def _on_labels(self, _box: object) -> None:
        self._edited_at, self._count = self._clock(), None

    def _look_again(self, *_: object) -> None:
        self._count = None
