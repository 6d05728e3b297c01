"""A clock that the journal asks for the time, turned by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

BEGIN = datetime(2026, 3, 1, 9, 0, 0, tzinfo=UTC)


class JournalClock:
    """Stands still until somebody turns it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = BEGIN
        for module in ("journal", "journal_notes"):
            monkeypatch.setattr(f"napari_unetseg.data.{module}.now", self.text)

    def text(self) -> str:
        return self.now.isoformat(timespec="milliseconds")

    def turn(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now
