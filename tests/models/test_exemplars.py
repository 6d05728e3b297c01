from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from napari_unetseg.models.exemplars import EXEMPLARS, read_exemplars, write_exemplars

SHAPE = (3, 2, 4, 5, 6)


def test_pieces_come_back_within_a_step_of_their_range(tmp_path: Path) -> None:
    scale = np.array([0.01, 1.0, 300.0], np.float32).reshape(3, 1, 1, 1, 1)
    images = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32) * scale
    write_exemplars(tmp_path / EXEMPLARS, images)
    found = read_exemplars(tmp_path)
    assert found is not None
    assert found.dtype == np.float32
    for image, back in zip(images, found, strict=True):
        np.testing.assert_allclose(back, image, atol=np.ptp(image) / 500)


def test_a_flat_piece_stays_as_it_is(tmp_path: Path) -> None:
    write_exemplars(tmp_path / EXEMPLARS, np.full(SHAPE, 0.25, np.float32))
    np.testing.assert_array_equal(read_exemplars(tmp_path), np.full(SHAPE, 0.25))


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{torn"])
def test_damaged_exemplars_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / EXEMPLARS).write_bytes(content)
    assert read_exemplars(tmp_path) is None


def test_what_is_something_else_is_none(tmp_path: Path) -> None:
    assert read_exemplars(tmp_path) is None
    save_file({"images": np.zeros((2, 2))}, tmp_path / EXEMPLARS)
    assert read_exemplars(tmp_path) is None
    numbers = np.zeros(2, np.float32)
    tensors = {"images": np.zeros((2, 2), np.uint8), "low": numbers, "step": numbers}
    save_file(tensors, tmp_path / EXEMPLARS)
    assert read_exemplars(tmp_path) is None


def test_the_shipped_model_has_exemplars() -> None:
    from napari_unetseg.app.sample import DEFAULT_MODEL
    from napari_unetseg.models.store import read_card

    found, card = read_exemplars(DEFAULT_MODEL), read_card(DEFAULT_MODEL)
    assert found is not None
    assert found.shape[2:] == card.patch
