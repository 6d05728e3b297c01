"""What raters agree on, written: OME-Zarr labels, a table of the raters, chances."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_unetseg.config import ConsensusConfig, ExportConfig, VotesConfig
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.consensus import ConsensusLabels, Majority, Rule, Staple
from napari_unetseg.data.convert import default_chunk
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.export import export_labels
from napari_unetseg.data.export_target import check_target, written_whole
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.pyramid_store import (
    coarsen_block,
    level_steps,
    write_finest_block,
)
from napari_unetseg.data.ratings import Ratings
from napari_unetseg.data.staple import rater_table
from napari_unetseg.data.steps import Steps
from napari_unetseg.data.volume import Volume
from napari_unetseg.data.vote_count import Margin, VoteCounts, count_votes, n_blocks
from napari_unetseg.errors import ExportError, explained_writing
from napari_unetseg.events import IsCancelled, OnEvent
from napari_unetseg.geometry import Box, zyx


def write_consensus(
    ratings: Ratings,
    *,
    volume: Volume,
    classes: Sequence[ClassInfo],
    config: ConsensusConfig,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
) -> dict[str, Any]:
    """Write what raters agree on.

    Parameters
    ----------
    volume
        The image that the labels belong to: gives voxel size, origin and unit.
    classes
        Of the label ids 1, 2, …; only those that somebody used are written about.

    Returns
    -------
    dict
        ``target``, ``table`` (the JSON beside it), ``method``, ``ties``, ``raters``,
        ``near`` (voxels near the objects), ``margin``, ``voxels_per_class``.

    Raises
    ------
    LabelsError
        If STAPLE has fewer than three raters.
    ExportError, DiskFullError, ReadOnlyError, Cancelled
        Nothing half-written is left then.
    """
    if config.out is None:
        raise ExportError("The consensus needs a target", do="Name a folder (.zarr).")
    if config.probability is not None:
        check_target(config.probability, overwrite=False)
    steps = Steps("consensus", n_blocks(ratings.shape), on_event, is_cancelled,
                  subject=config.method, noun="The consensus")  # fmt: skip
    counts = count_votes(
        ratings, margin=margin_of(config), threads=config.threads, steps=steps
    )
    used = [info for info in classes if info.id in counts.whole.classes]
    classes = used or classes[:1]
    source = _labels_of(ratings, config, counts)
    export = ExportConfig(format="ome-zarr", target=config.out, name="consensus",
                          overwrite=config.overwrite)  # fmt: skip
    exported = export_labels(source, volume=volume, classes=classes, config=export,
                             on_event=on_event, is_cancelled=is_cancelled)  # fmt: skip
    if config.probability is not None:
        _write_chances(source, volume, classes, config.probability, on_event,
                       is_cancelled)  # fmt: skip
    table = {
        "method": config.method,
        "ties": config.ties if config.method == "majority" else None,
        "margin": str(margin_of(config)),
        **_quality(counts, classes),
        "voxels_per_class": exported["voxels_per_class"],
    }
    path = _written(table, beside=Path(exported["target"]))
    return {"target": exported["target"], "table": str(path), **table}


def _written(table: dict[str, Any], *, beside: Path) -> Path:
    path = beside.with_suffix(".json")
    with explained_writing("the table of raters", path):
        path.write_text(json.dumps(table, indent=2), "utf-8")
    return path


def _quality(counts: VoteCounts, classes: Sequence[ClassInfo]) -> dict[str, Any]:
    """Return how good each rater is near the objects, and how many voxels these are."""
    names = {info.id: info.name for info in classes}
    rows = rater_table(counts.near, lambda c: names.get(c, f"class {c}"))
    return {"near": counts.near.n_voxels, "raters": rows}


def margin_of(config: VotesConfig) -> Margin:
    """Return the margin that a config asks for."""
    if config.margin_um is not None:
        return Margin(config.margin_um, is_um=True)
    return Margin(config.margin)


def _labels_of(
    ratings: Ratings, config: ConsensusConfig, counts: VoteCounts
) -> ConsensusLabels:
    """Return the labels that raters agree on, read as they are asked for."""
    is_kept = config.ties == "unlabelled" and config.method == "majority"
    unlabelled = UNSET if is_kept else 0
    return ConsensusLabels(ratings, _rule(config, counts), unlabelled=unlabelled)


def _rule(config: ConsensusConfig, counts: VoteCounts) -> Rule:
    return (
        Staple.of(counts.near) if config.method == "staple" else Majority(config.ties)
    )


def _write_chances(
    source: ConsensusLabels,
    volume: Volume,
    classes: Sequence[ClassInfo],
    target: Path,
    on_event: OnEvent,
    is_cancelled: IsCancelled,
) -> None:
    """Write a channel per class, uint8."""
    chunk = default_chunk(source.shape, volume.voxel_size)
    ids = [info.id for info in classes]
    with written_whole(target) as partial:
        group = create_image(
            partial,
            shape=source.shape,
            dtype="uint8",
            chunk=chunk,
            voxel_size=volume.voxel_size,
            unit=volume.unit,
            n_channels=len(ids),
            name="consensus probability",
            channel_names=[info.name for info in classes],
        )
        shapes = [zyx(step.array.shape[-3:]) for step in level_steps(group)]
        steps = Steps("export", sum(n_blocks(s, chunk) for s in shapes), on_event,
                      is_cancelled, subject=target.name, noun="The export")  # fmt: skip
        for level, shape in enumerate(shapes):
            for cell in Box.whole(shape).cells(chunk):
                steps.check()
                box = cell.clipped(shape)
                if level == 0:
                    write_finest_block(group, box, source.probability(box, ids))
                else:
                    coarsen_block(group, level, box)
                steps.done(f"level {level}")
