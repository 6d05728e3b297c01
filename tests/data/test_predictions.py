from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unetseg.config import MAPS
from napari_unetseg.data import predictions
from napari_unetseg.data.ome_zarr import read_image
from napari_unetseg.data.predictions import BlockPrediction, PredictionStore
from napari_unetseg.data.pyramid import downsample_classes, downsample_mean
from napari_unetseg.errors import DiskFullError, MetadataError, UnetsegError
from napari_unetseg.geometry import Block, BlockGrid, Box, Zyx

SHAPE: Zyx = (9, 50, 500)
GRID = BlockGrid(SHAPE, (8, 32, 256))


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    return PredictionStore.create(
        tmp_path / "predictions" / "v1.zarr",
        shape=SHAPE,
        voxel_size=(2.0, 1.0, 1.0),
        unit="micrometer",
        chunk=(4, 16, 32),
        class_names=("cell", "fibre"),
        rater_names=("Ana", "Bo"),
    )


def whole(seed: int = 0) -> BlockPrediction:
    """Return a random prediction of the whole volume."""
    random = np.random.default_rng(seed)

    def byte(*lead: int, high: int = 256) -> np.ndarray:
        return random.integers(0, high, (*lead, *SHAPE), dtype=np.uint8)

    return BlockPrediction(
        labels=byte(high=3),
        probability=byte(2),
        maps={name: byte() for name in MAPS},
        rater_probability=byte(2, 2),
    )


def part(prediction: BlockPrediction, block: Block) -> BlockPrediction:
    cut = (..., *block.write_box.slices)
    assert prediction.rater_probability is not None
    return BlockPrediction(
        labels=prediction.labels[cut],
        probability=prediction.probability[cut],
        maps={name: values[cut] for name, values in prediction.maps.items()},
        rater_probability=prediction.rater_probability[cut],
    )


def write_all(store: PredictionStore, prediction: BlockPrediction) -> None:
    for block in GRID:
        store.write(block, part(prediction, block))


def test_what_was_written_block_by_block_is_read_back(store: PredictionStore) -> None:
    prediction = whole()
    write_all(store, prediction)
    again = PredictionStore.open(store.path)
    for box in (Box.whole(SHAPE), Box((3, 7, 100), (9, 41, 333))):
        cut = (..., *box.slices)
        np.testing.assert_array_equal(again.read_labels(box), prediction.labels[cut])
        np.testing.assert_array_equal(
            again.read_probability(box), prediction.probability[cut]
        )
        for name in MAPS:
            np.testing.assert_array_equal(
                again.read_map(name, box), prediction.maps[name][cut]
            )
        assert prediction.rater_probability is not None
        np.testing.assert_array_equal(
            again.read_rater_probability(box), prediction.rater_probability[cut]
        )


def test_coarse_levels_are_those_of_the_whole_prediction(
    store: PredictionStore,
) -> None:
    prediction = whole()
    write_all(store, prediction)
    ratios = [(1, 1, 1), (1, 2, 2), (2, 2, 2)]
    assert prediction.rater_probability is not None
    by_rater = np.concatenate(prediction.rater_probability)
    for name, values, reduce in (
        ("labels", prediction.labels, downsample_classes),
        ("probability", prediction.probability, downsample_mean),
        ("total_uncertainty", prediction.maps["total_uncertainty"], downsample_mean),
        ("rater_probability", by_rater, downsample_mean),
    ):
        levels = store.levels(name)
        assert len(levels) == 3
        for array, ratio in zip(levels, ratios, strict=True):
            assert values is not None
            values = reduce(values, ratio)  # each level from the one before
            np.testing.assert_array_equal(array[...], values)


