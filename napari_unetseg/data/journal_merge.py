"""Merge: what people did in two copies of a project, in one journal.

Everybody has labels of their own, so strokes of different people cannot collide. A
stroke is known by its id; those that are here already are skipped, so merging twice is
merging once::

    here     a1 a2 b1 b2
    there    a1    b1 b3 c1 c2
    merged   a1 a2 b1 b2 c1 c2, and b3 as "Bo (copy)"

Who went on in the copy alone (Cy) gets the rows as they are. Who went on in both (Bo)
gets those of the copy under another name: nobody can say which of two labels of one
person is meant. There they hold only what was said since the copies parted; undo and
redo work as they did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from napari_unetseg.data.corrections import CorrectionStore, Stroke
from napari_unetseg.data.journal import Journal
from napari_unetseg.errors import LabelsError, ProjectNotFoundError
from napari_unetseg.geometry import Box


@dataclass(frozen=True)
class Merged:
    """What a merge has brought.

    Attributes
    ----------
    strokes
        How many rows came in, per name that they have now.
    renamed
        Who worked on in both copies, and the name that the rows of the other got.
    n_reviewed, n_rejected_clicks
        How many notes came in.
    """

    strokes: dict[str, int]
    renamed: dict[str, str]
    n_reviewed: int
    n_rejected_clicks: int


def merge_journals(into: CorrectionStore, other: Path | str) -> Merged:
    """Bring the strokes and notes of another project folder in.

    Where several people said something about a voxel, those who came in count as the
    last to edit. A region whose note was taken back here comes back if it is still
    noted there.

    Parameters
    ----------
    into
        The labels of a project, open to write.
    other
        Folder of the other project, which is only read.

    Raises
    ------
    ProjectNotFoundError
        If there is no journal.
    LabelsError
        If its strokes lie outside the volume: it is about another one.
    DiskFullError, ReadOnlyError
        If it cannot be written; merging again goes on where it stopped.
    """
    path = Path(other) / "journal.sqlite"
    if not path.is_file():
        raise ProjectNotFoundError(
            f"There is no journal at {other}", do="Choose the folder of a project."
        )
    with closing(Journal(path, into.dtype, read_only=True)) as source:
        rows = source.strokes()
        _check_inside(rows, into.shape, Path(other))
        known = {row.uuid: row.sequence for row in into.strokes()}
        own = {r.sequence: known[r.uuid] for r in rows if r.uuid in known}
        new = [row for row in rows if row.uuid not in known]
        in_both = _worked_on_in_both(into, source, {row.annotator for row in new})
        into.add_rows(source, [r for r in new if r.annotator not in in_both], own)
        renamed = {}
        for annotator in in_both:
            renamed[annotator] = _other_name(into, source, annotator)
            theirs = [row for row in new if row.annotator == annotator]
            _add_as(renamed[annotator], into, source, theirs)
        n_reviewed, n_clicks = into.add_notes_of(source)
    names = Counter(renamed.get(row.annotator, row.annotator) for row in new)
    return Merged(dict(names), renamed, n_reviewed, n_clicks)


def _check_inside(
    rows: Sequence[Stroke], shape: tuple[int, int, int], other: Path
) -> None:
    whole = Box.whole(shape)
    for row in rows:
        if not whole.contains(row.box):
            raise LabelsError(
                f"The project {other.name} is about another volume",
                got=f"a stroke at {row.box}",
                expected=f"inside {shape}",
            )


def _worked_on_in_both(
    into: CorrectionStore, source: Journal, annotators: set[str]
) -> list[str]:
    """Return those whose rows here are not the beginning of their rows there."""

    def parted(name: str) -> bool:
        mine = [row.uuid for row in into.strokes(name)]
        theirs = [row.uuid for row in source.strokes(annotator=name)]
        return theirs[: len(mine)] != mine

    return sorted(filter(parted, annotators))


def _other_name(into: CorrectionStore, source: Journal, annotator: str) -> str:
    """Return the name of an earlier merge of this copy, or one that nobody has."""
    theirs = {row.uuid for row in source.strokes(annotator=annotator)}
    return next(
        name
        for name in _copies(annotator)
        if {row.uuid for row in into.strokes(name)} <= theirs
    )


def _copies(annotator: str) -> Iterator[str]:
    yield f"{annotator} (copy)"
    for number in count(2):
        yield f"{annotator} (copy {number})"


def _add_as(
    name: str, into: CorrectionStore, source: Journal, rows: Sequence[Stroke]
) -> None:
    """Do what rows of another journal did once more, under another name.

    What takes back a stroke from before the copies parted has nothing to take back
    here: it is written as an edit.
    """
    here = {row.uuid: row for row in into.strokes(name)}
    uuid_of = {row.sequence: row.uuid for row in source.strokes()}
    for row in rows:
        target = here.get(uuid_of.get(row.target or 0, ""))
        if row.kind == "undo" and target and into.last_done(name) == target:
            added = into.undo(name, origin=row)
        elif row.kind == "redo" and target and into.last_undone(name) == target:
            added = into.redo(name, origin=row)
        elif row.kind == "revert" and target and into.counts_now(target):
            added = into.undo_stroke(target, origin=row)
        else:
            voxels = source.voxels(row)
            added = into.commit(
                row.box,
                voxels.mask,
                voxels.dense(),
                annotator=name,
                tool=row.tool,
                model_version=row.model_version,
                origin=row,
            )
        if added is not None:
            here[added.uuid] = added
