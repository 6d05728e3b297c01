from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box
from napari_unetseg.models.exemplars import (
    EXEMPLARS,
    MOST,
    read_exemplars,
    write_exemplars,
)
from napari_unetseg.training import finetune
from napari_unetseg.training.dataset import REHEARSED, Patches
from napari_unetseg.training.finetune import train
from napari_unetseg.training.loop import Loop
from napari_unetseg.training.losses import IGNORE
from napari_unetseg.training.rehearsal import (
    exemplars_of,
    fitted,
    rehearsed_patches,
)
from napari_unetseg.training.training_set import ArrayLabels, Region, TrainingSet
from tests.training.conftest import MakeJob

SHAPE = (16, 48, 48)
WHOLE = Box.whole(SHAPE)
PATCH = (8, 16, 16)


@pytest.fixture
def labels() -> TrainingSet:
    """Labels in the left half alone."""
    values = np.full(SHAPE, UNSET, np.uint8)
    values[:, :, :24] = 0
    values[:, :8, :24] = 1
    known = {"background": 1, "cell": 1}
    return TrainingSet((Region(WHOLE, "imported", ""),), ArrayLabels(values), known)


def piece(value: float, shape: tuple[int, ...] = PATCH) -> np.ndarray:
    return np.full((1, *shape), value, np.float32)


def test_every_second_patch_is_an_exemplar_of_which_nothing_is_known(
    phantom_path: Path, labels: TrainingSet
) -> None:
    patches = Patches(
        Volume.open(phantom_path), Normalisation(low=(0.0,), high=(255.0,)), labels,
        raters=(), patch=PATCH, seed=0, rehearsed=[piece(2.5)],
    )  # fmt: skip
    drawn = [patches.draw(1) for _ in range(3 * REHEARSED)]
    said = [bool((batch.target != IGNORE).any()) for batch in drawn]
    assert said == [True, False] * 3
    for batch, is_said in zip(drawn, said, strict=True):
        assert bool((batch.weight > 0).any()) is is_said
        is_exemplar = float(batch.image.mean()) > 1.5  # brighter than all of it
        assert is_exemplar is not is_said


def test_without_exemplars_every_patch_has_labels(
    phantom_path: Path, labels: TrainingSet
) -> None:
    patches = Patches(
        Volume.open(phantom_path), Normalisation(low=(0.0,), high=(255.0,)), labels,
        raters=(), patch=PATCH, seed=0,
    )  # fmt: skip
    assert all(bool((patches.draw(1).target != IGNORE).any()) for _ in range(8))


@pytest.mark.parametrize("shape", [PATCH, (20, 40, 7), (3, 5, 4)])
def test_exemplars_of_another_shape_are_cut_or_mirrored(
    shape: tuple[int, int, int],
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, *shape)).astype(np.float32)
    found = fitted(values, PATCH, rng)
    assert found.shape == (2, *PATCH)
    assert set(np.unique(found)) <= set(np.unique(values))


def test_a_version_keeps_half_of_what_its_origin_kept() -> None:
    learned, old = [piece(n) for n in range(20)], [piece(100 + n) for n in range(8)]
    kept = exemplars_of(learned, old, PATCH)
    assert kept[:, 0, 0, 0, 0].tolist() == [100, 101, 102, 103, 0, 1, 2, 3]
    new = exemplars_of(learned, (), PATCH)
    assert new[:, 0, 0, 0, 0].tolist() == list(range(MOST))


def test_a_version_of_other_channels_has_nothing_to_rehearse(tmp_path: Path) -> None:
    write_exemplars(tmp_path / "exemplars.safetensors", np.stack([piece(1.0)]))
    assert len(rehearsed_patches(tmp_path, 1)) == 1
    assert rehearsed_patches(tmp_path, 2) == ()
    assert rehearsed_patches(None, 1) == ()


def test_a_new_model_keeps_exemplars_and_a_finetuned_one_some_of_them(
    make_job: MakeJob, labels: TrainingSet
) -> None:
    first = make_job(labels)
    train(first)
    folder = first.models_dir / "v1"
    kept = read_exemplars(folder)
    assert kept is not None
    assert kept.shape == (MOST, 1, 8, 32, 32)
    train(make_job(labels, version="v2", parent_dir=folder))
    inherited = read_exemplars(first.models_dir / "v2")
    assert inherited is not None
    np.testing.assert_allclose(inherited[:4], kept[:4], atol=1e-6)
    assert not np.allclose(inherited[4:], kept[4:])


@pytest.mark.parametrize(
    ("origin", "n_rehearsed", "rate"),
    [("here", 0, 1e-3), ("elsewhere", MOST, 5e-4), ("bare", 0, 1e-4)],
)
def test_what_was_made_of_these_labels_rehearses_nothing(
    origin: str, n_rehearsed: int, rate: float, make_job: MakeJob, labels: TrainingSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    labels = replace(labels, stroke_ids=("a", "b"))
    first = make_job(labels)
    train(first)
    folder = first.models_dir / "v1"
    if origin != "here":
        labels = replace(labels, stroke_ids=("c",))
    if origin == "bare":
        (folder / EXEMPLARS).unlink()
    seen: list[Any] = []

    class Noted(Patches):
        def __init__(self, *args: Any, rehearsed: Any, **options: Any) -> None:
            seen.append(len(rehearsed))
            super().__init__(*args, rehearsed=rehearsed, **options)

    class NotedLoop(Loop):
        def run(self) -> None:
            seen.append(self._rate)
            super().run()

    monkeypatch.setattr(finetune, "Patches", Noted)
    monkeypatch.setattr(finetune, "Loop", NotedLoop)
    train(make_job(labels, version="v2", parent_dir=folder))
    assert seen == [n_rehearsed, rate]
