"""The part of the session that chooses which version of the model is in use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_unetseg.app.model_actions import version_before
from napari_unetseg.app.session_base import SessionBase
from napari_unetseg.app.status import Notice
from napari_unetseg.config import AdaptConfig, PredictConfig


class ModelVerbs(SessionBase):
    """Use a version, go back to another one, take in what was trained."""

    def __init__(self) -> None:
        super().__init__()
        self._last_predict: PredictConfig | None = None

    @property
    def has_last_prediction(self) -> bool:
        """Whether a new model will be asked to predict what is on show."""
        return self._last_predict is not None

    def set_active_model(self, version: str) -> None:
        """Show and correct the predictions of another version."""
        if self.project is None or version == self.project.active_model:
            return
        with self._noticed():
            self.project.set_active_model(version)
            self._model_is_active()

    def use_version(self, version: str) -> None:
        """Use another version from now on; what was on show is predicted with it."""
        if self._refused("use_version"):
            return
        self.set_active_model(version)
        if self._open.active_model != version or self.predictions is not None:
            return
        if self._last_predict is None:
            self.notice.emit(Notice("info", f"{version} is ready: let it predict (P)."))
        elif self.job.is_idle:
            again = self._last_predict.replace(model=None)
            self._start_if_possible("predict", again)

    def go_back(self) -> None:
        """Use the version again that was in use before."""
        version = None if self.project is None else version_before(self.project)
        if version is not None:
            self.use_version(version)

    def adapt(self) -> None:
        """Let the active model get used to the volume, without labels."""
        usual = self.preferences
        config = AdaptConfig(device=usual.device, threads=usual.threads)
        self._start_if_possible("adapt", config)

    def import_model(self, folder: str | Path) -> None:
        """Copy a model's folder into the project and make it the active one."""
        if self.project is None:
            return
        with self._noticed():
            self.project.import_model(Path(folder))
            self.models_changed.emit()
            self._model_is_active()

    def _take_new_model(self, result: Mapping[str, Any]) -> None:
        """Use a model just trained if it proved better; else say why not."""
        version, champion = result["version"], result["champion"]
        if not result["promoted"]:
            self.notice.emit(Notice("warning", f"{version}: {result['verdict']}"))
        elif champion != self._open.active_model:
            why = f"{version} was compared with {champion}, which is not in use now."
            self.notice.emit(Notice("warning", f"{why} It is kept as a candidate."))
        else:
            self.use_version(version)

    @abstractmethod
    def _model_is_active(self) -> None:
        """Tell everybody that another version's predictions count."""
