"""What the program can do: one function per verb, synchronous, without a window.

The window runs them in a child process (:mod:`napari_unetseg.app.child`), the command
line calls them directly. Each takes paths and a frozen config, tells its progress
through ``on_event``, stops when ``is_cancelled`` says so, and returns plain values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_unetseg.app.effort_actions import measure_effort
from napari_unetseg.app.merging import merge_project
from napari_unetseg.app.model_actions import judged, models, promote, roll_back
from napari_unetseg.app.model_fit import check_fits
from napari_unetseg.app.project import Project
from napari_unetseg.app.project_file import is_project
from napari_unetseg.app.project_labels import ProjectLabels
from napari_unetseg.app.rater_actions import (
    agreement,
    compare_raters,
    consensus,
    import_rater,
    make_consensus,
)
from napari_unetseg.app.sample import make_sample_project
from napari_unetseg.config import (
    Config,
    ConvertConfig,
    ExportConfig,
    NewProjectConfig,
    PredictConfig,
    TrainConfig,
)
from napari_unetseg.data.classes import thin_ids
from napari_unetseg.data.convert import convert as convert_volume
from napari_unetseg.data.convert import needs_conversion
from napari_unetseg.data.export import export_labels
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import (
    ModelNotFoundError,
    ProjectLockedError,
    explained_writing,
)
from napari_unetseg.events import (
    IsCancelled,
    LearnsFrom,
    Look,
    OnEvent,
    RunStarted,
    ignore_event,
    never_cancelled,
    nobody_looks,
)
from napari_unetseg.inference.block_work import ExecutorEngine
from napari_unetseg.inference.run import PredictJob, predict_job
from napari_unetseg.inference.workers import executor_for
from napari_unetseg.training.training_set import collect

__all__ = [
    "agreement",
    "compare_raters",
    "consensus",
    "export",
    "import_rater",
    "info",
    "list_objects",
    "make_consensus",
    "measure_effort",
    "merge",
    "models",
    "new_project",
    "predict",
    "promote",
    "roll_back",
    "sample",
    "train",
]


def new_project(
    folder: Path,
    volume: Path | str,
    config: NewProjectConfig,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
    *,
    model: Path | None = None,
) -> dict[str, Any]:
    """Make a project for a volume; a file that is no zarr is converted beside it.

    Parameters
    ----------
    model
        Folder of a model to begin with; it becomes the active one.
    """
    source, scale = str(volume), config.scale
    if "://" not in source and needs_conversion(Path(source)):
        target = converted_path(Path(source))
        if not target.exists():
            said = {} if scale is None else dict(scale)
            convert_volume(
                Path(source), target, ConvertConfig(**said), on_event, is_cancelled
            )
        source = str(target)
    project = Project.create(
        folder,
        source,
        class_names=config.classes,
        rater_names=config.raters,
        thin=config.thin,
        scale=scale,
    )
    with project:
        if model is not None:
            project.import_model(model)
        return {"project": str(project.folder), "volume": project.volume.uri,
                "classes": list(project.class_names)}  # fmt: skip


def converted_path(source: Path) -> Path:
    """Return where the zarr made from a file goes: beside it, same name."""
    name = source.name
    for suffix in (".nii.gz", ".ome.tiff", ".ome.tif", source.suffix):
        if suffix and name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return source.with_name(f"{name}.zarr")


def sample(
    folder: Path,
    config: Config | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Make the sample project in a folder, or find the one that is there."""
    on_event(RunStarted("sample", 1, subject="sample"))
    project = make_sample_project(folder)
    return {"project": str(project)}


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
        "backend": summary.backend,
        "failed_because": summary.failed_because,
    }


