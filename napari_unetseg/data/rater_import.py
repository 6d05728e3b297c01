"""A rater's labels become strokes of that rater in the journal.

::

    labels ── box ──▶ values ──▶ classes ──▶ what is not said yet ──▶ one stroke

A box at a time, each on disk before the next one. Voxels that were not labelled stay
UNSET. To import again writes only what has changed since, so that an import that was
stopped is simply started again; undo takes it back box by box.
"""

from __future__ import annotations

from typing import Any

from napari_unetseg.data.corrections import UNSET, CorrectionStore
from napari_unetseg.data.foreign_labels import ForeignLabels, ValueMap
from napari_unetseg.data.steps import Steps
from napari_unetseg.errors import Cancelled, LabelsError
from napari_unetseg.events import IsCancelled, OnEvent, ignore_event, never_cancelled
from napari_unetseg.geometry import Box, Zyx, zyx

TOOL = "import"
_BOX_VOXELS = 2**22
_CELL: Zyx = (32, 128, 128)


def import_labels(
    store: CorrectionStore,
    labels: ForeignLabels,
    values: ValueMap,
    *,
    rater: str,
    on_event: OnEvent = ignore_event,
    is_cancelled: IsCancelled = never_cancelled,
) -> dict[str, Any]:
    """Write labels as strokes of a rater.

    Returns
    -------
    dict
        ``rater``, ``strokes``, ``voxels`` written, and ``labelled``: all that the rater
        has labelled now.

    Raises
    ------
    LabelsError
        If the shape is not that of the volume, a value has no meaning, or the rater has
        painted in the project: what a person did is not overwritten.
    ReadOnlyError, DiskFullError, Cancelled
        What was written until then stays.
    """
    _check(store, labels, rater)
    boxes = [box.clipped(store.shape) for box in _boxes(store.shape)]
    steps = Steps("import", len(boxes), on_event, is_cancelled, subject=labels.name,
                  noun="The import")  # fmt: skip
    n_strokes = n_voxels = 0
    for box in boxes:
        if is_cancelled():
            raise Cancelled(
                "The import was stopped",
                do="What was imported stays; import again to go on.",
            )
        new = values.applied(labels.read(box), labels.name)
        mask = (new != UNSET) & (new != store.read(rater, box))
        if mask.any():
            store.commit(box, mask, new, annotator=rater, tool=TOOL)
            n_strokes, n_voxels = n_strokes + 1, n_voxels + int(mask.sum())
        steps.done()
    return {
        "rater": rater,
        "strokes": n_strokes,
        "voxels": n_voxels,
        "labelled": store.counts().get(rater, 0),
    }


def _boxes(shape: Zyx) -> list[Box]:
    """Return boxes of whole rows, which is how files are read, of some four million."""
    row = _CELL[0] * _CELL[1] * shape[2]
    n_rows = max(1, _BOX_VOXELS // row)
    cell = zyx((_CELL[0], _CELL[1] * n_rows, max(shape[2], 1)))
    return list(Box.whole(shape).cells(cell))


def _check(store: CorrectionStore, labels: ForeignLabels, rater: str) -> None:
    if labels.shape != store.shape:
        raise LabelsError(
            f"The labels of {labels.name} have another shape than the volume",
            got=labels.shape,
            expected=store.shape,
        )
    if labels.dtype.kind not in "iubf":
        raise LabelsError(
            f"The labels of {labels.name} are no integers", got=str(labels.dtype)
        )
    if not rater.strip():
        raise LabelsError("The rater has no name")
    painted = [s for s in store.strokes(rater) if s.tool != TOOL and s.kind == "edit"]
    if painted:
        raise LabelsError(
            f"{rater} has painted in this project",
            got=f"{len(painted)} strokes",
            do="Import under another name.",
        )
