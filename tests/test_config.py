from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from napari_unetseg.config import (
    MAPS,
    Config,
    ConvertConfig,
    ExportConfig,
    PredictConfig,
    TrainConfig,
)
from napari_unetseg.geometry import Box

KINDS = (ConvertConfig, PredictConfig, TrainConfig, ExportConfig)


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_can_start_without_any_choice(kind: type[Config]) -> None:
    config = kind()
    assert config == kind()
    assert kind.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_help_text_that_is_a_sentence(kind: type[Config]) -> None:
    for name, field in kind.model_fields.items():
        text = field.description or ""
        assert text.endswith("."), f"{kind.__name__}.{name}: {text!r}"
        assert text[0].isupper(), f"{kind.__name__}.{name}: {text!r}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_does_not_change(kind: type[Config]) -> None:
    name = next(iter(kind.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(kind(), name, None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_does_not_exist_is_refused(kind: type[Config]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        kind.model_validate({"tiles": 3})


def test_replacing_gives_a_changed_copy_and_keeps_the_rest() -> None:
    config = PredictConfig(flips=4, device="cpu")
    changed = config.replace(flips=1)
    assert (changed.flips, changed.device) == (1, "cpu")
    assert config.flips == 4


def test_replacing_checks_the_new_value() -> None:
    with pytest.raises(ValidationError, match="Input should be 1, 2 or 4"):
        PredictConfig().replace(flips=3)
    with pytest.raises(ValidationError, match="Extra inputs"):
        PredictConfig().replace(flip=2)


def test_boxes_and_paths_survive_json() -> None:
    predict = PredictConfig(box=Box((0, 1, 2), (3, 4, 5)), block=(8, 16, 16))
    assert PredictConfig.model_validate_json(predict.model_dump_json()) == predict
    export = ExportConfig(target=Path("out") / "labels.tif", format="tiff")
    assert ExportConfig.model_validate_json(export.model_dump_json()) == export


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (PredictConfig, "threads", -1),
        (PredictConfig, "memory_gb", 0),
        (PredictConfig, "device", "tpu"),
        (PredictConfig, "block", (8, 8)),
        (PredictConfig, "block", (8, 8, 0)),
        (PredictConfig, "missing_chunks", "ignore"),
        (TrainConfig, "patch", (-8, 8, 8)),
        (TrainConfig, "steps", -1),
        (TrainConfig, "steps", 100_001),
        (TrainConfig, "budget_s", 0),
        (TrainConfig, "batch", 17),
        (TrainConfig, "learning_rate", 0),
        (TrainConfig, "learning_rate", 0.2),
        (TrainConfig, "preset", "XL"),
        (ConvertConfig, "voxel_size", (1.0, 1.0)),
        (ConvertConfig, "voxel_size", (0.0, 1.0, 1.0)),
        (ConvertConfig, "voxel_size", (float("nan"), 1.0, 1.0)),
        (ConvertConfig, "chunk", (0, 8, 8)),
        (ExportConfig, "format", "png"),
        (ExportConfig, "kind", "instances"),
        (ExportConfig, "min_voxels", -1),
    ],
)
def test_a_value_beyond_its_limits_is_refused(
    kind: type[Config], field: str, value: Any
) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({field: value})
    assert caught.value.errors()[0]["loc"][0] == field


def test_the_maps_have_the_names_of_what_is_measured() -> None:
    assert MAPS == ("rater_disagreement", "model_disagreement", "total_uncertainty")
