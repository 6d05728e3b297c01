from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_unetseg.events import OnEvent
from napari_unetseg.models.store import ModelCard, read_card, weights_path
from napari_unetseg.training import default_model
from napari_unetseg.training.finetune import TrainJob, train


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, no_halo: None) -> list[TrainJob]:
    """Make everything small; the list holds the job that was asked for."""
    asked: list[TrainJob] = []

    def train_little(job: TrainJob, on_event: OnEvent) -> ModelCard:
        asked.append(job)
        small = {"patch": (8, 32, 32), "batch": 1, "threads": 1}
        return train(replace(job, config=job.config.replace(**small)), on_event)

    monkeypatch.setattr(default_model, "N_PHANTOMS", 2)
    monkeypatch.setattr(default_model, "PHANTOM_SHAPE", (16, 48, 48))
    monkeypatch.setattr(default_model, "train", train_little)
    return asked


def test_a_model_of_three_raters_is_written(
    tmp_path: Path, tiny: list[TrainJob]
) -> None:
    out = tmp_path / "default"
    assert default_model.main(["--out", str(out), "--steps", "1", "--seed", "5"]) == 0
    card = read_card(out)
    assert card.raters == ("Ana", "Bo", "Cy")
    assert card.class_names == ("cell", "fibre")
    assert weights_path(out, card).stat().st_size < 6e6
    assert tiny[0].config.seed == 5
    assert sum(tiny[0].training_set.n_voxels.values()) == 2 * 16 * 48 * 48
