"""What the program can do with several raters: compare, agree, take in.

Raters are the annotators of a project, or label images of one shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_unetseg.app.project import Project
from napari_unetseg.app.project_file import is_project
from napari_unetseg.config import (
    AgreementConfig,
    ConsensusConfig,
    ImportConfig,
    VotesConfig,
)
from napari_unetseg.data.agreement import agreement as measure_agreement
from napari_unetseg.data.agreement_report import write_report
from napari_unetseg.data.classes import ClassInfo, default_classes
from napari_unetseg.data.consensus_export import margin_of, write_consensus
from napari_unetseg.data.foreign_labels import ValueMap, open_labels
from napari_unetseg.data.ome_zarr import read_image
from napari_unetseg.data.rater_import import import_labels
from napari_unetseg.data.rater_matrix import class_counts
from napari_unetseg.data.ratings import (
    MOST_CLASSES,
    AnnotatorRater,
    Ratings,
    adjudicators,
    ratings_of,
)
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import LabelsError, ReadOnlyError, explained_writing
from napari_unetseg.events import (
    IsCancelled,
    OnEvent,
    ignore_event,
    never_cancelled,
)


def agreement(
    labels: Sequence[Path | str],
    config: AgreementConfig | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Measure how far raters agree; write the report if there is a place for it.

    Parameters
    ----------
    labels
        A project; or label images of one shape; or a single volume, which stands for
        all of its label groups.
    """
    config = config or AgreementConfig()
    with _Compared.open(labels, config) as compared:
        found = measure_agreement(
            compared.ratings,
            [info.name for info in compared.classes] if compared.project else (),
            margin=margin_of(config),
            regions=config.regions,
            surfaces=config.surfaces,
            threads=config.threads,
            on_event=on_event,
            is_cancelled=is_cancelled,
        )
    out = config.out
    if out is None and compared.project is not None:
        out = compared.project.folder / "agreement"
    title = "Agreement between raters"
    if compared.project is not None:
        title += f": {compared.project.name}"
    return {**found, **(write_report(out, found, title) if out else {})}


def compare_raters(
    folder: Path,
    config: AgreementConfig | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Measure how far the raters of a project agree."""
    return agreement([folder], config, on_event, is_cancelled)


def consensus(
    labels: Sequence[Path | str],
    config: ConsensusConfig | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Write what raters agree on as OME-Zarr labels.

    Parameters
    ----------
    labels
        As for :func:`agreement`. The consensus of a project goes into its folder
        ``consensus`` unless ``config.out`` says otherwise.
    """
    config = config or ConsensusConfig()
    with _Compared.open(labels, config) as compared:
        if config.out is None and compared.project is not None:
            folder = compared.project.folder / "consensus"
            with explained_writing("the consensus", folder):
                folder.mkdir(exist_ok=True)
            config = config.replace(
                out=folder / f"{config.method}.zarr", overwrite=True
            )
        return write_consensus(
            compared.ratings,
            volume=compared.volume,
            classes=compared.classes,
            config=config,
            on_event=on_event,
            is_cancelled=is_cancelled,
        )


def make_consensus(
    folder: Path,
    config: ConsensusConfig | None = None,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Write what the raters of a project agree on."""
    return consensus([folder], config, on_event, is_cancelled)


def import_rater(
    folder: Path,
    labels: Path | str,
    config: ImportConfig,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Take labels that were made elsewhere in as strokes of a rater."""
    with Project.open(folder) as project:
        return import_into(project, labels, config, on_event, is_cancelled)


def import_into(
    project: Project,
    labels: Path | str,
    config: ImportConfig,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Do the same in a project that is open."""
    if project.read_only:
        raise ReadOnlyError(
            f"The project {project.name} cannot take anything in", do=project.held_by
        )
    values = ValueMap.of(
        project.class_names, pairs=config.map, only=config.only, partial=config.partial
    )
    return import_labels(
        project.corrections,
        open_labels(labels),
        values,
        rater=config.rater.strip(),
        on_event=on_event,
        is_cancelled=is_cancelled,
    )


def rater_matrix(project: Project) -> dict[str, dict[str, int]]:
    """Return rater → class name → voxels, background too; no volume is read."""
    names = dict(enumerate(["background", *project.class_names]))
    counts = class_counts(project.corrections, project.folder)
    return {
        rater: {name: of_rater.get(number, 0) for number, name in names.items()}
        for rater, of_rater in counts.items()
    }


def ratings_of_project(project: Project, config: VotesConfig) -> Ratings:
    """Return what the annotators of a project said.

    Those who only decided between others are no raters, unless they are asked for.

    Raises
    ------
    LabelsError
        If one of those asked for has labelled nothing, or there are fewer than two.
    """
    known = project.corrections.annotators()
    judges = adjudicators(project.corrections)
    chosen = config.raters or tuple(name for name in known if name not in judges)
    for name in chosen:
        if name not in known:
            raise LabelsError(
                f"{name} has labelled nothing in {project.name}",
                expected=", ".join(known) or "somebody who has",
                do="Import the labels of this rater first.",
            )
    return Ratings(
        {name: AnnotatorRater(project.corrections, name) for name in chosen},
        project.volume.voxel_size,
        project.volume.unit,
        config.unlabelled,
    )


@dataclass(frozen=True)
class _Compared:
    """What is compared, and what it belongs to."""

    ratings: Ratings
    volume: Volume
    classes: tuple[ClassInfo, ...]
    project: Project | None = None

    @classmethod
    def open(cls, labels: Sequence[Path | str], config: VotesConfig) -> _Compared:
        if len(labels) == 1 and is_project(labels[0]):
            return cls._of_project(Path(labels[0]), config)
        paths = _label_paths(labels)
        names = config.names or tuple(path.name for path in paths)
        if len(set(names)) != len(paths):
            raise LabelsError("Every label image needs a name of its own",
                              got=", ".join(names), expected=f"{len(paths)} names",
                              do="Give them: --names A,B")  # fmt: skip
        volumes = [Volume.open(path) for path in paths]
        first = volumes[0]
        images = {n: v.array(0) for n, v in zip(names, volumes, strict=True)}
        ratings = ratings_of(images, first.voxel_size, first.unit, config.unlabelled)
        numbered = [f"class {n}" for n in range(1, MOST_CLASSES + 1)]
        return cls(ratings, first, default_classes(numbered))

    @classmethod
    def _of_project(cls, folder: Path, config: VotesConfig) -> _Compared:
        project = Project.open(folder, read_only=True)
        try:
            ratings = ratings_of_project(project, config)
        except BaseException:
            project.close()
            raise
        return cls(ratings, project.volume, project.classes, project)

    def __enter__(self) -> _Compared:
        return self

    def __exit__(self, *_: object) -> None:
        if self.project is not None:
            self.project.close()


def _label_paths(labels: Sequence[Path | str]) -> list[Path]:
    paths = [Path(label) for label in labels]
    if len(paths) > 1:
        return paths
    names = read_image(paths[0]).label_names if paths else ()
    if len(names) < 2:
        raise LabelsError(
            "Agreement needs at least two label images", got=len(names) or len(paths),
            do="Name two or more, or one volume that holds several.",
        )  # fmt: skip
    return [paths[0] / "labels" / name for name in names]
