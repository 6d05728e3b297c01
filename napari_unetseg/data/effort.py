"""What correcting cost: strokes, clicks, voxels and minutes, from the journal alone.

Time is that between two things one person did, if it is no longer than a pause::

    stroke   stroke  stroke                       stroke undo  accepted
    ──┬────────┬───────┬───────── coffee ───────────┬─────┬───────┬──▶
      └─ 40 s ─┴─ 20 s ┘        does not count      └ 10 s┴─ 30 s ┘    active: 100 s

What came before the first stroke, and looking on after the last, is not seen: the
figure is a lower bound. Labels that were imported, or restored after damage, are
nobody's work and counted apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np

from napari_unetseg.data.corrections import CorrectionStore, Stroke
from napari_unetseg.data.history import History

PAUSE_S = 120.0
CLICK = "click"
BROUGHT_IN = ("import", "restored")

Key: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True)
class Effort:
    """What one person did while one model version was shown, or a sum of such.

    Attributes
    ----------
    annotator, model_version
        Whose; both empty for a sum, the version None without a model.
    strokes
        Edits in effect, by tool.
    n_voxels
        Voxels that these set, each time anew if several did.
    n_changed
        Of these, where the annotator had said something else, or nothing, before;
        None if nobody counted.
    n_undone, n_undone_voxels
        Edits that were taken back, by undo or by a revert, and the voxels they had set.
    n_steps_back
        How often something was undone, done again or reverted.
    n_rejected_clicks
        Clicks whose object nobody wanted.
    n_brought_in
        Voxels that were imported or restored.
    active_s
        Seconds of work, without pauses.
    reviewed
        Regions that were looked at, by state.
    """

    annotator: str = ""
    model_version: str | None = None
    strokes: Mapping[str, int] = field(default_factory=dict)
    n_voxels: int = 0
    n_changed: int | None = None
    n_undone: int = 0
    n_undone_voxels: int = 0
    n_steps_back: int = 0
    n_rejected_clicks: int = 0
    n_brought_in: int = 0
    active_s: float = 0.0
    reviewed: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_strokes(self) -> int:
        """Edits in effect."""
        return sum(self.strokes.values())

    @property
    def n_clicks(self) -> int:
        """Clicks that ended in an object, taken or not."""
        return self.strokes.get(CLICK, 0) + self.n_rejected_clicks

    @property
    def n_reviewed(self) -> int:
        """Regions that were looked at."""
        return sum(self.reviewed.values())

    @property
    def minutes(self) -> float:
        """Minutes of work, without pauses."""
        return self.active_s / 60


class Spent(NamedTuple):
    """What had been spent at some moment: strokes in effect then, seconds of work."""

    n_strokes: int
    active_s: float


class EffortMeter:
    """Reads a journal and answers what correcting cost; not thread-safe.

    The rows are held without their voxels; these are read one stroke at a time.

    Parameters
    ----------
    pause_s
        A gap longer than this, in seconds, is a pause and does not count.
    """

    def __init__(self, corrections: CorrectionStore, pause_s: float = PAUSE_S) -> None:
        self._store, self._pause_s = corrections, pause_s
        self._rows: list[_Row] = []
        self._histories: defaultdict[str, History] = defaultdict(History)
        self.update()

    def update(self) -> None:
        """Read what was done since the last time."""
        after = self._rows[-1].stroke.sequence if self._rows else 0
        for stroke in self._store.strokes(after=after):
            self._histories[stroke.annotator].take(stroke)
            self._rows.append(_Row(moment(stroke.time), stroke))
        self._notes = [
            *(_Note(moment(note.time), note.annotator, note.model_version, note.state)
              for note in self._store.reviewed()),
            *(_Note(moment(time), annotator, version, "")
              for annotator, time, version in self._store.rejected_by()),
        ]  # fmt: skip
        self._deeds = self._deeds_in_time()

    def measure(
        self, *, since: datetime | None = None, changed: bool = True
    ) -> tuple[Effort, ...]:
        """Return the effort of each person with each model version, in that order.

        Parameters
        ----------
        since
            Only what was done from this moment on.
        changed
            Count the voxels that really changed, which reads them all.

        Raises
        ------
        DamagedJournalError
            If the voxels of a stroke cannot be read.
        """
        sums: defaultdict[Key, _Sum] = defaultdict(_Sum)
        for when, row in self._rows:
            if since is None or when >= since:
                is_live = self._histories[row.annotator].counts(row)
                known = sums[row.annotator, row.model_version]
                known.add(row, is_live=is_live)
                if changed and is_live and is_work(row):
                    known.n_changed += self._n_changed(row)
        for note in self._notes:
            if since is None or note.when >= since:
                sums[note.annotator, note.model_version].note(note.state)
        for key, seconds in self._seconds(since=since).items():
            sums[key].active_s = seconds
        found = (sums[key].as_effort(key, changed) for key in sorted(sums, key=_order))
        return tuple(found)

    def spent_until(self, when: datetime) -> Spent:
        """Return what had been spent at a moment, to the second."""
        when = when.replace(microsecond=999_999)
        histories: defaultdict[str, History] = defaultdict(History)
        for then, row in self._rows:
            if then <= when:
                histories[row.annotator].take(row)
        live = (edit for history in histories.values() for edit in history.counting())
        return Spent(
            sum(map(is_work, live)), sum(self._seconds(until=when).values(), 0.0)
        )

    def _n_changed(self, row: Stroke) -> int:
        voxels = self._store.voxels(row)
        return int(np.count_nonzero(voxels.old != voxels.new))

    def _deeds_in_time(self) -> dict[str, list[tuple[datetime, str | None]]]:
        """Return by person when something was done, and over which version."""
        deeds: defaultdict[str, list[tuple[datetime, str | None]]] = defaultdict(list)
        for when, row in self._rows:
            if row.tool not in BROUGHT_IN:
                deeds[row.annotator].append((when, row.model_version))
        for note in self._notes:
            deeds[note.annotator].append((note.when, note.model_version))
        # By time and not by row: rows of a merged copy follow those made here.
        return {name: sorted(d, key=lambda one: one[0]) for name, d in deeds.items()}

    def _seconds(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> dict[Key, float]:
        """Return seconds of work; a gap belongs to what ended it."""
        seconds: defaultdict[Key, float] = defaultdict(float)
        for annotator, deeds in self._deeds.items():
            for (before, _), (then, version) in pairwise(deeds):
                gap = (then - before).total_seconds()
                is_inside = (since is None or before >= since) and (
                    until is None or then <= until
                )
                if is_inside and gap <= self._pause_s:
                    seconds[annotator, version] += gap
        return dict(seconds)


def summed(efforts: Iterable[Effort]) -> Effort:
    """Return efforts together."""
    parts = tuple(efforts)
    changed = [part.n_changed for part in parts if part.n_changed is not None]
    return Effort(
        strokes=_counted(part.strokes for part in parts),
        n_voxels=sum(part.n_voxels for part in parts),
        n_changed=sum(changed) if len(changed) == len(parts) else None,
        n_undone=sum(part.n_undone for part in parts),
        n_undone_voxels=sum(part.n_undone_voxels for part in parts),
        n_steps_back=sum(part.n_steps_back for part in parts),
        n_rejected_clicks=sum(part.n_rejected_clicks for part in parts),
        n_brought_in=sum(part.n_brought_in for part in parts),
        active_s=sum(part.active_s for part in parts),
        reviewed=_counted(part.reviewed for part in parts),
    )


def is_work(row: Stroke) -> bool:
    """Whether somebody drew it here."""
    return row.kind == "edit" and row.tool not in BROUGHT_IN


def moment(text: str) -> datetime:
    """Return the time of a row or a card; UTC if it says no zone."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class _Row(NamedTuple):
    """A row of the journal and when it was written."""

    when: datetime
    stroke: Stroke