@pytest.mark.parametrize("shape", [(36, 40, 400), (5, 30, 800), (1, 30, 400)])
def test_the_order_of_blocks_does_not_matter(tmp_path: Path, shape: Zyx) -> None:
    # Depths that no power of two divides: each coarse cell still has one owner.
    grid = BlockGrid(shape, (8, 32, 256) if shape[0] > 1 else (1, 32, 256))
    voxels = np.random.default_rng(1).integers(0, 3, shape, dtype=np.uint8)
    stores = []
    for name, order in (("there", 1), ("back", -1)):
        store = PredictionStore.create(
            tmp_path / name,
            shape=shape,
            voxel_size=(1, 1, 1),
            chunk=(grid.block[0], 32, 32),
            class_names=("cell",),
            maps=(),
        )
        for block in list(grid)[::order]:
            cut = voxels[block.write_box.slices]
            store.write(block, BlockPrediction(cut, 80 * cut[None]))
        stores.append(store)
    for name in ("labels", "probability"):
        pairs = zip(stores[0].levels(name), stores[1].levels(name), strict=True)
        for one, other in pairs:
            np.testing.assert_array_equal(one[...], other[...])
            assert one[...].any()


def test_one_slice_of_a_coarse_level_is_few_files(tmp_path: Path) -> None:
    store = PredictionStore.create(
        tmp_path / "large",
        shape=(1000, 4000, 4000),
        voxel_size=(1, 1, 1),
        chunk=(32, 64, 64),
        class_names=("cell",),
        maps=(),
    )
    coarsest = store.levels("labels")[-1]
    assert max(coarsest.shape) <= 192
    assert coarsest.nchunks <= 16


def test_a_store_knows_what_it_is_made_of(store: PredictionStore) -> None:
    again = PredictionStore.open(store.path)
    assert again.class_names == ("cell", "fibre")
    assert again.rater_names == ("Ana", "Bo")
    assert again.map_names == MAPS
    assert (again.shape, again.chunk) == (SHAPE, (4, 16, 32))
    assert (again.voxel_size, again.unit) == ((2.0, 1.0, 1.0), "micrometer")
    assert again.factors("labels") == [(1, 1, 1), (1, 2, 2), (2, 4, 4)]
    assert again.translations("labels") == [(0, 0, 0), (0, 0.5, 0.5), (1, 1.5, 1.5)]


def test_every_image_of_a_store_is_ome_zarr(store: PredictionStore) -> None:
    probability = read_image(store.path / "probability")
    assert (probability.axes, probability.n_channels) == ("czyx", 2)
    assert probability.label_names == ("prediction",)
    labels = read_image(store.path / "probability" / "labels" / "prediction")
    assert (labels.axes, labels.is_labels) == ("zyx", True)
    assert read_image(store.path / "rater_probability").n_channels == 4
    for name in MAPS:
        assert read_image(store.path / name).levels[0].shape == SHAPE


def test_one_rater_has_no_style_of_its_own(tmp_path: Path) -> None:
    store = PredictionStore.create(
        tmp_path / "v1.zarr",
        shape=(4, 8, 8),
        voxel_size=(1, 1, 1),
        chunk=(4, 8, 8),
        class_names=("cell",),
        rater_names=("Ana",),
        maps=("total_uncertainty",),
    )
    assert store.rater_names == ()
    assert not (store.path / "rater_probability").exists()


def test_an_empty_prediction_is_background_and_no_file(store: PredictionStore) -> None:
    box = Box.whole(SHAPE)
    assert not store.read_labels(box).any()
    files = [p for p in store.path.rglob("*") if p.is_file()]
    assert {p.name for p in files} == {"zarr.json"}


def test_a_store_appears_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v1.zarr"
    options: dict[str, Any] = {
        "shape": (4, 8, 8), "voxel_size": (1, 1, 1), "chunk": (4, 8, 8),
        "class_names": ("cell",), "maps": ("total_uncertainty",),
    }  # fmt: skip

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(predictions, "register_labels", full)
        with pytest.raises(DiskFullError, match="the prediction could not be written"):
            PredictionStore.create(path, **options)
    assert not PredictionStore.exists(path)
    assert list(tmp_path.iterdir()) == []
    zarr.create_group(tmp_path / "v1.zarr.partial")  # of a killed process
    PredictionStore.create(path, **options)
    assert [p.name for p in tmp_path.iterdir()] == ["v1.zarr"]


