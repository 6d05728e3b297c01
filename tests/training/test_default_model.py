from __future__ import annotations

from pathlib import Path

import pytest

from napari_unetseg.models.store import read_card, weights_path
from napari_unetseg.training import default_model


def test_a_model_of_three_raters_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_model, "N_PHANTOMS", 1)
    monkeypatch.setattr(default_model, "PHANTOM_SHAPE", (16, 48, 48))
    out = tmp_path / "default"
    assert default_model.main(["--out", str(out), "--steps", "1"]) == 0
    card = read_card(out)
    assert card.raters == ("Ana", "Bo", "Cy")
    assert card.class_names == ("cell", "fibre")
    weights = weights_path(out, card)
    assert weights.stat().st_size < 6e6