class _Note(NamedTuple):
    """A region that was looked at, by its state; "" for a click that was rejected."""

    when: datetime
    annotator: str
    model_version: str | None
    state: str


@dataclass
class _Sum:
    """Adds up the rows of one person and one version."""

    strokes: Counter[str] = field(default_factory=Counter)
    reviewed: Counter[str] = field(default_factory=Counter)
    n_voxels: int = 0
    n_changed: int = 0
    n_undone: int = 0
    n_undone_voxels: int = 0
    n_steps_back: int = 0
    n_rejected_clicks: int = 0
    n_brought_in: int = 0
    active_s: float = 0.0

    def add(self, row: Stroke, *, is_live: bool) -> None:
        if row.kind != "edit":
            self.n_steps_back += 1
        elif not is_work(row):
            self.n_brought_in += row.n_voxels if is_live else 0
        elif is_live:
            self.strokes[row.tool] += 1
            self.n_voxels += row.n_voxels
        else:
            self.n_undone += 1
            self.n_undone_voxels += row.n_voxels

    def note(self, state: str) -> None:
        if state:
            self.reviewed[state] += 1
        else:
            self.n_rejected_clicks += 1

    def as_effort(self, key: Key, changed: bool) -> Effort:
        own = {**vars(self), "strokes": dict(self.strokes),
               "reviewed": dict(self.reviewed)}  # fmt: skip
        own["n_changed"] = self.n_changed if changed else None
        return Effort(*key, **own)


def _counted(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in counts:
        total.update(part)
    return dict(total)


def _order(key: Key) -> tuple[str, int, str]:
    """Sort by person, then no version, v2, v10."""
    annotator, version = key
    return annotator, len(version or ""), version or ""
