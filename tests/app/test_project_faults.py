"""What happens to a project while it is open: other programs, rights, a full disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app.project import Project
from napari_unetseg.geometry import Box

BOX = Box((0, 0, 0), (4, 8, 8))
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX rights")

_PAINTING = """
import os, sys
from pathlib import Path
import numpy as np
from napari_unetseg.app.project import Project
from napari_unetseg.errors import UnetsegError
from napari_unetseg.geometry import Box

BOX = Box((0, 0, 0), (4, 8, 8))
project = Project.open(sys.argv[1])

def paint(value, box=BOX):
    mask = np.ones(box.shape, bool)
    try:
        project.corrections.commit(box, mask, value, annotator="Ana", tool="brush")
    except UnetsegError as error:
        print("refused", error, flush=True)
    else:
        print("saved", flush=True)
"""
_HOLDING = (
    _PAINTING
    + """
paint(1)
for line in sys.stdin:
    paint(int(line))
"""
)
_LOSING_RIGHTS = (
    _PAINTING
    + """
paint(1)
for path in [project.folder, *project.folder.rglob("*")]:
    path.chmod(0o555 if path.is_dir() else 0o444)
if os.geteuid() == 0:
    os.setuid(65534)  # to root everything is allowed
paint(2)
print(int(project.corrections.read("Ana", BOX)[0, 0, 0]), flush=True)
project.corrections.close()
"""
)
_FILLING_UP = (
    _PAINTING
    + """
import shutil
print("mounted", flush=True)
paint(1)
ballast = project.folder / "ballast"
with ballast.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
random = np.random.default_rng(0)
noise = random.integers(0, 3, (16, 48, 48)).astype(np.uint8)
whole = Box.whole(noise.shape)
before = project.corrections.n_strokes
for _ in range(3):
    paint(noise, whole)
assert project.corrections.n_strokes == before
assert (project.corrections.read("Ana", BOX) == 1).all()
ballast.unlink()
paint(noise, whole)
assert (project.corrections.read("Ana", whole) == noise).all()
project.close()
again = Project.open(sys.argv[1])
assert (again.corrections.read("Ana", whole) == noise).all()
assert again.corrections.restored == ()
again.close()
print("all there", flush=True)
"""
)


def run(script: str, *arguments: Path | str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture
def open_to_all(phantom_path: Path) -> Iterator[Path]:
    """A project where any user may read and write."""
    place = Path(tempfile.mkdtemp(prefix="unetseg-"))
    place.chmod(0o777)
    shutil.copytree(phantom_path, place / "small.zarr")
    folder = place / "small.unetseg"
    Project.create(folder, place / "small.zarr", class_names=("cell",)).close()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    yield folder
    for path in [place, *place.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    shutil.rmtree(place)


def test_a_second_program_reads_and_says_who_writes(project_folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDING, str(project_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdin is not None and first.stdout is not None
        assert first.stdout.readline() == "saved\n"
        for value in (2, 3):
            first.stdin.write(f"{value}\n")
            first.stdin.flush()
            assert first.stdout.readline() == "saved\n"
            with Project.open(project_folder) as second:
                assert second.read_only
                assert f"process {first.pid}" in second.held_by
                assert (second.corrections.read("Ana", BOX) == value).all()
                assert second.corrections.n_strokes == value
        first.kill()
    with Project.open(project_folder) as project:
        assert not project.read_only
        assert (project.corrections.read("Ana", BOX) == 3).all()


def test_rights_that_are_lost_in_the_middle_lose_no_stroke(open_to_all: Path) -> None:
    first, second, seen = run(_LOSING_RIGHTS, open_to_all)
    assert first == "saved"
    # Files that are open stay open: what is acknowledged is there, else it is said.
    assert second == "saved" or second.startswith("refused The stroke could not be")
    expected = 2 if second == "saved" else 1
    assert int(seen) == expected
    with Project.open(open_to_all) as reader:
        assert (reader.corrections.read("Ana", BOX) == expected).all()
    for path in [open_to_all, *open_to_all.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    with Project.open(open_to_all) as project:
        assert (project.corrections.read("Ana", BOX) == expected).all()
        assert project.corrections.restored == ()
        project.corrections.undo("Ana")


def test_a_disk_that_is_really_full_refuses_and_then_takes_the_stroke(
    project_folder: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "fill.py"
    script.write_text(_FILLING_UP)
    mounted = (
        f"mount -t tmpfs -o size=3m tmpfs {disk} && cp -r {project_folder} {disk}/p &&"
        f" cp -r {project_folder.with_suffix('.zarr')} {disk} &&"
        f" exec {sys.executable} {script} {disk}/p"
    )
    if shutil.which("unshare") is None:
        pytest.skip("no namespaces here")
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted],
        capture_output=True,
        text=True,
        check=False,
    )
    if "mounted" not in done.stdout:
        pytest.skip("no small disk can be mounted here")
    lines = done.stdout.splitlines()
    assert lines[0:2] == ["mounted", "saved"], done.stderr
    refused = "refused The disk is full, the stroke could not be written"
    assert all(line.startswith(refused) for line in lines[2:5]), lines
    assert lines[5:] == ["saved", "all there"], done.stderr


def test_a_project_of_another_user_is_read(open_to_all: Path) -> None:
    with Project.open(open_to_all) as project:
        project.corrections.commit(
            BOX, np.ones(BOX.shape, bool), 1, annotator="Ana", tool="brush"
        )
    script = """
import os, sys
from pathlib import Path
from napari_unetseg.app.project import Project
from napari_unetseg.geometry import Box
folder = Path(sys.argv[1])
for path in [folder, *folder.rglob("*")]:
    path.chmod(0o555 if path.is_dir() else 0o444)
if os.geteuid() == 0:
    os.setuid(65534)
with Project.open(folder) as project:
    print(project.held_by)
    print(project.corrections.read("Ana", Box((0, 0, 0), (1, 1, 1)))[0, 0, 0])
"""
    said, value = run(script, open_to_all)
    assert "cannot be written to" in said and value == "1"


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_a_killed_program_left_in_a_read_only_folder(
    open_to_all: Path, is_whole: bool
) -> None:
    script = (
        _PAINTING
        + """
import shutil
paint(1)
left = project.folder.with_name("left.unetseg")
shutil.copytree(project.folder, left)  # as a kill leaves it
if sys.argv[2] == "no index":
    (left / "journal.sqlite-shm").unlink()
project.close()
for path in [left, *left.rglob("*")]:
    path.chmod(0o555 if path.is_dir() else 0o444)
if os.geteuid() == 0:
    os.setuid(65534)
try:
    with Project.open(left) as project:
        print(project.corrections.read("Ana", BOX)[0, 0, 0])
except UnetsegError as error:
    print(error)
"""
    )
    found = run(script, open_to_all, "whole" if is_whole else "no index")[-1]
    assert found == "1" if is_whole else "Copy the project to a place" in found
