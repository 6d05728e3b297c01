"""What is done with the versions of a model: compare, use, go back."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Any

from napari_unetseg.app.project import Project
from napari_unetseg.app.project_file import read_project_file
from napari_unetseg.config import TrainConfig
from napari_unetseg.data.effort import moment
from napari_unetseg.errors import Cancelled, ModelError, UnetsegError
from napari_unetseg.events import IsCancelled, OnEvent
from napari_unetseg.inference.process_block import sample_of
from napari_unetseg.inference.run import known_blocks
from napari_unetseg.models.store import ModelCard
from napari_unetseg.models.verdict import Verdict, not_judged, promoted
from napari_unetseg.training.stored_versions import StoredVersion
from napari_unetseg.training.training_set import TrainingSet

_LOG = logging.getLogger(__name__)


class VersionState(StrEnum):
    """What a version of the model is to the project."""

    IN_USE = "in use"
    CANDIDATE = "candidate"
    USED_BEFORE = "used before"


def state_of(project: Project, card: ModelCard) -> VersionState:
    """Return what a version is to the project.

    Versions that nobody compared (imported, or of an earlier program) were in use as
    soon as they were there.
    """
    if card.version == project.active_model:
        return VersionState.IN_USE
    if card.version in project.used_models or card.gate is None:
        return VersionState.USED_BEFORE
    return VersionState.CANDIDATE


def version_before(project: Project) -> str | None:
    """Return the version to go back to: the last one used that is older."""
    versions = project.models.versions()
    if project.active_model not in versions:
        return None
    older = versions[: versions.index(project.active_model)]
    used = [version for version in project.used_models if version in older]
    return used[-1] if used else None


def models(folder: Path) -> dict[str, Any]:
    """List the versions of the model of a project, and what each of them is."""
    with Project.open(folder, read_only=True) as project:
        return {
            "active_model": project.active_model,
            "models": [_described(project, card) for card in project.models.cards()],
        }


def promote(folder: Path, version: str) -> dict[str, Any]:
    """Use a version from now on.

    Raises
    ------
    ModelNotFoundError
        If there is no such version.
    """
    with Project.open(folder) as project:
        before = project.active_model
        project.set_active_model(version)
        return {"active_model": version, "before": before}


def roll_back(folder: Path) -> dict[str, Any]:
    """Use the version again that was in use before.

    Raises
    ------
    ModelError
        If there is none.
    """
    with Project.open(folder) as project:
        before, version = project.active_model, version_before(project)
        if version is None:
            raise ModelError(
                "There is no version to go back to",
                do="Name the version to use: napari-unetseg promote.",
            )
        project.set_active_model(version)
        return {"active_model": version, "before": before}


def stored_versions(project: Project) -> list[StoredVersion]:
    """Return the versions whose predictions are on disk."""
    stored = []
    for card in project.models.cards():
        predictions = project.predictions(card.version)
        if predictions is not None:
            log = project.run_log_path(card.version)
            blocks = known_blocks(log, project.volume.shape)
            made = moment(card.created)
            stored.append(StoredVersion(card.version, made, predictions, blocks))
    return stored


def judged(
    project: Project,
    card: ModelCard,
    labels: TrainingSet,
    config: TrainConfig,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
) -> Verdict:
    """Compare a new version with the one in use, and keep the verdict in its card.

    The steps of a training stand on disk one after the other: the version, the
    verdict, and then the change of the version in use. Whenever it is ended, the
    project has one whole version in use.
    """
    # Anew: while it was trained, somebody may have chosen another version.
    champion = read_project_file(project.folder).active_model
    if champion is None:
        said = "The first model: there is nothing to compare it with."
        verdict = promoted(None, said)
    elif config.promote == "always":
        verdict = promoted(champion, "In use without a comparison, as was asked for.")
    elif config.promote == "never":
        verdict = not_judged(champion, "No comparison was asked for.")
    else:
        models = project.models.dir(champion), project.models.dir(card.version)
        verdict = _compared(project, models, labels, config, on_event, is_cancelled)
    project.models.keep_verdict(card.version, verdict)
    return verdict


def outcome_of(card: ModelCard, verdict: Verdict) -> dict[str, Any]:
    """Return what became of a new version, as plain values."""
    return {
        "version": card.version,
        "parent": card.parent,
        "promoted": verdict.is_promoted,
        "champion": verdict.champion,
        "verdict": verdict.said,
        "checks": [check.said for check in verdict.checks],
    }


def _compared(
    project: Project,
    models: tuple[Path, Path],
    labels: TrainingSet,
    config: TrainConfig,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
) -> Verdict:
    from napari_unetseg.training.gate import contest_of, judge

    champion, challenger = (folder.name for folder in models)
    try:
        volume, normalisation = project.volume, project.normalisation()
        contest = contest_of(
            models,
            labels,
            volume=volume,
            normalisation=normalisation,
            classes=project.classes,
            predictions=project.predictions(champion),
            config=config,
            sample=sample_of(volume, normalisation),
        )
        return judge(contest, on_event, is_cancelled)
    except Cancelled:
        raise
    except UnetsegError as error:  # the version itself is whole
        _LOG.warning("%s was not compared: %s", challenger, error)
        return not_judged(champion, str(error))


def _described(project: Project, card: ModelCard) -> dict[str, Any]:
    return {
        "version": card.version,
        "parent": card.parent,
        "state": state_of(project, card).value,
        "dice_when_trained": dict(card.metrics.get("dice") or {}),
        "verdict": None if card.gate is None else card.gate.said,
        "checks": [] if card.gate is None else [c.said for c in card.gate.checks],
    }
