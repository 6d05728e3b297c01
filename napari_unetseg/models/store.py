"""Model versions on disk: ``models/<version>/card.json`` and ``weights.safetensors``.

A version appears as a whole or not at all: it is written beside its place and moved
there by one rename. Nothing of an imported model is trusted before it is checked.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self
from uuid import uuid4

from pydantic import Field, StringConstraints, ValidationError, model_validator

from napari_unetseg.config import Config
from napari_unetseg.data.classes import ClassInfo
from napari_unetseg.data.normalisation import Normalisation
from napari_unetseg.errors import (
    CorruptModelError,
    ModelError,
    ModelNotFoundError,
    UnsafeCheckpointError,
    explained_writing,
)
from napari_unetseg.geometry import Zyx
from napari_unetseg.models.exemplars import EXEMPLARS
from napari_unetseg.models.spec import NetworkSpec
from napari_unetseg.models.verdict import Verdict

CARD = "card.json"
WEIGHTS = "weights.safetensors"
MAX_CARD_BYTES = 4 * 2**20
LEFT_OVER_S = 3600.0  # nobody takes so long to write a version

_PARTIAL = ".partial-"
_VERSION = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_PICKLE_SUFFIXES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib"}
_PICKLE_STARTS = (b"PK\x03\x04", *(b"\x80" + bytes([n]) for n in range(1, 6)))

VersionName = Annotated[str, StringConstraints(pattern=_VERSION)]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class ModelCard(Config):
    """What is known of a model version; the weights lie beside it."""

    version: VersionName = Field(description="Name of the version, e.g. v3.")
    name: str = Field("", description="What people call the model.")
    description: str = Field("", description="What it was made for.")
    parent: VersionName | None = Field(
        None, description="Version that it was fine-tuned from."
    )
    created: str = Field(default_factory=_now, description="Time, ISO 8601.")
    spec: NetworkSpec = Field(description="The network.")
    classes: tuple[ClassInfo, ...] = Field(description="Classes 1 … n.")
    raters: tuple[str, ...] = Field((), description="Names of the rater heads.")
    normalisation: Normalisation | None = Field(
        None, description="Intensities of the volume that it learned from."
    )
    voxel_size: tuple[float, float, float] | None = Field(
        None, description="Voxel size (z, y, x) of that volume."
    )
    patch: Zyx | None = Field(None, description="Patch that it learned from, zyx.")
    halo: Zyx = Field((0, 0, 0), description="Measured halo, zyx.")
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(
        1.0, description="Divides all logits; fitted on held-out labels."
    )
    training: dict[str, Any] = Field(
        default_factory=dict, description="Strokes, steps, seconds, seed, choices."
    )
    metrics: dict[str, Any] = Field(
        default_factory=dict, description="What was measured on held-out labels."
    )
    calibration: dict[str, Any] = Field(
        default_factory=dict,
        description="How far to believe it, on labels that it never learned.",
    )
    gate: Verdict | None = Field(
        None, description="How it compared with the version that was in use."
    )
    weights_sha256: str = Field("", description="Hash of the weights file.")

    @model_validator(mode="after")
    def _names_fit_the_network(self) -> Self:
        ids = [info.id for info in self.classes]
        if ids != list(range(1, self.spec.n_classes + 1)):
            raise ValueError(f"the network has classes 1 to {self.spec.n_classes}")
        if self.spec.has_raters and len(self.raters) != self.spec.n_raters:
            raise ValueError(f"the network has {self.spec.n_raters} raters")
        if min(self.halo) < 0:
            raise ValueError("a halo cannot be negative")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the foreground classes."""
        return tuple(info.name for info in self.classes)


