"""The session: what is open now, as the one object that tells of its changes.

The window shows it, the command line and the tests drive it; it knows neither. All
signals are emitted on the thread that calls the method, and what long jobs say arrives
through :meth:`Session.poll`, called by a timer of the window::

    person ── verb ──▶ Session ── starts ──▶ child process
                         ▲                        │ events
    window ◀── signal ── │ ◀────── poll() ────────┘
"""

from __future__ import annotations

import getpass
import logging
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_unetseg.app import opening
from napari_unetseg.app.actions import check_predictable
from napari_unetseg.app.jobs import JobRunner
from napari_unetseg.app.project import Project
from napari_unetseg.app.review import Review
from napari_unetseg.app.status import JobState, JobStatus, Notice, ProgressMeter
from napari_unetseg.app.editing import Editing
from napari_unetseg.config import (
    Config,
    ConvertConfig,
    ExportConfig,
    PredictConfig,
    TrainConfig,
)
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.errors import UnetsegError
from napari_unetseg.events import (
    BlockDone,
    BlocksPlanned,
    BlockStarted,
    BlockState,
    Event,
    Message,
    Outcome,
    RunFinished,
    StepDone,
)
from napari_unetseg.geometry import Box

_LOG = logging.getLogger(__name__)
