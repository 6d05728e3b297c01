"""Whether a model can work on a project."""

from __future__ import annotations

from collections.abc import Sequence

from napari_unetseg.data.volume import Volume
from napari_unetseg.errors import ModelMismatchError
from napari_unetseg.models.store import ModelCard


def check_fits(card: ModelCard, volume: Volume, class_names: Sequence[str]) -> None:
    """Make sure that a model fits a volume and the classes of its project.

    Raises
    ------
    ModelMismatchError
        If the channels differ from the volume's, or the classes from the project's.
        A project may have more classes than the model, added after it was trained.
    """
    if card.spec.in_channels != volume.n_channels:
        raise ModelMismatchError(
            f"The model {card.version} does not fit the channels of the volume",
            got=f"a model for {_channels(card.spec.in_channels)}",
            expected=f"one for {_channels(volume.n_channels)}",
            do="Choose another model, or train a new one.",
        )
    if tuple(class_names[: len(card.class_names)]) != card.class_names:
        raise ModelMismatchError(
            f"The model {card.version} knows other classes",
            got=", ".join(card.class_names),
            expected=", ".join(class_names),
            do="Make a project with the model's classes, or train a new model.",
        )


def why_not_adapt(card: ModelCard) -> str:
    """Say why a model cannot get used to a volume without labels; "" if it can."""
    norms = {card.spec.norm, card.spec.finest_norm}
    if "batch" in norms:
        return ""
    because = (
        "normalises each patch by itself and is used to it already"
        if norms & {"instance", "group"}
        else "remembers nothing of the images that it learned from"
    )
    return (
        f"There is nothing to adapt, {card.version} {because}: label a few slices and "
        "fine-tune."
    )


def _channels(number: int) -> str:
    return "1 channel" if number == 1 else f"{number} channels"
