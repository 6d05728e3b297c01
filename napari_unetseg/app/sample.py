"""The sample project: a phantom, its three raters and the model that ships with us."""

from __future__ import annotations

from pathlib import Path

from napari_unetseg.app.project import Project
from napari_unetseg.app.project_file import SUFFIX, is_project
from napari_unetseg.data.phantom import make_phantom, write_phantom
from napari_unetseg.errors import explained_writing
from napari_unetseg.models.store import ModelCard, read_card

SAMPLE_SEED = 7
SAMPLE_SHAPE = (64, 192, 192)
DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "models" / "default"


def make_sample_project(folder: Path | str, *, seed: int = SAMPLE_SEED) -> Path:
    """Write the sample volume and its project; what is there already is kept.

    Parameters
    ----------
    folder
        Where ``phantom.zarr`` and ``phantom.unetseg`` go; made if absent.
    seed
        Another seed gives another phantom.

    Returns
    -------
    Path
        The project folder.
    """
    folder = Path(folder)
    volume, project = folder / "phantom.zarr", folder / f"phantom{SUFFIX}"
    if is_project(project):
        return project
    with explained_writing("the sample", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not volume.exists():
            phantom = make_phantom(SAMPLE_SHAPE, seed=seed, contrast="shifted")
            write_phantom(phantom, volume)
    make_project_with_default_model(project, volume)
    return project


def make_project_with_default_model(folder: Path, volume: Path | str) -> None:
    """Make a project whose classes and raters are those of the default model."""
    card = default_card()
    names = tuple(info.name for info in card.classes)
    with Project.create(
        folder, volume, class_names=names, rater_names=card.raters
    ) as project:
        project.import_model(DEFAULT_MODEL)


def default_card() -> ModelCard:
    """Return the card of the model that ships with the package."""
    return read_card(DEFAULT_MODEL)
