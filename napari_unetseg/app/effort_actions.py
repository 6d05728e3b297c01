"""What correcting cost, and what it brought: measured for a whole project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_unetseg.app.model_actions import stored_versions
from napari_unetseg.app.project import Project
from napari_unetseg.config import EffortConfig
from napari_unetseg.data.effort import Effort, EffortMeter, moment, summed
from napari_unetseg.data.effort_report import write_effort
from napari_unetseg.events import (
    IsCancelled,
    OnEvent,
    ignore_event,
    never_cancelled,
)
from napari_unetseg.models.store import ModelCard
from napari_unetseg.training.training_set import Accepted, accepted_regions
from napari_unetseg.training.version_scores import (
    LookedAt,
    Measure,
    VersionScore,
    score_versions,
)


def measure_effort(
    folder: Path,
    config: EffortConfig | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Measure effort and gain of a project, and write the report.

    It goes into the folder ``effort`` of the project unless ``config.out`` says
    otherwise.
    """
    config = config or EffortConfig()
    with Project.open(folder, read_only=True) as project:
        found = effort_of(project, config, on_event, is_cancelled)
        out = config.out or project.folder / "effort"
        return {**found, **write_effort(out, found, f"Effort: {project.name}")}


def effort_of(
    project: Project,
    config: EffortConfig,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Return what the report on effort is made from, as plain values."""
    meter = EffortMeter(project.corrections, config.pause_s)
    people = meter.measure()
    looked_at = _looked_at(project)
    stored = stored_versions(project)
    measure = Measure(
        tuple(info.id for info in project.classes),
        "zyx".index(config.axis), config.gamma, config.epsilon,
    )  # fmt: skip
    scores = score_versions(
        project.corrections, looked_at, stored, measure, on_event, is_cancelled
    )
    cards = sorted(project.models.cards(), key=lambda card: moment(card.created))
    return {
        "project": project.name,
        "classes": list(project.class_names),
        "colors": {info.name: info.color for info in project.classes},
        **config.model_dump(mode="json", exclude={"out"}),
        "total": as_row(summed(people)),
        "people": [as_row(one) for one in people],
        "n_regions": len(looked_at),
        "versions": [
            _version_row(project, card, meter, scores.get(card.version))
            for card in cards
        ],
    }


def as_row(effort: Effort) -> dict[str, Any]:
    """Return an effort as plain values, with what follows from them."""
    return {
        **asdict(effort),
        "n_strokes": effort.n_strokes,
        "n_clicks": effort.n_clicks,
        "n_reviewed": effort.n_reviewed,
        "minutes": round(effort.minutes, 2),
    }


def _looked_at(project: Project) -> Sequence[LookedAt]:
    folder = project.folder / "predictions"
    return [
        LookedAt(
            Accepted(note.box.clipped(project.volume.shape), seen),
            note.model_version,
            moment(note.time),
        )
        for note, seen in accepted_regions(project.corrections, folder)
    ]


def _version_row(
    project: Project, card: ModelCard, meter: EffortMeter, score: VersionScore | None
) -> dict[str, Any]:
    spent = meter.spent_until(moment(card.created))
    score = score or VersionScore()
    names = {info.id: info.name for info in project.classes}
    efforts = {names[number]: part.total for number, part in score.effort.items()}
    all_efforts = sum(efforts.values())
    return {
        "version": card.version,
        "parent": card.parent,
        "created": card.created,
        "strokes": spent.n_strokes,
        "minutes": round(spent.active_s / 60, 2),
        "n_voxels": score.n_voxels,
        "n_own": score.n_own,
        "n_learned": score.n_learned,
        "n_elsewhere": score.n_elsewhere,
        "was_reference": score.n_own > 0,
        "dice": {name: score.dice(number) for number, name in names.items()},
        "dice_elsewhere": {
            name: score.dice_elsewhere(number) for number, name in names.items()
        },
        "hce": efforts,
        "hce_per_mvoxel": 1e6 * all_efforts / score.n_voxels
        if score.n_voxels
        else None,
    }
