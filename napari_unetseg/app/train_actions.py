"""Train a new model or a further version, and let the gate decide about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unetseg.app.model_actions import judged, outcome_of, stored_versions
from napari_unetseg.app.planning import plan_from_labels
from napari_unetseg.app.project import Project
from napari_unetseg.config import TrainConfig
from napari_unetseg.events import (
    IsCancelled,
    LearnsFrom,
    Message,
    OnEvent,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.training.ancestry import origin_of
from napari_unetseg.training.training_set import TrainingSet, collect

if TYPE_CHECKING:
    from napari_unetseg.training.finetune import TrainJob
    from napari_unetseg.training.plan import TrainingPlan


def train(
    folder: Path,
    config: TrainConfig | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Train a new model, or fine-tune ``config.parent``, from all corrections to date.

    The new version becomes the active one if there is none yet, or if it is better
    (:mod:`napari_unetseg.training.gate`). Who stops the training keeps the best so far,
    which is compared as any other. Where another program holds the project, as
    the window that started this as its child, that one does so itself.
    """
    from napari_unetseg.training.finetune import train as run_training
    from napari_unetseg.training.loop import End

    config = config or TrainConfig()
    with Project.open(folder) as project:
        labels = _labels(project, config)
        on_event(LearnsFrom(labels.describe(), labels.stroke_ids, config.annotators))
        plan = None
        if config.parent is None:
            plan = plan_from_labels(project, config, labels)
            config = plan.applied(config)
            on_event(Message(plan.said(config)))
        job = _job(project, labels, config, plan)
        card = run_training(job, on_event, is_cancelled)
        end = card.training["end"]
        if end == End.STOPPED:  # what was asked for then has been done
            is_cancelled = never_cancelled
        verdict = judged(project, card, labels, config, on_event, is_cancelled)
        if verdict.is_promoted and not project.read_only:
            project.set_active_model(card.version)
    return outcome_of(card, verdict) | {
        "metrics": card.metrics,
        "end": end,
        "steps": card.training["steps"],
    }


def _labels(project: Project, config: TrainConfig) -> TrainingSet:
    return collect(
        project.corrections,
        project.predictions(),
        project.classes,
        annotators=config.annotators,
        versions=stored_versions(project),
        implied=config.implied,
    )


def _job(
    project: Project,
    labels: TrainingSet,
    config: TrainConfig,
    plan: TrainingPlan | None,
) -> TrainJob:
    from napari_unetseg.training.finetune import TrainJob

    parent = start = config.parent
    if start is not None and config.start == "origin":
        start = origin_of(project.models, start)
    return TrainJob(
        volume_uri=project.volume.uri,
        time_point=project.volume.time_point,
        scale=project.volume.scale,
        plan=plan,
        training_set=labels,
        models_dir=project.folder / "models",
        version=project.models.next_version(),
        parent_dir=project.models.dir(parent) if parent else None,
        start_dir=project.models.dir(start) if start else None,
        predictions=project.predictions(parent) if parent else None,
        classes=project.classes,
        raters=project.raters,
        normalisation=project.normalisation(),
        config=config,
    )
