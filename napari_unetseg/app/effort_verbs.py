"""What correcting costs and brings, for the person who does it.

::

    effort_now      ──▶ rows of the journal ──▶ numbers         at once
    measure_effort  ──▶ child process       ──▶ effort_measured   with Dice and HCE
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from napari_unetseg.app.project import Project
from napari_unetseg.app.session_base import SessionBase
from napari_unetseg.config import EffortConfig
from napari_unetseg.data.effort import Effort, EffortMeter, summed
from napari_unetseg.errors import ProjectError


@dataclass(frozen=True)
class EffortNow:
    """The effort since the project was opened, and of all time; everybody's."""

    here: Effort
    total: Effort


class EffortVerbs(SessionBase):
    """The part of the session that is about effort."""

    def __init__(self) -> None:
        super().__init__()
        self._opened_at = datetime.now(UTC)
        self._meter: tuple[Project, EffortMeter] | None = None
        self._metering = threading.Lock()
        self.project_changed.connect(self._note_opening)

    def measure_effort(self, **options: object) -> None:
        """Measure effort and gain, and report; ends in :attr:`effort_measured`."""
        config = EffortConfig.model_validate(options)
        self._start_if_possible("measure_effort", config)

    def effort_now(self) -> EffortNow | None:
        """Return what was done, without looking at voxels; any thread may ask.

        None if no project is open, or it is closed meanwhile.
        """
        project, since = self.project, self._opened_at
        if project is None:
            return None
        with self._metering:
            try:
                meter = self._meter_of(project)
            except ProjectError:
                return None
            here, total = (
                summed(meter.measure(since=when, changed=False))
                for when in (since, None)
            )
        return EffortNow(here, total)

    def _meter_of(self, project: Project) -> EffortMeter:
        """Return the meter of a project, up to date: it reads only what is new."""
        if self._meter is None or self._meter[0] is not project:
            self._meter = project, EffortMeter(project.corrections)
        else:
            self._meter[1].update()
        return self._meter[1]

    def _note_opening(self, _project: object) -> None:
        self._opened_at, self._meter = datetime.now(UTC), None
