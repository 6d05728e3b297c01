from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.phantom import make_phantom, write_phantom
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box
from napari_unetseg.models.store import ModelCard, ModelStore
from napari_unetseg.training.ancestry import (
    EVERYWHERE,
    identity_of,
    learned_boxes,
    origin_of,
    was_made_of,
)
from napari_unetseg.training.training_set import ArrayLabels, TrainingSet

BOX = Box((0, 0, 0), (4, 16, 16))


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def volume(phantom_path: Path) -> Volume:
    return Volume.open(phantom_path)


def add(
    store: ModelStore, model_dir: Path, version: str, **changes: object
) -> ModelCard:
    card = ModelStore(model_dir.parent).card(model_dir.name)
    changed = card.replace(version=version, **changes)
    return store.register(changed, model_dir / "weights.safetensors")


def finetuned(parent: str) -> dict[str, object]:
    return {"parent": parent, "training": {"config": {"parent": parent}}}


def labelled_by(edits: tuple[str, ...]) -> TrainingSet:
    labels = ArrayLabels(np.zeros((4, 16, 16), np.uint8))
    return TrainingSet((), labels, {}, stroke_ids=edits)


def test_a_volume_is_known_wherever_it_lies(
    volume: Volume, phantom_path: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(phantom_path, tmp_path / "elsewhere" / "moved.zarr")
    assert identity_of(Volume.open(moved)) == identity_of(volume)
    other = make_phantom(volume.shape, seed=99)
    write_phantom(other, tmp_path / "other.zarr")
    assert identity_of(Volume.open(tmp_path / "other.zarr")) != identity_of(volume)


def test_regions_that_were_learned_stay_so_when_a_volume_moves(
    store: ModelStore, model_dir: Path, volume: Volume, phantom_path: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    numbers = [[*BOX.start, *BOX.stop]]
    training = {"volume": volume.uri, "learned_boxes": numbers}
    add(store, model_dir, "old", training=training)
    known = training | {"volume_identity": identity_of(volume)}
    add(store, model_dir, "new", training=known)
    moved = Volume.open(shutil.copytree(phantom_path, tmp_path / "moved.zarr"))
    assert learned_boxes(store.dir("new"), volume) == (BOX,)
    assert learned_boxes(store.dir("new"), moved) == (BOX,)
    assert learned_boxes(store.dir("old"), volume) == (BOX,), "by its address alone"
    add(store, model_dir, "else", training=known | {"volume_identity": "another"})
    assert learned_boxes(store.dir("else"), volume) == ()


def test_who_says_nothing_learned_everywhere_unless_it_came_from_elsewhere(
    store: ModelStore, model_dir: Path, volume: Volume
) -> None:
    add(store, model_dir, "v1", training={})
    add(store, model_dir, "v2", training={"imported_from": "there"})
    assert learned_boxes(store.dir("v1"), volume) == (EVERYWHERE,)
    assert learned_boxes(store.dir("v2"), volume) == ()
    assert learned_boxes(None, volume) == ()


def test_fine_tunings_have_the_origin_of_the_first_one(
    store: ModelStore, model_dir: Path
) -> None:
    add(store, model_dir, "v1", training={"config": {"parent": None}})
    add(store, model_dir, "v2", **finetuned("v1"))
    add(store, model_dir, "v3", **finetuned("v2"))
    assert [origin_of(store, v) for v in ("v1", "v2", "v3")] == ["v1"] * 3


def test_what_is_no_fine_tuning_is_an_origin(
    store: ModelStore, model_dir: Path
) -> None:
    add(store, model_dir, "v2", **finetuned("v1"))
    assert origin_of(store, "v2") == "v2", "its parent was taken away"
    training = {"config": {"parent": "v1"}, "adapted": {}}
    add(store, model_dir, "v3", parent="v2", training=training)
    add(store, model_dir, "v4", **finetuned("v3"))
    assert origin_of(store, "v4") == "v3", "which learned from no labels"


def test_a_family_belongs_to_the_labels_that_its_first_network_was_made_of(
    store: ModelStore, model_dir: Path
) -> None:
    add(store, model_dir, "v1", training={"strokes": ["a", "b", "c"]})
    add(store, model_dir, "v2", **finetuned("v1"))
    add(store, model_dir, "v3", training={"strokes": ["x", "y"]})
    add(store, model_dir, "v4", **finetuned("v3"))
    add(store, model_dir, "v5", training={})

    def made_of(*edits: str) -> list[str]:
        labels = labelled_by(edits)
        return [v for v in store.versions() if was_made_of(store.dir(v), labels)]

    assert made_of("a", "b", "c", "more") == ["v1", "v2"]
    assert made_of("a", "b") == ["v1", "v2"], "one edit was taken back"
    assert made_of("a", "x") == [], "most of what was learned is not there"
    assert not was_made_of(None, labelled_by(("a",)))


def test_voxels_that_are_no_numbers_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "nan.zarr"
    import zarr

    array = zarr.create_array(path, shape=(8, 96, 96), dtype="float32")
    array[...] = np.random.default_rng(0).random((8, 96, 96), np.float32)
    array[4, 48, 48] = np.nan
    volume = Volume.open(path)
    assert identity_of(volume) == identity_of(volume)
