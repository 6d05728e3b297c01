from __future__ import annotations

import errno
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_unetseg import errors
from napari_unetseg.errors import (
    DiskFullError,
    MissingChunkError,
    ReadOnlyError,
    UnetsegError,
    explained_writing,
)


def _all_kinds(kind: type[UnetsegError] = UnetsegError) -> Iterator[type[UnetsegError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _all_kinds(child)


KINDS = sorted(set(_all_kinds()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "It went wrong."),
        ({"do": "Try again."}, "It went wrong. Try again."),
        ({"got": 3}, "It went wrong: got 3."),
        ({"got": 0, "expected": 1}, "It went wrong: got 0, expected 1."),
        ({"expected": "a file"}, "It went wrong, expected a file."),
        (
            {"got": "a", "expected": "b", "do": "Choose b."},
            "It went wrong: got a, expected b. Choose b.",
        ),
    ],
)
def test_an_error_is_a_sentence_of_what_got_expected_and_do(
    fields: dict[str, object], sentence: str
) -> None:
    assert str(UnetsegError("It went wrong", **fields)) == sentence


def test_a_full_stop_too_many_is_left_out() -> None:
    assert str(UnetsegError("It went wrong.")) == "It went wrong."


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_survives_the_way_between_processes(
    kind: type[UnetsegError],
) -> None:
    error = kind("The thing is wrong", got=(1, 2), expected=3, do="Look again.")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (
        str(copy)
        == str(error)
        == ("The thing is wrong: got (1, 2), expected 3. Look again.")
    )
    assert (copy.what, copy.got, copy.expected, copy.do) == (
        "The thing is wrong",
        (1, 2),
        3,
        "Look again.",
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_tree_of_the_docstring(
    kind: type[UnetsegError],
) -> None:
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")


@pytest.mark.parametrize(
    ("line", "kind"),
    re.findall(r"── (\w+) \((\w+)\)", errors.__doc__ or ""),
)
def test_leaves_are_the_builtins_that_a_caller_expects(line: str, kind: str) -> None:
    expected = getattr(errors, kind, None) or getattr(__import__("builtins"), kind)
    assert issubclass(getattr(errors, line), expected)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_quota_is_a_sentence(code: int) -> None:
    with (
        pytest.raises(DiskFullError) as caught,
        explained_writing("the stroke", Path("folder/journal")),
    ):
        raise OSError(code, "No space left on device")
    assert str(caught.value) == (
        "The disk is full, the stroke could not be written to folder/journal. "
        "Free some space and try again; nothing written before is lost."
    )
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_place_that_must_not_be_written_is_a_sentence(code: int) -> None:
    with (
        pytest.raises(ReadOnlyError) as caught,
        explained_writing("the stroke", "folder"),
    ):
        raise OSError(code, "Permission denied")
    assert str(caught.value) == (
        "The stroke could not be written, folder is read-only. "
        "Give yourself write access, or work in another folder."
    )


def test_other_failures_of_writing_pass_unchanged() -> None:
    failure = OSError(errno.EIO, "Input/output error")
    with (
        pytest.raises(OSError, match="Input/output") as caught,
        explained_writing("the stroke", "folder"),
    ):
        raise failure
    assert caught.value is failure


def test_an_error_that_is_explained_already_passes_unchanged() -> None:
    explained = MissingChunkError("A chunk is not there")
    explained.errno = errno.ENOSPC  # an OSError too: it must not be explained again
    with (
        pytest.raises(MissingChunkError) as caught,
        explained_writing("the stroke", "folder"),
    ):
        raise explained
    assert caught.value is explained


def test_writing_that_works_is_not_disturbed(tmp_path: Path) -> None:
    with explained_writing("the stroke", tmp_path):
        (tmp_path / "stroke").write_text("done")
    assert (tmp_path / "stroke").read_text() == "done"