def train(
    folder: Path,
    config: TrainConfig | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Train a new model, or fine-tune ``config.parent``, from all corrections to date.

    The new version becomes the active one if there is none yet, or if it is better
    (:mod:`napari_unetseg.training.gate`). Where another program holds the project, as
    the window that started this as its child, that one does so itself.
    """
    from napari_unetseg.training.finetune import TrainJob
    from napari_unetseg.training.finetune import train as run_training

    config = config or TrainConfig()
    with Project.open(folder) as project:
        labels = collect(
            project.corrections,
            project.predictions(),
            project.classes,
            annotators=config.annotators,
        )
        on_event(LearnsFrom(labels.describe(), labels.stroke_ids, config.annotators))
        job = TrainJob(
            volume_uri=project.volume.uri,
            time_point=project.volume.time_point,
            scale=project.volume.scale,
            training_set=labels,
            models_dir=project.folder / "models",
            version=project.models.next_version(),
            parent_dir=project.models.dir(config.parent) if config.parent else None,
            classes=project.classes,
            raters=project.raters,
            normalisation=project.normalisation(),
            config=config,
        )
        card = run_training(job, on_event, is_cancelled)
        verdict = judged(project, card, labels, config, on_event, is_cancelled)
        if verdict.is_promoted and not project.read_only:
            project.set_active_model(card.version)
    return {
        "version": card.version,
        "parent": card.parent,
        "metrics": card.metrics,
        "promoted": verdict.is_promoted,
        "champion": verdict.champion,
        "verdict": verdict.said,
        "checks": [check.said for check in verdict.checks],
    }


def export(
    folder: Path,
    config: ExportConfig,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Write corrections over predictions to an open format."""
    with (
        executor_for(config.scheduler, config.workers) as executor,
        ProjectLabels(folder, config.annotator) as labels,
    ):
        project = labels.project
        return export_labels(
            labels,
            volume=project.volume,
            classes=project.classes,
            config=config,
            engine=ExecutorEngine(executor, is_cancelled),
            on_event=on_event,
            is_cancelled=is_cancelled,
        )


def merge(folder: Path, other: Path) -> dict[str, Any]:
    """Bring what was done in a copy of a project into the project.

    Merging twice is merging once. Who went on in both copies gets the strokes of the
    other one under another name; see :mod:`napari_unetseg.data.journal_merge`.
    """
    with Project.open(folder) as project:
        merged = merge_project(project, other)
        return {
            "project": str(project.folder),
            "strokes": merged.strokes,
            "renamed": merged.renamed,
            "reviewed": merged.n_reviewed,
            "rejected_clicks": merged.n_rejected_clicks,
            "annotators": list(project.corrections.annotators()),
        }


def list_objects(
    folder: Path,
    config: ExportConfig,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Write the table of objects that the project keeps to look through."""
    kept = config.replace(target=Path(folder) / "objects.csv")
    return export(folder, kept, on_event, is_cancelled)


def info(path: Path | str) -> dict[str, Any]:
    """Describe a project or a volume."""
    if "://" not in str(path) and is_project(path):
        with Project.open(path, read_only=True) as project:
            return _project_info(project)
    volume = Volume.open(path)
    return _volume_info(volume)


def _volume_info(volume: Volume) -> dict[str, Any]:
    return {
        "volume": volume.uri,
        "format": volume.info.version,
        "shape": list(volume.shape),
        "channels": volume.n_channels,
        "dtype": str(volume.dtype),
        "voxel_size": list(volume.voxel_size),
        "unit": volume.unit,
        "levels": [list(level.shape) for level in volume.levels],
        "chunk": list(volume.levels[0].chunk),
        "labels": list(volume.info.label_names),
    }


def _project_info(project: Project) -> dict[str, Any]:
    return {
        "project": str(project.folder),
        "classes": list(project.class_names),
        "raters": list(project.raters),
        "active_model": project.active_model,
        "models": list(project.models.versions()),
        "annotators": list(project.corrections.annotators()),
        "strokes": project.corrections.n_strokes,
        "labelled_voxels": project.corrections.counts(),
        **_volume_info(project.volume),
    }


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
