"""The worklist without a window: which regions to look at next, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_unetseg.app.project import Project
from napari_unetseg.config import WorklistConfig
from napari_unetseg.errors import NothingHereError
from napari_unetseg.training.worklist import rank_regions
from napari_unetseg.training.worklist_item import WorkItem


def worklist(folder: Path, config: WorklistConfig | None = None) -> dict[str, Any]:
    """Return the regions of a project to look at next, in their order.

    Raises
    ------
    NothingHereError
        If nothing is predicted.
    MissingMapError
        If the prediction has no map that the strategy ranks by.
    """
    config = config or WorklistConfig()
    with Project.open(folder, read_only=True) as project:
        predictions = project.predictions()
        if predictions is None:
            raise NothingHereError(
                "Nothing is predicted that regions could be found in",
                do="Predict first: napari-unetseg predict.",
            )
        items = rank_regions(
            predictions,
            project.corrections,
            volume_shape=project.volume.shape,
            n=config.n,
            strategy=config.strategy,
            seed=config.seed,
        )
        return {
            "version": project.active_model,
            "strategy": config.strategy,
            "regions": [_described(project, item) for item in items],
        }


def _described(project: Project, item: WorkItem) -> dict[str, Any]:
    return {
        "why": item.why,
        "reason": item.reason,
        "map": item.map_name,
        "class": project.class_names[item.class_id - 1],
        "score": round(item.score, 4),
        "centre": list(item.centre),
        "start": list(item.box.start),
        "stop": list(item.box.stop),
    }
