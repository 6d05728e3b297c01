"""The labels of a project as they are exported: corrections over the prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_unetseg.app.project import Project
from napari_unetseg.data.composite import read_composite
from napari_unetseg.geometry import Box


class ProjectLabels:
    """Corrections over the active prediction, read box by box.

    Where it is unpickled, the project is opened anew.

    Parameters
    ----------
    folder
        Of the project, which is opened read-only.
    annotator
        Whose corrections count; everybody's if None.
    """

    def __init__(self, folder: Path, annotator: str | None = None) -> None:
        self.project = Project.open(folder, read_only=True)
        self._corrections = self.project.corrections
        self._predictions = self.project.predictions()
        self._annotator = annotator
        self.shape = self.project.volume.shape

    def __reduce__(self) -> tuple[Any, ...]:
        return ProjectLabels, (self.project.folder, self._annotator)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.project.close()

    @property
    def fingerprint(self) -> str:
        """What the labels depend on: model, blocks, edits, whose they are."""
        version = self.project.active_model
        log = self.project.run_log_path(version or "")
        blocks = log.stat().st_mtime_ns if log.exists() else 0
        edits = self._corrections.strokes()
        last = edits[-1].uuid if edits else ""
        return f"{version} {blocks} {len(edits)} {last} {self._annotator}"

    def read(self, box: Box) -> np.ndarray:
        """Return class ids, uint8 zyx."""
        return read_composite(
            self._corrections, self._predictions, box, self._annotator
        )
