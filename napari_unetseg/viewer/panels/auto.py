"""The check box of fine-tuning that begins by itself."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_unetseg.app.session import Session
from napari_unetseg.viewer.controls import explain, label, set_hint
from napari_unetseg.viewer.preferences import keep_preference

_TIP = (
    "Train in the background as soon as so much was corrected, when nothing else runs "
    "and nobody paints. The new version is used only if it is better. How many "
    "corrections is said in napari's preferences, under “U-Net segmentation”."
)
_INDENT = 23  # px: below the words of the box


class AutoTraining(QWidget):
    """Whether it is wanted, and how far the next one is."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.box = QCheckBox()
        self.box.clicked.connect(self._on_click)
        self.count = label(role="hint", wraps=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.box)
        layout.addWidget(self.count)
        self.count.setIndent(_INDENT)

    def refresh(self, has_model: bool) -> None:
        """Show what is wanted."""
        wanted = self._session.preferences
        n = wanted.auto_corrections
        times = "correction" if n == 1 else f"{n:,} corrections"
        self.box.setText(f"Fine-tune after every {times}")
        self.box.setChecked(wanted.auto_finetune)
        reason = self._session.why_not("edit") if has_model else ""
        explain(self.box, _TIP, reason)
        self.setVisible(has_model)
        is_counting = wanted.auto_finetune and has_model and self._session.job.is_idle
        done = f"{self._session.auto.n_new:,} of {n:,} so far." if is_counting else ""
        set_hint(self.count, done)

    def _on_click(self, is_wanted: bool) -> None:
        keep_preference("auto_finetune", is_wanted)
        # Where napari keeps no preferences of the plugin they hold for this window.
        if self._session.preferences.auto_finetune is not is_wanted:
            changed = self._session.preferences.replace(auto_finetune=is_wanted)
            self._session.set_preferences(changed)
