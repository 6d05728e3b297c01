"""Predict a project with one of its models, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_unetseg.app.model_fit import check_fits
from napari_unetseg.app.project import Project
from napari_unetseg.config import PredictConfig
from napari_unetseg.data.classes import thin_ids
from napari_unetseg.errors import (
    ModelNotFoundError,
    ProjectLockedError,
    explained_writing,
)
from napari_unetseg.events import (
    IsCancelled,
    Look,
    OnEvent,
    ignore_event,
    never_cancelled,
    nobody_looks,
)
from napari_unetseg.inference.job import choices_begun_with
from napari_unetseg.inference.run import PredictJob, predict_job
from napari_unetseg.inference.unchanged import Earlier
from napari_unetseg.training.ancestry import learned_boxes


def predict(
    folder: Path,
    config: PredictConfig | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
    look: Look = nobody_looks,
) -> dict[str, Any]:
    """Predict a box or the whole volume with a model version; resumes by itself.

    Parameters
    ----------
    config
        What nobody chose is as usual, and where the prediction was begun, as there.
    look
        Where somebody looks: blocks near to it come first.
    """
    config = config or PredictConfig()
    with Project.open(folder, read_only=True) as project:
        version = config.model or project.active_model
        if version is None:
            raise ModelNotFoundError(
                "This project has no model yet",
                do="Label a few slices and train a new model first.",
            )
        check_fits(project.models.card(version), project.volume, project.class_names)
        with _only_one(project, version):
            asked = {name: getattr(config, name) for name in config.model_fields_set}
            config = config.replace(**{**begun_with(project, version), **asked})
            job = _predict_job(project, version, config)
            summary = predict_job(job, on_event, is_cancelled, look)
    return {
        "version": version,
        "outcome": summary.outcome.value,
        "done": summary.done,
        "empty": summary.empty,
        "failed": summary.failed,
        "voxels": summary.voxels,
        "seconds": summary.seconds,
        "kept": summary.kept,
        "backend": summary.backend,
        "failed_because": summary.failed_because,
    }


def begun_with(project: Project, version: str) -> dict[str, Any]:
    """Return the options that the predictions of a version were begun with."""
    paths = project.prediction_path(version), project.run_log_path(version)
    return choices_begun_with(*paths)


def _predict_job(project: Project, version: str, config: PredictConfig) -> PredictJob:
    return PredictJob(
        volume_uri=project.volume.uri,
        time_point=project.volume.time_point,
        scale=project.volume.scale,
        prediction_path=project.prediction_path(version),
        log_path=project.run_log_path(version),
        model_dir=project.models.dir(version),
        normalisation=project.normalisation(),
        class_names=tuple(i.name for i in project.models.card(version).classes),
        thin=thin_ids(project.classes),
        config=config,
        earlier=_earlier(project, version, config.unchanged_from),
    )


def _earlier(project: Project, version: str, before: str | None) -> Earlier | None:
    """Return the predictions of another version that may be kept."""
    if before is None or before == version:
        return None
    project.models.card(before)  # complains if there is none
    learned = learned_boxes(project.models.dir(version), project.volume)
    return Earlier(
        before, project.prediction_path(before), project.run_log_path(before), learned
    )


@contextmanager
def _only_one(project: Project, version: str) -> Iterator[None]:
    """Let one process at a time write the predictions of a version."""
    path = project.folder / "runs" / f"{version}.lock"
    try:
        with explained_writing("the prediction", project.folder):
            lock = FileLock(path, timeout=0).acquire()
    except Timeout:
        raise ProjectLockedError(
            f"Another process is predicting with {version}",
            do="Wait until it has finished, or stop it.",
        ) from None
    with lock:
        yield
