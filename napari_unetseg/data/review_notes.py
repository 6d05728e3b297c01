"""What people said about regions without changing a voxel: looked at, rejected."""

from __future__ import annotations

from napari_unetseg.data.journal import Journal
from napari_unetseg.data.journal_notes import Reviewed
from napari_unetseg.errors import ReadOnlyError
from napari_unetseg.geometry import Box, Zyx


class Writable:
    """What may be opened to read only."""

    read_only: bool

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyError(
                "The project is read-only, nothing can be labelled",
                do="Close it elsewhere, or work on a copy.",
            )


class ReviewedRegions(Writable):
    """The part of the corrections that keeps notes."""

    _journal: Journal

    def add_reviewed(
        self,
        box: Box,
        annotator: str,
        model_version: str | None = None,
        state: str = "accepted",
        *,
        class_id: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Note that somebody looked at a region, in a state of :class:`Reviewed`."""
        self._check_writable()
        self._journal.add_reviewed(
            box, annotator, model_version, state, class_id=class_id, seconds=seconds
        )

    def reviewed(self, annotator: str | None = None) -> list[Reviewed]:
        """Return the regions that were looked at, oldest first."""
        found = self._journal.reviewed()
        return [r for r in found if annotator is None or r.annotator == annotator]

    def remove_reviewed(self, identifier: int) -> None:
        """Take a note back."""
        self._check_writable()
        self._journal.remove_reviewed(identifier)

    def add_rejected_click(
        self,
        point: Zyx,
        class_id: int,
        annotator: str,
        model_version: str | None = None,
    ) -> None:
        """Note that a click found something that nobody wanted."""
        self._check_writable()
        self._journal.add_rejected_click(point, class_id, annotator, model_version)

    def rejected_clicks(self) -> list[tuple[Zyx, int]]:
        """Return point and class of the clicks that were rejected."""
        return self._journal.rejected_clicks()

    def rejected_by(self) -> list[tuple[str, str, str | None]]:
        """Return annotator, time and model version of the clicks that were rejected."""
        return self._journal.rejected_by()

    def add_notes_of(self, source: Journal) -> tuple[int, int]:
        """Append regions and clicks of another journal; return how many of each."""
        self._check_writable()
        tables = ("reviewed", "rejected_clicks")
        n_reviewed, n_clicks = (
            self._journal.add_notes(table, source.notes(table)) for table in tables
        )
        return n_reviewed, n_clicks