class ModelStore:
    """The model versions of a project.

    Parameters
    ----------
    folder
        Folder of the versions; it is made when the first one is registered.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def versions(self) -> list[str]:
        """Return all versions, oldest first."""
        if not self.folder.is_dir():
            return []
        found = (path.parent.name for path in self.folder.glob(f"*/{CARD}"))
        return sorted((v for v in found if re.match(_VERSION, v)), key=_in_order)

    def cards(self) -> list[ModelCard]:
        """Return the cards of all versions, oldest first."""
        return [self.card(version) for version in self.versions()]

    def dir(self, version: str) -> Path:
        """Return the folder of a version.

        Raises
        ------
        ModelNotFoundError
            If there is no such version.
        """
        known = self.versions()
        if version not in known:
            raise ModelNotFoundError(
                f"There is no model version {version!r}",
                expected=f"one of {', '.join(known)}" if known else None,
                do=None if known else "Train a new model first.",
            )
        return self.folder / version

    def card(self, version: str) -> ModelCard:
        """Return the card of a version."""
        return read_card(self.dir(version))

    def next_version(self) -> str:
        """Return the first of v1, v2, … after all that exist."""
        numbers = [int(v[1:]) for v in self.versions() if re.match(r"v\d+$", v)]
        return f"v{max(numbers, default=0) + 1}"

    def register(self, card: ModelCard, weights_path: Path | str) -> ModelCard:
        """Add a version: its weights are copied, its folder appears at once.

        Exemplars that lie beside the weights are copied, too.

        Returns
        -------
        ModelCard
            The card as stored, with the hash of the weights.

        Raises
        ------
        ModelError
            If the version exists already.
        UnsafeCheckpointError, CorruptModelError
            If the weights are no safetensors file.
        """
        source = Path(weights_path)
        check_is_safetensors(source)
        final = self.folder / card.version
        with explained_writing(f"model {card.version}", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(self.folder)
            partial = self.folder / f"{_PARTIAL}{uuid4().hex}"
            partial.mkdir()
            try:
                shutil.copyfile(source, partial / WEIGHTS)
                if _inside(source.parent, EXEMPLARS).is_file():
                    shutil.copyfile(source.parent / EXEMPLARS, partial / EXEMPLARS)
                stored = card.replace(weights_sha256=sha256(partial / WEIGHTS))
                (partial / CARD).write_text(stored.model_dump_json(indent=2), "utf-8")
                _sync(partial / WEIGHTS)
                _sync(partial / CARD)
                _move(partial, final)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return stored

    def import_from(self, folder: Path | str) -> ModelCard:
        """Check a model folder from elsewhere and add it as the next version.

        Raises
        ------
        ModelNotFoundError, CorruptModelError, UnsafeCheckpointError
            If it is no model folder, is damaged, or holds a pickled checkpoint.
        """
        source = Path(folder)
        card = read_card(source)
        weights = weights_path(source, card)
        origin = {"imported_from": source.name, "imported_version": card.version}
        here = card.replace(
            version=self.next_version(),
            parent=None,
            training=card.training | origin,
            gate=None,
        )
        return self.register(here, weights)

    def keep_verdict(self, version: str, verdict: Verdict) -> ModelCard:
        """Write into a card how the version compared; the old card stays if it fails.

        Returns
        -------
        ModelCard
            The card as stored.
        """
        folder = self.dir(version)
        card = read_card(folder).replace(gate=verdict)
        partial = folder / f".{CARD}-{uuid4().hex}"
        with explained_writing(f"model {version}", folder):
            try:
                partial.write_text(card.model_dump_json(indent=2), "utf-8")
                _sync(partial)
                partial.replace(folder / CARD)
            finally:
                partial.unlink(missing_ok=True)
        return card


def read_card(folder: Path) -> ModelCard:
    """Read and check the card of a model folder."""
    path = _inside(folder, CARD)
    if not path.is_file():
        raise ModelNotFoundError(
            f"{folder.name} is no model folder, it has no {CARD}",
            do="Choose a folder that holds a card and weights.",
        )
    if path.stat().st_size > MAX_CARD_BYTES:
        raise CorruptModelError(
            f"The card of model {folder.name} is too large",
            got=f"{path.stat().st_size} bytes",
            expected=f"at most {MAX_CARD_BYTES}",
        )
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole card"
        raise CorruptModelError(
            f"The card of model {folder.name} cannot be read, {place}: {first['msg']}",
            do="Restore the model folder, or train the model again.",
        ) from error


def weights_path(folder: Path, card: ModelCard) -> Path:
    """Return the weights of a model folder after comparing them with the card.

    Raises
    ------
    CorruptModelError
        If the weights are not those that the card was written for.
    """
    path = _inside(folder, WEIGHTS)
    check_is_safetensors(path)
    if card.weights_sha256 and sha256(path) != card.weights_sha256:
        raise CorruptModelError(
            f"The weights of model {card.version} are damaged, or belong to another "
            "card: their hash differs",
            do="Restore the model folder, or train the model again.",
        )
    return path


def check_is_safetensors(path: Path) -> None:
    """Refuse missing files and pickled checkpoints; nothing is ever unpickled."""
    if not path.is_file():
        pickled = sorted(
            p.name for p in path.parent.glob("*") if p.suffix in _PICKLE_SUFFIXES
        )
        if pickled:
            raise _unsafe(pickled[0])
        raise CorruptModelError(
            f"The weights {path.name} are missing",
            do="Restore the model folder, or train the model again.",
        )
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix.lower() in _PICKLE_SUFFIXES or start.startswith(_PICKLE_STARTS):
        raise _unsafe(path.name)


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unsafe(name: str) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f"{name} is a pickled checkpoint, it could run code and is never loaded",
        expected="weights in the safetensors format",
        do="Ask its author for safetensors weights.",
    )


def _inside(folder: Path, name: str) -> Path:
    """Return ``folder/name`` unless a link leads out of the folder."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CorruptModelError(
            f"{name} of model {folder.name} is a link that leads out of its folder",
            do="Copy the file itself into the folder.",
        )
    return path


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed programs have half written, and nobody writes any more."""
    for partial in folder.glob(f"{_PARTIAL}*"):
        with suppress(FileNotFoundError):  # another program was faster
            if time.time() - partial.stat().st_mtime > LEFT_OVER_S:
                shutil.rmtree(partial, ignore_errors=True)


def _move(partial: Path, final: Path) -> None:
    # An empty folder would be replaced silently, so look first; a full one that appears
    # in between makes the rename fail, and neither version is harmed.
    if final.exists():
        raise ModelError(
            f"There is already a model version {final.name}", do="Choose another name."
        )
    partial.rename(final)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _in_order(version: str) -> tuple[int, int, str]:
    """Sort v2 before v10, and other names after the numbered ones."""
    match = re.match(r"v(\d+)$", version)
    return (0, int(match[1]), version) if match else (1, 0, version)