def test_nothing_is_overwritten(store: PredictionStore) -> None:
    with pytest.raises(MetadataError, match="There already is something at"):
        PredictionStore.create(
            store.path,
            shape=SHAPE,
            voxel_size=(1, 1, 1),
            chunk=(4, 16, 32),
            class_names=("cell",),
        )
    assert store.class_names == ("cell", "fibre")


def test_what_is_no_store_is_a_sentence(tmp_path: Path) -> None:
    assert not PredictionStore.exists(tmp_path / "none")
    with pytest.raises(MetadataError, match=r"holds no predictions\. Predict first"):
        PredictionStore.open(tmp_path / "none")
    zarr.create_group(tmp_path / "other")
    assert not PredictionStore.exists(tmp_path / "other")
    with pytest.raises(MetadataError, match="other holds no predictions"):
        PredictionStore.open(tmp_path / "other")
    (tmp_path / "other" / "zarr.json").write_text("{ torn")
    with pytest.raises(UnetsegError):
        PredictionStore.open(tmp_path / "other")


def test_a_full_disk_is_a_sentence(
    store: PredictionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(predictions, "write_pyramid_block", full)
    with pytest.raises(DiskFullError, match=r"v1\.zarr\. Free some space"):
        store.write(GRID[0], part(whole(), GRID[0]))


def test_a_store_opened_to_read_is_not_written(store: PredictionStore) -> None:
    reader = PredictionStore.open(store.path)
    with pytest.raises(ValueError, match="read-only"):
        reader.write(GRID[0], part(whole(), GRID[0]))


def test_a_reader_sees_what_is_written_later(store: PredictionStore) -> None:
    reader = PredictionStore.open(store.path)
    levels = reader.levels("labels")
    box = GRID[0].write_box
    assert not reader.read_labels(box).any()
    prediction = whole()
    store.write(GRID[0], part(prediction, GRID[0]))
    np.testing.assert_array_equal(
        reader.read_labels(box), prediction.labels[box.slices]
    )
    assert all(level[...].any() for level in levels)


def test_many_writers_end_with_the_bytes_of_one(
    store: PredictionStore, tmp_path: Path
) -> None:
    prediction = whole()
    write_all(store, prediction)
    shared = PredictionStore.create(
        tmp_path / "shared.zarr",
        shape=SHAPE,
        voxel_size=store.voxel_size,
        chunk=store.chunk,
        class_names=store.class_names,
        rater_names=store.rater_names,
        maps=store.map_names,
    )
    for block in reversed(list(GRID)):
        shared.write_finest(block, part(prediction, block))
    for level in range(1, shared.n_levels):
        assert not shared.levels("labels")[level][...].any()
        grid = shared.coarse_grid(level)
        every = shared.coarse_blocks(level, [Box.whole(SHAPE)])
        assert every == list(range(len(grid)))
        for index in reversed(every):
            shared.coarsen(level, grid[index].write_box)
    for name in store.names:
        for one, other in zip(store.levels(name), shared.levels(name), strict=True):
            np.testing.assert_array_equal(one[...], other[...])


def test_only_what_lies_over_a_changed_box_is_made_coarser(
    store: PredictionStore,
) -> None:
    grid = store.coarse_grid(1)
    corner = Box((0, 0, 0), (1, 1, 1))
    assert store.coarse_blocks(1, [corner]) == [0]
    far = Box(tuple(n - 1 for n in SHAPE), SHAPE)  # type: ignore[arg-type]
    assert store.coarse_blocks(1, [far, far]) == [len(grid) - 1]
