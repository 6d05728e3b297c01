from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaozarrs

from napari_unetseg.config import ConsensusConfig
from napari_unetseg.data.classes import default_classes
from napari_unetseg.data.consensus import ConsensusLabels, Majority
from napari_unetseg.data.consensus_export import write_consensus
from napari_unetseg.data.corrections import UNSET
from napari_unetseg.data.ome_zarr import create_image
from napari_unetseg.data.ratings import Ratings, ratings_of
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import Cancelled, ExportError, LabelsError
from napari_unetseg.events import ignore_event, never_cancelled
from napari_unetseg.geometry import Box

SHAPE = (20, 70, 66)
CLASSES = default_classes(["cell", "fibre", "never used"])


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    path = tmp_path / "image.zarr"
    create_image(
        path, shape=SHAPE, chunk=(10, 32, 32), dtype="uint8", voxel_size=(1, 1, 1)
    )
    return Volume.open(path)


def ratings(n: int = 3) -> Ratings:
    rng = np.random.default_rng(0)
    truth = np.zeros(SHAPE, np.uint8)
    truth[4:12, 10:40, 10:40], truth[8:16, 45:60, 20:50] = 1, 2
    return ratings_of({
        name: np.where(rng.random(SHAPE) < 0.1, 0, truth) for name in "abc"[:n]
    })  # fmt: skip


def written(volume: Volume, raters: Ratings, **choices):
    return write_consensus(
        raters,
        volume=volume,
        classes=CLASSES,
        config=ConsensusConfig(**choices),
        on_event=ignore_event,
        is_cancelled=never_cancelled,
    )


@pytest.mark.parametrize("method", ["majority", "staple"])
def test_labels_and_the_table_of_raters_are_written(volume, tmp_path, method) -> None:
    target = tmp_path / f"{method}.zarr"
    found = written(volume, ratings(), method=method, out=target)

    yaozarrs.validate_zarr_store(str(target))
    labels = Volume.open(target)
    assert labels.shape == SHAPE
    said = labels.read(Box.whole(SHAPE), missing="fill")[0]
    assert set(np.unique(said)) == {0, 1, 2}
    counts = {"cell": int((said == 1).sum()), "fibre": int((said == 2).sum())}
    assert found["voxels_per_class"] == counts
    table = json.loads(Path(found["table"]).read_text("utf-8"))
    assert table["method"] == method
    assert [(r["rater"], r["class"]) for r in table["raters"]] == [
        (rater, name) for name in ("cell", "fibre") for rater in "abc"
    ]
    assert all(0.8 < row["sensitivity"] < 0.95 for row in table["raters"])


def test_chances_are_written_channel_by_channel(volume, tmp_path) -> None:
    chances = tmp_path / "chances.zarr"
    written(volume, ratings(), out=tmp_path / "out.zarr", probability=chances)

    image = Volume.open(chances)
    assert image.n_channels == 2
    whole = Box.whole(SHAPE)
    expected = ConsensusLabels(ratings(), Majority()).probability(whole, (1, 2))
    assert (image.read(whole, missing="fill") == expected).all()
    coarse = image.array(len(image.levels) - 1)[:]
    assert coarse.max() > 0
    with pytest.raises(ExportError, match="already is something"):
        written(volume, ratings(), out=tmp_path / "new.zarr", probability=chances)


def test_ties_can_be_left_without_a_label(volume, tmp_path) -> None:
    a, b = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    a[:2], b[:1] = 1, 1
    raters = ratings_of({"a": a, "b": b})
    target = tmp_path / "out.zarr"
    written(volume, raters, ties="unlabelled", out=target)
    said = Volume.open(target).read(Box.whole(SHAPE), missing="fill")[0]
    assert [int(v) for v in said[:3, 0, 0]] == [1, UNSET, 0]


def test_staple_of_two_raters_is_refused_and_leaves_nothing(volume, tmp_path) -> None:
    target = tmp_path / "out.zarr"
    with pytest.raises(LabelsError, match="at least three"):
        written(volume, ratings(2), method="staple", out=target)
    with pytest.raises(ExportError, match="needs a target"):
        written(volume, ratings())
    with pytest.raises(Cancelled):
        write_consensus(
            ratings(), volume=volume, classes=CLASSES,
            config=ConsensusConfig(out=target), on_event=ignore_event,
            is_cancelled=lambda: True,
        )  # fmt: skip
    assert not list(tmp_path.glob("out*"))
