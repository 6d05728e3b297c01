"""What the program can do: one function per verb, synchronous, without a window.

The window runs them in a child process (:mod:`napari_unetseg.app.child`), the command
line calls them directly. Each takes paths and a frozen config, tells its progress
through ``on_event``, stops when ``is_cancelled`` says so, and returns plain values.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_unetseg.app.project import Project, is_project
from napari_unetseg.config import (
    ConvertConfig,
    ExportConfig,
    PredictConfig,
    TrainConfig,
)
from napari_unetseg.data.composite import read_composite
from napari_unetseg.data.convert import convert as convert_volume
from napari_unetseg.data.export import export_labels
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import ModelNotFoundError, ReadOnlyError
from napari_unetseg.events import (
    IsCancelled,
    OnEvent,
    RunStarted,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.geometry import Box
from napari_unetseg.models.store import ModelCard
