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

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Self

from napari_unetseg.app.lock import ProjectLock
from napari_unetseg.app.model_fit import check_fits
from napari_unetseg.app.project_file import (
    SUFFIX,
    ProjectFile,
    check_fingerprint,
    find_volume,
    read_project_file,
    relative_uri,
    write_atomically,
    write_project_file,
)
from napari_unetseg.config import VoxelSize
from napari_unetseg.data.classes import ClassInfo, default_classes
from napari_unetseg.data.corrections import CorrectionStore
from napari_unetseg.data.normalisation import Normalisation, estimate_normalisation
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import (
    ProjectError,
    ProjectLockedError,
    ReadOnlyError,
    explained_writing,
)
from napari_unetseg.models.store import ModelStore, read_card

_LOG = logging.getLogger(__name__)


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
            find_volume(folder, file), time_point=file.time_point, scale=file.scale
        )
        check_fingerprint(file.fingerprint, self.volume.fingerprint)
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
        scale: VoxelSize | None = None,
    ) -> Self:
        """Make the folder of a new project and open it.

        Parameters
        ----------
        thin
            Names of the classes that are sheets or fibres.
        scale
            The voxel size, if somebody knows better than the volume's metadata.

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
        volume = Volume.open(volume_uri, time_point=time_point, scale=scale)
        with explained_writing("the project", folder):
            folder.mkdir(parents=True, exist_ok=True)
            for part in ("labels", "predictions", "runs", "models"):
                (folder / part).mkdir(exist_ok=True)
        write_project_file(
            folder,
            ProjectFile(
                volume_uri=volume.uri,
                volume_relative=relative_uri(volume.uri, folder),
                time_point=time_point,
                scale=scale,
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

    @property
    def used_models(self) -> tuple[str, ...]:
        """The versions that were in use before, the last one at the end."""
        return self._file.used_models

    def set_active_model(self, version: str) -> None:
        """Choose the version whose prediction is shown, by one change of one file."""
        self.models.card(version)
        before = [v for v in self.used_models if v not in (version, self.active_model)]
        if self.active_model not in (None, version):
            before.append(str(self.active_model))
        self._change(active_model=version, used_models=tuple(before))

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
            write_atomically(path, estimate.model_dump_json())
        return estimate

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyError(
                f"The project {self.name} is read-only", do=self.held_by
            )

    def _change(self, **changes: object) -> None:
        self._check_writable()
        changed = self._file.replace(**changes)
        write_project_file(self.folder, changed)
        self._file = changed


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
