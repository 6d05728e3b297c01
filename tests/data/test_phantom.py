from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaozarrs
import zarr

from napari_unetseg.data.ome_zarr import read_image
from napari_unetseg.data.phantom import (
    CELL,
    FIBRE,
    RATERS,
    VOXEL_SIZE_UM,
    Phantom,
    make_phantom,
    write_phantom,
)
from napari_unetseg.data.volume import Volume
from napari_unetseg.geometry import Box

SHAPE = (32, 96, 96)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(SHAPE, seed=3)


def test_the_same_seed_makes_the_same_phantom(phantom: Phantom) -> None:
    again = make_phantom(SHAPE, seed=3)
    np.testing.assert_array_equal(again.image, phantom.image)
    np.testing.assert_array_equal(again.truth, phantom.truth)


def test_another_seed_makes_another_one(phantom: Phantom) -> None:
    assert (make_phantom(SHAPE, seed=2).truth != phantom.truth).any()


def test_all_arrays_are_bytes_of_one_shape(phantom: Phantom) -> None:
    for array in (phantom.image, phantom.truth, *phantom.raters.values()):
        assert array.shape == SHAPE
        assert array.dtype == np.uint8


def test_there_are_cells_fibres_and_more_background(phantom: Phantom) -> None:
    assert phantom.class_names == ("cell", "fibre")
    shares = np.bincount(phantom.truth.ravel(), minlength=3) / phantom.truth.size
    assert shares.size == 3
    assert shares[0] > 0.5
    assert (shares[1:] > 0.005).all()


def test_the_image_is_neither_flat_nor_cut_off(phantom: Phantom) -> None:
    ends = np.isin(phantom.image, (0, 255)).mean()
    assert ends < 0.05
    assert phantom.image.std() > 10


def test_classes_can_be_told_from_the_background_by_brightness(
    phantom: Phantom,
) -> None:
    background = phantom.image[phantom.truth == 0].mean()
    assert phantom.image[phantom.truth == CELL].mean() > background + 20
    assert phantom.image[phantom.truth == FIBRE].mean() > background + 20


def test_the_other_microscope_sees_the_same_things_with_less_contrast(
    phantom: Phantom,
) -> None:
    shifted = make_phantom(SHAPE, seed=3, contrast="shifted")
    np.testing.assert_array_equal(shifted.truth, phantom.truth)

    def contrast(image: np.ndarray) -> float:
        cells, rest = image[phantom.truth == CELL], image[phantom.truth == 0]
        return float((cells.mean() - rest.mean()) / rest.std())

    assert contrast(shifted.image) < 0.8 * contrast(phantom.image)


def test_raters_differ_and_none_is_a_superset_of_another(phantom: Phantom) -> None:
    assert tuple(phantom.raters) == RATERS
    drawn = {name: labels > 0 for name, labels in phantom.raters.items()}
    for one in RATERS:
        for other in RATERS:
            if one != other:
                assert (drawn[one] & ~drawn[other]).any(), (one, other)


def test_raters_mostly_agree_with_the_truth(phantom: Phantom) -> None:
    for name, labels in phantom.raters.items():
        assert (labels == phantom.truth).mean() > 0.8, name


def test_ana_draws_too_much_and_bo_too_little(phantom: Phantom) -> None:
    truth = phantom.truth > 0
    assert (phantom.raters["Ana"] > 0).sum() > truth.sum()
    assert (phantom.raters["Ana"] > 0)[phantom.truth == CELL].all()
    assert (phantom.raters["Bo"] > 0).sum() < truth.sum()
    assert not (phantom.raters["Bo"] > 0)[~truth].any()


def test_a_written_phantom_is_a_volume_with_its_labels(
    phantom: Phantom, tmp_path: Path
) -> None:
    path = tmp_path / "phantom.zarr"
    write_phantom(phantom, path)
    yaozarrs.validate_zarr_store(str(path))

    volume = Volume.open(path)
    assert volume.voxel_size == VOXEL_SIZE_UM
    assert volume.unit == "micrometer"
    np.testing.assert_array_equal(volume.read(Box.whole(SHAPE))[0], phantom.image)

    names = ("truth", "rater_ana", "rater_bo", "rater_cy")
    assert volume.info.label_names == names
    arrays = (phantom.truth, *phantom.raters.values())
    for name, labels in zip(names, arrays, strict=True):
        assert read_image(path / "labels" / name).is_labels
        stored = zarr.open_array(path / "labels" / name / "0", mode="r")
        np.testing.assert_array_equal(stored[...], labels)


def test_a_thin_phantom_can_be_made() -> None:
    phantom = make_phantom((4, 40, 40), seed=0)
    assert phantom.truth.any()


def test_an_empty_one_has_a_background_and_no_objects() -> None:
    shape = (16, 32, 32)
    empty = make_phantom(shape, is_empty=True)
    assert not empty.truth.any()
    assert not any(labels.any() for labels in empty.raters.values())
    background = make_phantom(shape).image[make_phantom(shape).truth == 0]
    assert abs(np.median(empty.image) - np.median(background)) < 20
