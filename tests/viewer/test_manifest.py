from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_unetseg
from napari_unetseg.config import Preferences

MANIFEST = Path(napari_unetseg.__file__).parent / "napari.yaml"
CONTRIBUTABLE = {"napari/layers/segment", "napari/layers/annotate"}


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


def test_every_command_can_be_imported(manifest: PluginManifest) -> None:
    for command in manifest.contributions.commands or ():
        module, name = str(command.python_name).split(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_every_contribution_has_its_command(manifest: PluginManifest) -> None:
    parts = manifest.contributions
    known = {command.id for command in parts.commands or ()}
    used = [c.command for c in (*parts.readers, *parts.writers, *parts.widgets)]
    used += [item.command for menu in parts.menus.values() for item in menu]
    used += [sample.command for sample in parts.sample_data]
    assert set(used) <= known


def test_menus_are_those_that_napari_lends(manifest: PluginManifest) -> None:
    assert set(manifest.contributions.menus) == CONTRIBUTABLE


def test_titles_are_plain_sentences(manifest: PluginManifest) -> None:
    for command in manifest.contributions.commands or ():
        assert command.title[0].isupper()
        assert not command.title.endswith(".")


def test_the_preferences_page_says_what_the_config_says(
    manifest: PluginManifest,
) -> None:
    pages = manifest.contributions.configurations or {}
    shown = {k: p for page in pages.values() for k, p in page.properties.items()}
    schema = Preferences.model_json_schema()["properties"]
    assert set(shown) == set(schema)
    for name, field in schema.items():
        said = shown[name].model_dump(exclude_unset=True)
        for key in ("type", "default", "description", "minimum", "maximum", "enum"):
            assert said.get(key) == field.get(key), (name, key)
