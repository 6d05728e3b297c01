"""Getting a model used to the volume of a project, as one verb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_unetseg.app.model_actions import judged, outcome_of
from napari_unetseg.app.model_fit import check_fits, why_not_adapt
from napari_unetseg.app.project import Project
from napari_unetseg.config import AdaptConfig, TrainConfig
from napari_unetseg.errors import ModelMismatchError, ModelNotFoundError, TrainingError
from napari_unetseg.events import IsCancelled, OnEvent, ignore_event, never_cancelled
from napari_unetseg.models.store import ModelCard
from napari_unetseg.models.verdict import Verdict, not_judged
from napari_unetseg.training.training_set import TrainingSet, collect


def adapt(
    folder: Path,
    config: AdaptConfig | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Make a version that is used to how the volume looks; no labels are needed.

    It takes the place of the one in use if labels show that it is better, as any other
    (:mod:`napari_unetseg.training.gate`). Without labels it is a candidate.

    Raises
    ------
    ModelNotFoundError
        If there is no model yet.
    ModelMismatchError
        If the network remembers nothing that could be adapted.
    """
    from napari_unetseg.training.adaptation import AdaptJob
    from napari_unetseg.training.adaptation import adapt as run_adaptation

    config = config or AdaptConfig()
    with Project.open(folder) as project:
        parent = _card(project, config)
        job = AdaptJob(
            volume_uri=project.volume.uri,
            time_point=project.volume.time_point,
            scale=project.volume.scale,
            parent_dir=project.models.dir(parent.version),
            models_dir=project.folder / "models",
            version=project.models.next_version(),
            normalisation=project.normalisation(),
            predictions=project.predictions(parent.version),
            config=config,
        )
        card = run_adaptation(job, on_event, is_cancelled)
        verdict = _judged(project, card, config, on_event, is_cancelled)
        if verdict.is_promoted and not project.read_only:
            project.set_active_model(card.version)
    return outcome_of(card, verdict) | {"adapted": card.training["adapted"]}


def _card(project: Project, config: AdaptConfig) -> ModelCard:
    version = config.model or project.active_model
    if version is None:
        raise ModelNotFoundError(
            "This project has no model yet",
            do="Import one, or label a few slices and train a new one.",
        )
    card = project.models.card(version)
    check_fits(card, project.volume, project.class_names)
    if reason := why_not_adapt(card):
        raise ModelMismatchError(reason)
    return card


def _judged(
    project: Project,
    card: ModelCard,
    config: AdaptConfig,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
) -> Verdict:
    """Compare the version with the one in use, if there is anything to compare on."""
    labels = _labels(project)
    if labels is not None:
        how = TrainConfig(device=config.device, threads=config.threads)
        return judged(project, card, labels, how, on_event, is_cancelled)
    why = f"Nothing is labelled. Use {card.version} and see, or review some regions."
    verdict = not_judged(project.active_model, why)
    project.models.keep_verdict(card.version, verdict)
    return verdict


def _labels(project: Project) -> TrainingSet | None:
    try:
        return collect(project.corrections, project.predictions(), project.classes)
    except TrainingError:  # none, or of one kind only
        return None
