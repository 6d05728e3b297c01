"""A short tour: one card after the other, with what to do there."""

from __future__ import annotations

from dataclasses import dataclass

from psygnal import Signal
from qtpy.QtWidgets import QFrame, QVBoxLayout

from napari_unetseg.viewer.controls import label, push_button, row
from napari_unetseg.viewer.style import SPACE


@dataclass(frozen=True)
class TourStep:
    """One stop: which card, and what to say there."""

    card: str
    title: str
    text: str


STEPS = (
    TourStep(
        "volume",
        "Open a volume",
        "Drop a zarr, TIFF or NIfTI volume on this dock. It is never loaded whole. "
        "The sample is a phantom with cells and fibres.",
    ),
    TourStep(
        "predict",
        "Predict what you see",
        "Press P, or “Predict”. Blocks appear as they are done; you can stop at any "
        "time and go on later.",
    ),
    TourStep(
        "review",
        "See where to look",
        "Key D shows where raters disagree. N goes to the region where the model is "
        "least sure, A accepts it.",
    ),
    TourStep(
        "correct",
        "Correct it",
        "Brush (B), eraser (E), fill (F), or click on an object (C) and press Enter. "
        "“✓ saved” means that it is on disk.",
    ),
    TourStep(
        "learn",
        "Let it learn",
        "“Fine-tune” (T) trains a new version in the background. Your corrections "
        "stay as you made them.",
    ),
    TourStep(
        "export",
        "Take it with you",
        "OME-Zarr, TIFF, NIfTI, or a table of objects. ? lists all keys.",
    ),
)


class Tour(QFrame):
    """Shows one step at a time.

    Signals
    -------
    step_changed
        The step that is shown, None when the tour is over.
    """

    step_changed = Signal(object)

    def __init__(self, steps: tuple[TourStep, ...] = STEPS) -> None:
        super().__init__()
        self.setObjectName("Tour")
        self._steps = steps
        self._index = -1
        self._title = label(role="title")
        self._text = label(wraps=True)
        self._place = label(role="hint")
        self.back = push_button("Back", "The step before.", lambda: self._move(-1))
        self.next = push_button("Next", "The next step.", lambda: self._move(1),
                                "primary")  # fmt: skip
        self.end = push_button("End tour", "Close the tour.", self.stop, "quiet")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE + 2, SPACE, SPACE + 2, SPACE)
        layout.setSpacing(6)
        layout.addLayout(row(self._title, None, self._place))
        layout.addWidget(self._text)
        layout.addLayout(row(self.next, self.back, None, self.end))
        self.hide()

    @property
    def step(self) -> TourStep | None:
        """The step that is shown, None while there is no tour."""
        inside = 0 <= self._index < len(self._steps)
        return self._steps[self._index] if inside else None

    def start(self) -> None:
        """Begin with the first step."""
        self._show(0)

    def stop(self) -> None:
        """Close the tour."""
        self._show(-1)

    def _move(self, by: int) -> None:
        self._show(self._index + by)

    def _show(self, index: int) -> None:
        self._index = index if index < len(self._steps) else -1
        step = self.step
        self.setVisible(step is not None)
        if step is not None:
            self._title.setText(step.title)
            self._text.setText(step.text)
            self._place.setText(f"{index + 1} of {len(self._steps)}")
            self.back.setVisible(index > 0)
            is_last = index == len(self._steps) - 1
            self.next.setText("Done" if is_last else "Next")
        self.step_changed.emit(step)
