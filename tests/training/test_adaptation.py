from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch

from napari_unetseg.app.sample import DEFAULT_MODEL
from napari_unetseg.config import AdaptConfig
from napari_unetseg.data.normalisation import estimate_normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.phantom import VOXEL_SIZE_UM, make_phantom, write_phantom
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import Cancelled, TrainingError
from napari_unetseg.events import Event, Progress, RunStarted
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.models.store import ModelCard, ModelStore, read_card, weights_path
from napari_unetseg.models.unet import UNet
from napari_unetseg.models.weights import load_weights
from napari_unetseg.training.adaptation import AdaptJob, adapt

SHAPE: Zyx = (32, 64, 64)
PHANTOM = make_phantom(SHAPE, seed=7, contrast="shifted")

MakeJob = Callable[..., AdaptJob]


@pytest.fixture
def make_job(tmp_path: Path, no_halo: None) -> MakeJob:
    """Return a maker of jobs: the sample's model, and an image that is new to it."""

    def make(image: np.ndarray, places: int = 2) -> AdaptJob:
        path = tmp_path / f"{uuid4().hex}.zarr"
        write_phantom(replace(PHANTOM, image=image), path)
        return AdaptJob(
            volume_uri=str(path), time_point=0, parent_dir=DEFAULT_MODEL,
            models_dir=tmp_path / "models", version="v2",
            normalisation=estimate_normalisation(Volume.open(path)),
            config=AdaptConfig(places=places, threads=1, device="cpu"),
        )  # fmt: skip

    return make


def dice(job: AdaptJob, folder: Path) -> float:
    """Return the mean Dice of cells and fibres."""
    card = read_card(folder)
    network = UNet(card.spec).eval()
    load_weights(network, weights_path(folder, card))
    voxels = Volume.open(job.volume_uri).read(Box.whole(SHAPE))
    image = torch.from_numpy(job.normalisation.apply(voxels))[None]
    with torch.inference_mode():
        found = network(image).consensus.argmax(1)[0].numpy()
    scores = [
        2 * np.sum((found == c) & (PHANTOM.truth == c))
        / (np.sum(found == c) + np.sum(PHANTOM.truth == c))
        for c in (1, 2)
    ]  # fmt: skip
    return float(np.mean(scores))


def before_and_after(job: AdaptJob) -> tuple[float, float, ModelCard]:
    card = adapt(job)
    return dice(job, DEFAULT_MODEL), dice(job, job.models_dir / "v2"), card


def test_another_light_costs_less_once_the_model_is_used_to_it(
    make_job: MakeJob,
) -> None:
    before, after, card = before_and_after(make_job(PHANTOM.image, places=8))
    assert after > before + 0.02
    assert card.training["adapted"]["inverted_channels"] == []
    assert card.training["adapted"]["places"] == 8
    assert "without labels" in card.description


def test_dark_objects_are_found_by_a_model_of_bright_ones(make_job: MakeJob) -> None:
    # Inverted, and stretched to half of another range.
    before, after, card = before_and_after(make_job(180 - PHANTOM.image // 2, places=8))
    assert before < 0.1
    assert after > 0.7
    assert card.training["adapted"]["inverted_channels"] == [0]
    assert card.description.endswith("dark and bright were exchanged.")


def test_a_stretched_contrast_needs_no_adaptation(make_job: MakeJob) -> None:
    plain = dice(make_job(PHANTOM.image), DEFAULT_MODEL)
    stretched = (20 + 0.5 * PHANTOM.image).astype(np.uint8)
    assert dice(make_job(stretched), DEFAULT_MODEL) == pytest.approx(plain, abs=0.03)


def test_the_version_is_the_parent_but_for_what_it_remembers(
    make_job: MakeJob,
) -> None:
    job = make_job(PHANTOM.image)
    card, parent = adapt(job), read_card(DEFAULT_MODEL)
    assert ModelStore(job.models_dir).versions() == ["v2"]
    assert card.parent == parent.version
    assert (card.spec, card.classes, card.raters) == (
        parent.spec, parent.classes, parent.raters
    )  # fmt: skip
    assert card.temperature == parent.temperature
    # What was measured on the parent was not measured on this one.
    assert (card.metrics, card.calibration) == ({}, {})
    # It knows the same labels; how long they were learned is the parent's affair.
    assert card.training["labels"] == parent.training["labels"]
    assert "steps" not in card.training


def test_it_says_how_far_it_is(make_job: MakeJob) -> None:
    heard: list[Event] = []
    adapt(make_job(PHANTOM.image, places=4), heard.append)
    assert heard[0] == RunStarted("adapt", 3 * 4, subject="v2")
    steps = [event for event in heard if isinstance(event, Progress)]
    assert [event.done for event in steps] == list(range(2, 13, 2))
    assert {event.total for event in steps} == {12}


def test_stopping_leaves_nothing(make_job: MakeJob) -> None:
    job, heard = make_job(PHANTOM.image), []
    with pytest.raises(Cancelled, match="No model was added"):
        adapt(job, heard.append, lambda: len(heard) > 2)
    assert ModelStore(job.models_dir).versions() == []


def test_an_empty_volume_says_so(make_job: MakeJob) -> None:
    with pytest.raises(TrainingError, match="empty at all places"):
        adapt(make_job(np.full(SHAPE, 7, np.uint8)))


def test_empty_space_does_not_count(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(PHANTOM.image)
    full = adapt(job).training["adapted"]["distance_to_learned"]
    rng = np.random.default_rng(0)
    image = rng.normal(80, 3, (32, 64, 320)).astype(np.uint8)
    image[:, :, -64:] = PHANTOM.image
    group = create_image(
        tmp_path / "long.zarr", shape=image.shape, dtype="uint8", chunk=(32, 64, 64),
        voxel_size=VOXEL_SIZE_UM, unit="micrometer",
    )  # fmt: skip
    write_pyramid_block(group, Box.whole(image.shape), image)
    long = replace(job, volume_uri=str(tmp_path / "long.zarr"), version="v3")
    found = adapt(long).training["adapted"]
    assert found["distance_to_learned"][0] < 2 * full[0]
