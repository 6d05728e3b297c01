from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import save_file

from napari_unetseg.data.classes import default_classes
from napari_unetseg.errors import (
    CorruptModelError,
    ModelError,
    ModelNotFoundError,
    UnsafeCheckpointError,
)
from napari_unetseg.models.exemplars import EXEMPLARS, read_exemplars, write_exemplars
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.store import (
    CARD,
    LEFT_OVER_S,
    WEIGHTS,
    ModelCard,
    ModelStore,
    read_card,
    weights_path,
)

MakeCard = Callable[..., ModelCard]


@pytest.fixture
def make_card(make_spec: Callable[..., NetworkSpec]) -> MakeCard:
    def make(**changes: Any) -> ModelCard:
        fields: dict[str, Any] = {
            "version": "v1",
            "spec": make_spec(),
            "classes": default_classes(["cell", "fibre"]),
        }
        return ModelCard(**(fields | changes))

    return make


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "new.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, path)
    return path


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def test_a_version_comes_back_as_it_was_registered(
    store: ModelStore, make_card: MakeCard, weights: Path
) -> None:
    assert (store.versions(), store.next_version()) == ([], "v1")
    stored = store.register(make_card(halo=(8, 16, 16), metrics={"dice": 0.5}), weights)
    assert store.card("v1") == stored
    assert store.cards() == [stored]
    assert weights_path(store.dir("v1"), stored).read_bytes() == weights.read_bytes()
    assert store.next_version() == "v2"


def test_versions_are_in_order_of_their_numbers(
    store: ModelStore, make_card: MakeCard, weights: Path
) -> None:
    for version in ("v10", "v2", "default"):
        store.register(make_card(version=version), weights)
    assert store.versions() == ["v2", "v10", "default"]
    assert store.next_version() == "v11"


def test_a_version_is_never_replaced(
    store: ModelStore, make_card: MakeCard, weights: Path
) -> None:
    store.register(make_card(name="first"), weights)
    with pytest.raises(ModelError, match="There is already a model version v1"):
        store.register(make_card(name="second"), weights)
    assert store.card("v1").name == "first"


def test_a_failed_registration_leaves_nothing(
    store: ModelStore,
    make_card: MakeCard,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="The disk is full, model v1 could not"):
        store.register(make_card(), weights)
    assert store.versions() == []
    assert list(store.folder.iterdir()) == []


def test_what_a_killed_program_left_is_removed_in_time(
    store: ModelStore, make_card: MakeCard, weights: Path
) -> None:
    old, new = store.folder / ".partial-old", store.folder / ".partial-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").touch()
    an_hour_ago = time.time() - LEFT_OVER_S - 1
    os.utime(old, (an_hour_ago, an_hour_ago))
    store.register(make_card(), weights)
    assert not old.exists()
    assert new.exists(), "somebody may be writing it"
    assert store.versions() == ["v1"]


def test_exemplars_beside_the_weights_are_kept(
    store: ModelStore, make_card: MakeCard, weights: Path, tmp_path: Path
) -> None:
    write_exemplars(weights.parent / EXEMPLARS, np.ones((2, 1, 4, 4, 4), np.float32))
    store.register(make_card(), weights)
    other = ModelStore(tmp_path / "elsewhere")
    other.import_from(store.dir("v1"))
    found = read_exemplars(other.dir("v1"))
    assert found is not None
    assert found.shape == (2, 1, 4, 4, 4)


def test_a_missing_version_names_those_that_exist(
    store: ModelStore, make_card: MakeCard, weights: Path
) -> None:
    with pytest.raises(ModelNotFoundError, match=r"version 'v7'\. Train a new model"):
        store.dir("v7")
    store.register(make_card(), weights)
    with pytest.raises(ModelNotFoundError, match="expected one of v1"):
        store.card("v7")


@pytest.mark.parametrize("name", ["../v1", "a/b", "", ".v1", "v1 ", "ä"])
def test_names_that_are_paths_are_refused(
    store: ModelStore, make_card: MakeCard, name: str
) -> None:
    with pytest.raises(ValidationError):
        make_card(version=name)
    with pytest.raises(ModelNotFoundError):
        store.dir(name)


def test_a_card_fits_its_network(make_card: MakeCard) -> None:
    with pytest.raises(ValidationError, match="classes 1 to 2"):
        make_card(classes=default_classes(["cell"]))
    spec = make_card().spec.replace(n_raters=3)
    with pytest.raises(ValidationError, match="3 raters"):
        make_card(spec=spec, raters=("Ana", "Bo"))


def test_changed_weights_are_noticed(
    store: ModelStore, make_card: MakeCard, weights: Path
) -> None:
    card = store.register(make_card(), weights)
    save_file({"a": np.ones(3, np.float32)}, store.dir("v1") / WEIGHTS)
    with pytest.raises(CorruptModelError) as caught:
        weights_path(store.dir("v1"), card)
    assert str(caught.value) == (
        "The weights of model v1 are damaged, or belong to another card: their hash "
        "differs. Restore the model folder, or train the model again."
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read, the whole card: Invalid JSON"),
        ("{}", "cannot be read, version: Field required"),
    ],
)
def test_a_broken_card_says_where(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / CARD).write_text(text)
    with pytest.raises(CorruptModelError, match=sentence):
        read_card(tmp_path)


def test_an_enormous_card_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / CARD).open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(CorruptModelError, match="too large: got 1073741824 bytes"):
        read_card(tmp_path)


def model_folder(folder: Path, card: ModelCard, weights: Path) -> Path:
    folder.mkdir()
    (folder / CARD).write_text(card.model_dump_json())
    (folder / WEIGHTS).write_bytes(weights.read_bytes())
    return folder


def test_an_imported_model_becomes_the_next_version(
    store: ModelStore, make_card: MakeCard, weights: Path, tmp_path: Path
) -> None:
    store.register(make_card(), weights)
    folder = model_folder(
        tmp_path / "gift", make_card(version="v9", parent="v8"), weights
    )
    card = store.import_from(folder)
    assert (card.version, card.parent) == ("v2", None)
    assert card.training == {"imported_from": "gift", "imported_version": "v9"}
    assert store.card("v2") == card


def test_an_import_whose_card_names_a_path_is_refused(
    store: ModelStore, make_card: MakeCard, weights: Path, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "gift", make_card(), weights)
    fields = json.loads((folder / CARD).read_text()) | {"version": "../../outside"}
    (folder / CARD).write_text(json.dumps(fields))
    with pytest.raises(CorruptModelError, match="version"):
        store.import_from(folder)
    assert store.versions() == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("name", [CARD, WEIGHTS])
def test_an_import_with_a_link_out_of_its_folder_is_refused(
    store: ModelStore, make_card: MakeCard, weights: Path, tmp_path: Path, name: str
) -> None:
    folder = model_folder(tmp_path / "gift", make_card(), weights)
    outside = tmp_path / "secret"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(CorruptModelError, match=f"{name} of model gift is a link"):
        store.import_from(folder)


def test_an_import_with_a_pickled_checkpoint_is_refused(
    store: ModelStore, make_card: MakeCard, weights: Path, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "gift", make_card(), weights)
    (folder / WEIGHTS).rename(folder / "model.pth")
    with pytest.raises(UnsafeCheckpointError, match=r"model\.pth is a pickled"):
        store.import_from(folder)


def test_a_folder_that_is_no_model_is_refused(
    store: ModelStore, tmp_path: Path
) -> None:
    with pytest.raises(ModelNotFoundError, match="is no model folder, it has no card"):
        store.import_from(tmp_path)
