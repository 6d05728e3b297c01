from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.data.object_rows import read_object_rows
from napari_unetseg.errors import LabelsError
from napari_unetseg.geometry import Box


def test_a_table_is_read_back_the_largest_first(export, volume, labels, tmp_path):
    export(labels, volume, format="csv", target=tmp_path / "objects.csv")
    rows = read_object_rows(tmp_path / "objects.csv")
    sizes = [row.n_voxels for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    whole = labels.read(Box.whole(volume.shape))
    assert sum(sizes) == np.count_nonzero(whole)
    large = rows[0]
    assert (large.class_id, large.class_name) == (1, "cell")
    assert large.box == Box((2, 4, 4), (10, 20, 20))
    assert not large.touches_edge
    assert rows[-1].touches_edge
    size = np.prod(volume.voxel_size)
    assert large.volume == pytest.approx(large.n_voxels * size)


@pytest.mark.parametrize("content", ["", "object,class\n1,cell\n", "object\nx\n"])
def test_what_is_no_table_is_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "objects.csv"
    path.write_text(content)
    if not content:
        assert read_object_rows(path) == ()
        return
    with pytest.raises(LabelsError, match="no table of objects"):
        read_object_rows(path)


def test_a_table_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="no table of objects"):
        read_object_rows(tmp_path / "nothing.csv")
