from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_unetseg.viewer import sample


def test_sample_is_opened_in_the_dock(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    viewer = object()
    session = SimpleNamespace(open_sample=lambda: opened.append("sample"))
    monkeypatch.setattr(sample, "current_viewer", lambda: viewer)
    monkeypatch.setattr(
        sample, "main_widget", lambda asked: SimpleNamespace(session=session)
    )
    assert sample.open_sample() == []
    assert opened == ["sample"]


def test_without_a_window_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "current_viewer", lambda: None)
    assert sample.open_sample() == []
