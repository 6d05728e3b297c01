from __future__ import annotations

from pathlib import Path

import pytest

from napari_unetseg.models.backends.kept import keep_json, read_json


def test_what_is_kept_is_found_again_beside_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "kept.json"
    keep_json(path, "a", {"backend": "x"})
    keep_json(path, "b", {"backend": "y"})
    assert read_json(path, "a") == {"backend": "x"}
    assert read_json(path, "b") == {"backend": "y"}
    assert read_json(path, "c") == {}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 3}'])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kept.json"
    path.write_text(content)
    assert read_json(path, "a") == {}
    keep_json(path, "a", {"n": 1})
    assert read_json(path, "a") == {"n": 1}


def test_a_folder_that_cannot_be_made_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    caplog.set_level("INFO")
    keep_json(tmp_path / "file" / "kept.json", "a", {})
    assert "is not kept" in caplog.text
