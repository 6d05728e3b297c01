"""The part of the session that chooses which version of the model is in use."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_unetseg.app.model_actions import version_before
from napari_unetseg.app.predict_actions import begun_with
from napari_unetseg.app.session_base import SessionBase
from napari_unetseg.app.status import Notice
from napari_unetseg.config import AdaptConfig, PredictConfig
from napari_unetseg.data.predictions import PredictionStore
from napari_unetseg.errors import RunMismatchError
from napari_unetseg.events import BlocksPlanned
from napari_unetseg.geometry import Box
from napari_unetseg.inference.run import known_blocks

_USUAL = ("flips", "device", "threads")


class ModelVerbs(SessionBase):
    """Use a version, go back to another one, take in what was trained."""

    def __init__(self) -> None:
        super().__init__()
        self._last_predict: PredictConfig | None = None
        self._trained: Mapping[str, Any] | None = None
        self._predicting = ""  # a version that is not in use

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

    def why_not_compare(self, version: str) -> str:
        """Say why a version cannot be shown beside the one in use; "" if it can."""
        project = self.project
        if project is None:
            return "Open a volume or a project first."
        if not version:
            return "Select a version first."
        if version == project.active_model:
            return "This is the version in use: select another one."
        for name in (project.active_model, version):
            if name is None:
                return "No version is in use."
            if not PredictionStore.exists(project.prediction_path(name)):
                return f"There is no prediction of {name}: let it predict first."
        return ""

    def usual_prediction(self, version: str | None = None) -> dict[str, Any]:
        """Return how a version predicts if nobody says otherwise.

        That is as in the preferences; what was begun goes on as it was begun.

        Parameters
        ----------
        version
            The one in use if None.
        """
        usual = {name: getattr(self.preferences, name) for name in _USUAL}
        project = self.project
        version = version or (project.active_model if project else None)
        if project is not None and version is not None:
            with contextlib.suppress(RunMismatchError):  # who predicts will say it
                usual |= begun_with(project, version)
        return usual

    def predict_with(self, version: str, box: Box | None) -> None:
        """Let a version predict a box that is not in use, to compare it."""
        usual = self.usual_prediction(version)
        config = PredictConfig.model_validate({**usual, "box": box, "model": version})
        if self._start_if_possible("predict", config):
            self._predicting = version

    def predictions_of(self, version: str) -> PredictionStore | None:
        """Open the predictions of a version; None if there are none to be read."""
        store = None
        with self._noticed():
            store = self._open.predictions(version)
        return store

    def blocks_of(self, version: str) -> BlocksPlanned | None:
        """Return what is known of the blocks that a version predicted."""
        project = self._open
        return known_blocks(project.run_log_path(version), project.volume.shape)

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
            self.notice.emit(Notice("info", f"{version}: {result['verdict']}"))
        elif champion != self._open.active_model:
            why = f"{version} was compared with {champion}, which is not in use now."
            self.notice.emit(Notice("info", f"{why} It is kept as a candidate."))
        elif self.is_painting():  # not under the hand
            self._trained = result
        else:
            self.use_version(version)

    def _take_waiting_model(self) -> None:
        """Take the new model in that came while somebody painted."""
        if self._trained is not None and not self.is_painting():
            result, self._trained = self._trained, None
            self._take_new_model(result)

    @abstractmethod
    def _model_is_active(self) -> None:
        """Tell everybody that another version's predictions count."""
