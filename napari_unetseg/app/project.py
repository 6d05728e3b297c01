"""A project: the folder that holds everything about one annotated volume.

::

    name.unetseg/
      project.json         what it is about: volume, classes, raters, active model
      normalisation.json   global intensity range, estimated once
      journal.sqlite       every edit, the truth
      labels/              overlays, rebuildable from the journal
      predictions/         one store per model version
      runs/                which blocks are done
      models/              model versions: weights and cards
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from napari_unetseg.app.lock import ProjectLock
from napari_unetseg.app.model_fit import check_fits
from napari_unetseg.config import Config
from napari_unetseg.data.classes import ClassInfo, default_classes
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.normalisation import Normalisation, estimate_normalisation
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import (
    NewerProjectError,
    ProjectError,
    ProjectLockedError,
    ProjectNotFoundError,
    ReadOnlyError,
    VolumeChangedError,
    VolumeNotFoundError,
    explained_writing,
)
from napari_unetseg.models.store import ModelStore, read_card

FORMAT_VERSION = 1
SUFFIX = ".unetseg"
_LOG = logging.getLogger(__name__)


class ProjectFile(Config):
    """The content of ``project.json``."""

    format_version: int = FORMAT_VERSION
    volume_uri: str
    volume_relative: str | None = None
    time_point: int = 0
    fingerprint: dict[str, Any]
    classes: tuple[ClassInfo, ...]
    raters: tuple[str, ...] = ()
    active_model: str | None = None


class Project:
    """An open project; made by :meth:`create` or :meth:`open`.

    Attributes
    ----------
    read_only
        Whether nothing may be written; ``held_by`` then says why.
    """

    def __init__(
        self, folder: Path, file: ProjectFile, lock: ProjectLock | None, held_by: str
    ) -> None:
        self.folder = folder
        self.held_by = held_by
        self._file = file
        self._lock = lock
        self.volume = Volume.open(
            _find_volume(folder, file), time_point=file.time_point
        )
        _check_fingerprint(file.fingerprint, self.volume.fingerprint)
        self.corrections = CorrectionStore.open(
            folder,
            shape=self.volume.shape,
            voxel_size=self.volume.voxel_size,
            unit=self.volume.unit,
            read_only=self.read_only,
        )
        self.models = ModelStore(folder / "models")

    @classmethod
    def create(
        cls,
        folder: Path | str,
        volume_uri: str | Path,
        *,
        class_names: tuple[str, ...],
        rater_names: tuple[str, ...] = (),
        thin: Collection[str] = (),
        time_point: int = 0,
    ) -> Self:
        """Make the folder of a new project and open it.

        Parameters
        ----------
        thin
            Names of the classes that are sheets or fibres.

        Raises
        ------
        ProjectError
            If the folder already holds something, no class is named, or a thin one
            is none of them.
        """
        folder = _with_suffix(Path(folder))
        if folder.exists() and any(folder.iterdir()):
            raise ProjectError(
                f"The folder {folder} is not empty",
                do="Open it as a project, or choose another name.",
            )
        if not class_names:
            raise ProjectError(
                "A project needs at least one class", do="Name what is segmented."
            )
        classes = _with_thin(default_classes(class_names), thin)
        volume = Volume.open(volume_uri, time_point=time_point)
        with explained_writing("the project", folder):
            folder.mkdir(parents=True, exist_ok=True)
            for part in ("labels", "predictions", "runs", "models"):
                (folder / part).mkdir(exist_ok=True)
        _write_file(
            folder,
            ProjectFile(
                volume_uri=volume.uri,
                volume_relative=_relative(volume.uri, folder),
                time_point=time_point,
                fingerprint=volume.fingerprint,
                classes=classes,
                raters=tuple(rater_names),
            ),
        )
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path | str, *, read_only: bool = False) -> Self:
        """Open a project folder.

        If another program holds it or it cannot be written, it is opened read-only and
        ``held_by`` says why.

        Raises
        ------
        ProjectNotFoundError, NewerProjectError, ProjectError
            If the folder is no project of a version that is known here.
        VolumeNotFoundError, VolumeChangedError
            If the volume is gone or is another one.
        """
        folder = Path(folder).resolve()
        file = read_project_file(folder)
        lock, held_by = (None, "Opened read-only.") if read_only else _try_lock(folder)
        try:
            return cls(folder, file, lock, held_by)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    def close(self) -> None:
        """Let go of the journal and of the lock; safe to call twice."""
        self.corrections.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Name of the folder without its suffix."""
        return self.folder.name.removesuffix(SUFFIX)

    @property
    def read_only(self) -> bool:
        """Whether nothing may be written here."""
        return self._lock is None

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """The foreground classes; background is 0 and not listed."""
        return self._file.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the foreground classes, in the order of their ids."""
        return tuple(info.name for info in self.classes)

    @property
    def raters(self) -> tuple[str, ...]:
        """Names of the raters whose styles the project knows."""
        return self._file.raters

    @property
    def active_model(self) -> str | None:
        """The model version whose prediction is shown and corrected."""
        return self._file.active_model

    def set_active_model(self, version: str | None) -> None:
        """Choose the version whose prediction is shown; None for no model."""
        if version is not None:
            self.models.card(version)
        self._change(active_model=version)

    def import_model(self, folder: Path) -> str:
        """Copy a model into the project, make it the active one, return its version.

        Raises
        ------
        ModelMismatchError
            If its channels or classes are not those of the project.
        """
        check_fits(read_card(folder), self.volume, self.class_names)
        self._check_writable()
        version = self.models.import_from(folder).version
        self.set_active_model(version)
        return version

    def add_class(self, name: str) -> ClassInfo:
        """Add a class at the end and return it."""
        if name in self.class_names:
            raise ProjectError(f"There already is a class named {name}")
        classes = default_classes((*self.class_names, name))
        kept = {info.id: info for info in self.classes}
        self._change(classes=tuple(kept.get(info.id, info) for info in classes))
        return self.classes[-1]

    def set_thin(self, class_id: int, is_thin: bool) -> None:
        """Say whether a class is sheets or fibres; predictions to come show it."""
        self._change(
            classes=tuple(
                info.replace(thin=is_thin) if info.id == class_id else info
                for info in self.classes
            )
        )

    def predictions(self, version: str | None = None) -> PredictionStore | None:
        """Open the predictions of a version, the active one by default."""
        version = version or self.active_model
        if version is None:
            return None
        path = self.prediction_path(version)
        return PredictionStore.open(path) if PredictionStore.exists(path) else None

    def prediction_path(self, version: str) -> Path:
        """Return where the predictions of a version are kept."""
        return self.folder / "predictions" / f"{version}.zarr"

    def run_log_path(self, version: str) -> Path:
        """Return the done-log of a version."""
        return self.folder / "runs" / f"{version}.jsonl"

    def normalisation(self) -> Normalisation:
        """Return the global intensity range, estimated once per project."""
        path = self.folder / "normalisation.json"
        if path.exists():
            return Normalisation.model_validate_json(path.read_text())
        estimate = estimate_normalisation(self.volume)
        with explained_writing("the intensity range", path):
            _write_atomically(path, estimate.model_dump_json())
        return estimate

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyError(
                f"The project {self.name} is read-only", do=self.held_by
            )

    def _change(self, **changes: object) -> None:
        self._check_writable()
        changed = self._file.replace(**changes)
        _write_file(self.folder, changed)
        self._file = changed


def is_project(path: Path | str) -> bool:
    """Whether this folder holds a project."""
    return (Path(path) / "project.json").is_file()


def _with_thin(
    classes: tuple[ClassInfo, ...], thin: Collection[str]
) -> tuple[ClassInfo, ...]:
    unknown = set(thin) - {info.name for info in classes}
    if unknown:
        raise ProjectError(
            "No class has this name, which is to be a thin one",
            got=", ".join(sorted(unknown)),
            expected=", ".join(info.name for info in classes),
        )
    return tuple(info.replace(thin=info.name in thin) for info in classes)


def _with_suffix(folder: Path) -> Path:
    return folder if folder.suffix == SUFFIX else folder.with_name(folder.name + SUFFIX)


def _try_lock(folder: Path) -> tuple[ProjectLock | None, str]:
    try:
        return ProjectLock(folder), ""
    except ProjectLockedError as error:
        return None, str(error)
    except OSError as error:
        _LOG.info("no lock on %s: %s", folder, error)
        return None, f"The folder {folder} cannot be written to."


def read_project_file(folder: Path) -> ProjectFile:
    """Return what a project is about, without opening it or its volume."""
    path = folder / "project.json"
    if not path.is_file():
        raise ProjectNotFoundError(
            f"There is no project at {folder}",
            do="Choose a folder that ends in .unetseg, or make a new project.",
        )
    try:
        content = json.loads(path.read_text())
        version = int(content["format_version"])
        if version > FORMAT_VERSION:
            raise NewerProjectError(
                f"The project {folder.name} was written by a later version",
                got=f"format {version}",
                expected=f"format {FORMAT_VERSION} or older",
                do="Update napari-unetseg to open it.",
            )
        return ProjectFile.model_validate(content)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ProjectError):
            raise
        raise ProjectError(
            f"The file {path} is damaged",
            do="Restore project.json from a backup; the journal is not affected.",
        ) from error


def _write_file(folder: Path, file: ProjectFile) -> None:
    path = folder / "project.json"
    with explained_writing("the project file", path):
        _write_atomically(path, file.model_dump_json(indent=2))


def _write_atomically(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _relative(uri: str, folder: Path) -> str | None:
    if "://" in uri:
        return None
    try:
        return os.path.relpath(uri, folder)
    except ValueError:  # another drive
        return None


def _find_volume(folder: Path, file: ProjectFile) -> str:
    """Return where the volume is now; projects may move together with it."""
    if "://" in file.volume_uri or Path(file.volume_uri).exists():
        return file.volume_uri
    if file.volume_relative is not None:
        moved = (folder / file.volume_relative).resolve()
        if moved.exists():
            return str(moved)
    raise VolumeNotFoundError(
        f"The volume of this project is gone from {file.volume_uri}",
        do="Put it back, or beside the project as it was before.",
    )


def _check_fingerprint(known: dict[str, Any], found: dict[str, Any]) -> None:
    for key in ("shape", "dtype", "voxel_size"):
        if _plain(known.get(key)) != _plain(found.get(key)):
            raise VolumeChangedError(
                f"The {key.replace('_', ' ')} of the volume has changed",
                got=found.get(key),
                expected=known.get(key),
                do="Open the volume that this project was made for.",
            )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
