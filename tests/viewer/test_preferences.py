from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from napari.settings import get_plugin_settings
from npe2 import PluginManifest

import napari_unetseg
from napari_unetseg.app import actions
from napari_unetseg.app.session import Session
from napari_unetseg.config import PredictConfig, Preferences
from napari_unetseg.viewer.main_widget import MainWidget
from napari_unetseg.viewer.preferences import (
    PLUGIN,
    PreferencesLink,
    keep_preference,
    read_preferences,
)

if TYPE_CHECKING:
    from napari import Viewer
    from npe2._pytest_plugin import TestPluginManager

MANIFEST = Path(napari_unetseg.__file__).parent / "napari.yaml"
Link = Callable[[Callable[[Preferences], None]], PreferencesLink]


@pytest.fixture
def page(plugin_settings: None, npe2pm: TestPluginManager) -> Any:
    """The preferences page of the plugin, as it comes."""
    npe2pm.register(PluginManifest.from_file(MANIFEST))
    return get_plugin_settings(PLUGIN)


@pytest.fixture
def link() -> Iterator[Link]:
    links: list[PreferencesLink] = []

    def make(on_change: Callable[[Preferences], None]) -> PreferencesLink:
        links.append(PreferencesLink(on_change))
        return links[-1]

    yield make
    for made in links:
        made.close()


def test_an_untouched_page_means_the_defaults(page: Any) -> None:
    assert read_preferences() == Preferences()


def test_what_is_chosen_is_read_and_on_disk(page: Any) -> None:
    page.annotation.annotator = "Ana"
    page.training.finetune_steps = 60
    assert read_preferences() == Preferences(annotator="Ana", finetune_steps=60)
    assert "finetune_steps: 60" in page.config_path.read_text()


def test_without_the_plugin_in_napari_the_defaults_hold(
    plugin_settings: None, link: Link
) -> None:
    heard: list[Preferences] = []
    link(heard.append)
    assert read_preferences() == Preferences()
    assert heard == []


def test_every_change_is_told_until_the_link_is_closed(page: Any, link: Link) -> None:
    heard: list[Preferences] = []
    watching = link(heard.append)
    page.prediction.flips = 4
    assert heard == [Preferences(flips=4)]
    watching.close()
    page.prediction.flips = 1
    assert len(heard) == 1


def test_values_that_make_no_sense_give_way_to_the_defaults(
    page: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        "napari_unetseg.viewer.preferences._values", lambda: [("flips", 3)]
    )
    assert read_preferences() == Preferences()
    assert "flips" in caplog.text


def test_the_dock_starts_with_them_and_follows_them(page: Any, viewer: Viewer) -> None:
    page.annotation.annotator = "Ana"
    dock = MainWidget(viewer)
    try:
        assert dock.session.annotator == "Ana"
        page.annotation.annotator = "Bo"
        page.training.finetune_steps = 60
        page.prediction.flips = 1
        assert dock.session.annotator == "Bo"
        dock.refresh()
        assert "Bo" in dock.header.annotator.text()
        assert dock.panels["predict"].form.values()["flips"] == 1
        assert dock.panels["learn"].form.values()["steps"] == 1000
    finally:
        dock.close_parts()
        dock.deleteLater()


def test_what_is_ticked_in_the_window_is_kept(page: Any, viewer: Viewer) -> None:
    dock = MainWidget(viewer)
    try:
        dock.panels["learn"].auto.box.click()
        assert page.training.auto_finetune
        assert dock.session.preferences == Preferences(auto_finetune=True)
        keep_preference("auto_finetune", False)
        assert not dock.session.preferences.auto_finetune
    finally:
        dock.close_parts()
        dock.deleteLater()


def test_the_forms_show_what_is_preferred(dock: MainWidget, session: Session) -> None:
    session.set_preferences(Preferences(steps=60, threads=1))
    form = dock.panels["learn"].form
    dock.refresh()
    assert (form.values()["steps"], form.values()["threads"]) == (60, 1)
    assert form.changes() == {}
    form.set_values({"steps": 7})
    assert form.changes() == {"steps": 7}


def test_what_was_begun_is_shown_as_it_goes_on(
    dock: MainWidget, session: Session, project_folder: Path, model_dir: Path
) -> None:
    form = dock.panels["predict"].form
    session.import_model(model_dir)
    session.close()
    actions.predict(project_folder, PredictConfig(flips=1, missing_chunks="fill"))
    session.set_preferences(Preferences(flips=4))
    assert form.values()["flips"] == 4
    session.open_project(project_folder)
    assert (form.values()["flips"], form.values()["missing_chunks"]) == (1, "fill")
    assert form.changes() == {}
    session.set_preferences(Preferences(flips=2))
    assert form.values()["flips"] == 1
    session.close()
    assert (form.values()["flips"], form.values()["missing_chunks"]) == (2, "fail")
