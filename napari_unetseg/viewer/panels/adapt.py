"""The row that lets the model in use get used to the volume, without labels."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_unetseg.app.session import Session
from napari_unetseg.viewer.controls import explain, push_button, row

_TIP = (
    "No labels needed: the model in use looks at some places and gets used to their "
    "contrast, also if dark and bright are exchanged. It becomes a new version."
)


class AdaptRow(QWidget):
    """One button; it is there as soon as there is a model."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.button = push_button("Adapt to this volume", _TIP, session.adapt)
        self.setLayout(row(self.button, None))

    def refresh(self) -> None:
        """Show whether it can be pressed, and if not, why."""
        project = self._session.project
        self.setVisible(project is not None and project.active_model is not None)
        explain(self.button, _TIP, self._session.why_not("adapt"))
