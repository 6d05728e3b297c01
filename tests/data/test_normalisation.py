from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from pydantic import ValidationError

from napari_unetseg.data import normalisation as module
from napari_unetseg.data.normalisation import Normalisation, estimate_normalisation
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.pyramid_store import write_pyramid_block
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box


def volume_of(path: Path, voxels: np.ndarray) -> Volume:
    array = zarr.create_array(
        path, shape=voxels.shape, chunks=voxels.shape, dtype=voxels.dtype
    )
    array[...] = voxels
    return Volume.open(path)


def test_low_becomes_minus_one_and_high_plus_one() -> None:
    voxels = np.array([100, 150, 200], np.uint16).reshape(1, 1, 1, 3)
    scaled = Normalisation(low=(100.0,), high=(200.0,)).apply(voxels)
    assert scaled.dtype == np.float32
    assert scaled.ravel().tolist() == [-1.0, 0.0, 1.0]


def test_outliers_are_cut_at_three() -> None:
    voxels = np.array([0, 65_535], np.uint16).reshape(1, 1, 1, 2)
    scaled = Normalisation(low=(100.0,), high=(200.0,)).apply(voxels)
    assert scaled.ravel().tolist() == [-3.0, 3.0]


def test_every_channel_has_its_own_range() -> None:
    voxels = np.full((2, 1, 1, 1), 10, np.uint8)
    scaled = Normalisation(low=(0.0, 10.0), high=(10.0, 20.0)).apply(voxels)
    assert scaled.ravel().tolist() == [1.0, -1.0]


def test_a_block_looks_the_same_alone_and_in_the_whole() -> None:
    voxels = np.random.default_rng(0).integers(0, 255, (1, 8, 8, 8), np.uint8)
    normalisation = Normalisation(low=(20.0,), high=(180.0,))
    whole = normalisation.apply(voxels)
    part = normalisation.apply(voxels[:, 2:5, 1:4])
    np.testing.assert_array_equal(whole[:, 2:5, 1:4], part)


def test_the_voxels_that_were_read_are_not_changed() -> None:
    voxels = np.full((1, 2, 2, 2), 7.0, np.float32)
    Normalisation(low=(0.0,), high=(1.0,)).apply(voxels)
    assert (voxels == 7.0).all()


def test_percentiles_ignore_a_few_extreme_voxels(tmp_path: Path) -> None:
    voxels = np.linspace(100, 200, 1000).reshape(10, 10, 10).astype(np.float32)
    voxels[0, 0, 0], voxels[9, 9, 9] = -1e6, 1e6
    found = estimate_normalisation(volume_of(tmp_path / "a.zarr", voxels))
    assert found.low[0] == pytest.approx(101, abs=0.2)
    assert found.high[0] == pytest.approx(199, abs=0.2)


def test_voxels_that_are_no_numbers_do_not_count(tmp_path: Path) -> None:
    voxels = np.linspace(0, 1, 1000).reshape(10, 10, 10).astype(np.float32)
    voxels[3] = np.nan
    voxels[4, 0, 0] = np.inf
    found = estimate_normalisation(volume_of(tmp_path / "a.zarr", voxels))
    assert np.isfinite([*found.low, *found.high]).all()
    assert 0 <= found.low[0] < found.high[0] <= 1


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_volume_divides_nothing_by_zero(tmp_path: Path, value: int) -> None:
    voxels = np.full((4, 4, 4), value, np.uint8)
    found = estimate_normalisation(volume_of(tmp_path / "a.zarr", voxels))
    assert found.high[0] > found.low[0]
    assert (found.apply(voxels[np.newaxis]) == 0).all()


def test_a_volume_without_any_number_still_has_a_range(tmp_path: Path) -> None:
    voxels = np.full((4, 4, 4), np.nan, np.float32)
    found = estimate_normalisation(volume_of(tmp_path / "a.zarr", voxels))
    assert (found.low, found.high) == ((0.0,), (1.0,))


def test_channels_are_estimated_one_by_one(tmp_path: Path) -> None:
    dim = np.linspace(0, 10, 512).reshape(8, 8, 8)
    voxels = np.stack([dim, 100 * dim]).astype(np.float32)
    found = estimate_normalisation(volume_of(tmp_path / "a.zarr", voxels))
    assert found.high[1] == pytest.approx(100 * found.high[0], rel=1e-4)


def test_a_level_that_is_small_enough_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_VOXELS", 8**3)
    path = tmp_path / "a.zarr"
    group = create_image(
        path,
        shape=(16, 16, 16),
        dtype="float32",
        chunk=(8, 8, 8),
        voxel_size=(1, 1, 1),
        n_levels=2,
    )
    write_pyramid_block(
        group, Box.whole((16, 16, 16)), np.ones((16, 16, 16), np.float32)
    )
    coarse = zarr.open_array(path / "1", mode="r+")
    coarse[...] = np.linspace(5, 6, 512).reshape(8, 8, 8)
    found = estimate_normalisation(Volume.open(path))
    assert 5 <= found.low[0] < found.high[0] <= 6


def test_a_huge_volume_without_levels_is_sampled_all_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_VOXELS", 27 * 8**3)
    voxels = np.zeros((40, 40, 40), np.uint8)
    voxels[32:] = 200  # seen only if the far end is looked at
    found = estimate_normalisation(volume_of(tmp_path / "a.zarr", voxels))
    assert (found.low[0], found.high[0]) == (0.0, 200.0)


def test_it_survives_json() -> None:
    found = Normalisation(low=(0.1, 1 / 3), high=(1.0, 2.0))
    assert Normalisation.model_validate_json(found.model_dump_json()) == found


def test_it_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Normalisation(low=(0.0,), high=(1.0,)).low = (2.0,)  # type: ignore[misc]


@pytest.mark.parametrize("edge", [0, 255])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_padding_does_not_count(tmp_path: Path, edge: int, share: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(120, 20, (20, 50, 50)).clip(1, 254).astype(np.uint8)
    alone = estimate_normalisation(volume_of(tmp_path / "alone.zarr", image))
    n_padded = round(len(image) * share / (1 - share)) or 1
    padding = np.full((n_padded, 50, 50), edge, np.uint8)
    padded = np.concatenate([image, padding])
    assert estimate_normalisation(volume_of(tmp_path / "padded.zarr", padded)) == alone


def test_an_object_of_one_value_on_a_background_of_one_value_has_a_range(
    tmp_path: Path,
) -> None:
    voxels = np.zeros((10, 10, 10), np.uint8)
    voxels[4:6] = 90
    found = estimate_normalisation(volume_of(tmp_path / "a.zarr", voxels))
    assert (found.low, found.high) == ((0.0,), (90.0,))
