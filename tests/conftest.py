"""What all tests share: a home folder of their own, a small phantom, a project."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# Before napari or platformdirs look for it: tests leave nothing in the real home.
_HOME = Path(tempfile.mkdtemp(prefix="unetseg-home-"))
for _name in ("HOME", "USERPROFILE"):
    os.environ[_name] = str(_HOME)
for _name in ("CONFIG", "DATA", "CACHE", "STATE"):
    os.environ[f"XDG_{_name}_HOME"] = str(_HOME / _name.lower())
os.environ.pop("NAPARI_CONFIG", None)
# Two processes of a test on two cores: more threads only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes depends on what else the machine does.
settings.register_profile("unetseg", deadline=None)
settings.load_profile("unetseg")


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


SMALL_SHAPE = (16, 48, 48)


@pytest.fixture(scope="session")
def _phantom_master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from napari_unetseg.data.phantom import make_phantom, write_phantom

    path = tmp_path_factory.mktemp("phantom") / "small.zarr"
    write_phantom(make_phantom(SMALL_SHAPE, seed=3), path)
    return path


@pytest.fixture
def phantom_path(_phantom_master: Path, tmp_path: Path) -> Path:
    """A small phantom with labels, to read from and to write into."""
    path = tmp_path / "small.zarr"
    shutil.copytree(_phantom_master, path)
    return path


@pytest.fixture
def project_folder(phantom_path: Path) -> Path:
    """A project on the small phantom, closed, without a model."""
    from napari_unetseg.app.project import Project

    folder = phantom_path.with_suffix(".unetseg")
    Project.create(folder, phantom_path, class_names=("cell", "fibre")).close()
    return folder


@pytest.fixture(scope="session")
def _model_master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained model of two classes, registered once."""
    import torch

    from napari_unetseg.data.classes import default_classes
    from napari_unetseg.models.planning import plan_network
    from napari_unetseg.models.registration import register_version
    from napari_unetseg.models.store import ModelStore
    from napari_unetseg.models.unet import UNet

    torch.manual_seed(0)
    spec = plan_network(
        voxel_size=(1.0, 1.0, 1.0),
        shape=SMALL_SHAPE,
        in_channels=1,
        n_classes=2,
        n_raters=0,
        preset="S",
    )
    store = ModelStore(tmp_path_factory.mktemp("models"))
    register_version(
        store,
        UNet(spec),
        version="v1",
        classes=default_classes(("cell", "fibre")),
        raters=(),
    )
    return store.dir("v1")


@pytest.fixture
def model_dir(_model_master: Path) -> Path:
    """The folder of a tiny untrained model for the small phantom."""
    return _model_master


@pytest.fixture
def project_with_model(project_folder: Path, model_dir: Path) -> Path:
    """A closed project on the small phantom with a tiny untrained model."""
    from napari_unetseg.app.project import Project

    with Project.open(project_folder) as project:
        project.import_model(model_dir)
    return project_folder


@pytest.fixture
def no_halo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the measuring of the halo, which other tests are about."""

    def none(*_: object, **__: object) -> tuple[int, int, int]:
        return 0, 0, 0

    monkeypatch.setattr("napari_unetseg.models.registration.measure_halo", none)
