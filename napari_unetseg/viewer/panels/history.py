"""The list of edits: who did what and when; go there, look back, take back."""

from __future__ import annotations

from datetime import datetime

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QFont
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unetseg.data.look_back import HistoryRow
from napari_unetseg.viewer.controls import explain, label, push_button, row
from napari_unetseg.viewer.panels.panel import Parts
from napari_unetseg.viewer.past_labels import PastLabels

PAGE = 100
_ROW_HEIGHT, _MAX_ROWS = 22, 8
_TO_HERE = "Take back all that was done after this edit. Redo brings it back."
_THIS_ONE = (
    "Take back this edit alone: voxels that later edits changed stay as they are. "
    "Undo brings it back."
)
_PAST = "Show what the annotator had said about this slice after the chosen edit."
_PLAY = "Show the labels of this slice grow, edit by edit, the oldest first."
_MORE = "Show a hundred older edits."


class HistoryList(QWidget):
    """Edits, newest first, a page at a time; keeps no state but what is shown."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._session, self._layers = parts.session, parts.layers
        self._rows: list[HistoryRow] = []
        self._n_wanted = PAGE
        self.past = PastLabels(parts.session, parts.layers)
        self.past.shown.connect(self._on_past)
        self.who = QComboBox()
        self.who.setToolTip("Whose edits are listed.")
        self.who.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.who.activated.connect(lambda _: self.refresh())
        self.list = self._make_list()
        self.more = push_button("Older", _MORE, self._show_older, "quiet")
        self.to_here = push_button("Back to here", _TO_HERE, self._back_to_here)
        self.this_one = push_button("Take this back", _THIS_ONE, self._take_back)
        self.show_past = QCheckBox("as it was then")
        self.show_past.clicked.connect(self._on_show_past)
        self.play = push_button("Replay", _PLAY, self._play)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(row(label("edits of", "field"), self.who, None, self.more))
        rows.addWidget(self.list)
        rows.addLayout(row(self.to_here, self.this_one))
        rows.addLayout(row(self.show_past, None, self.play))

    @property
    def chosen(self) -> HistoryRow | None:
        """The edit that is selected."""
        place = self.list.currentRow()
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def refresh(self) -> None:
        """Show the edits and what can be done with the chosen one."""
        self._show_who()
        found = self._session.history(self.who.currentData(), size=self._n_wanted)
        if found != self._rows:
            self._show_rows(found)
        chosen = self.chosen
        refused = self._session.why_not_back(chosen)
        explain(self.to_here, _TO_HERE, refused)
        explain(self.this_one, _THIS_ONE, refused)
        none = "" if chosen is not None else "Choose an edit in the list first."
        explain(self.show_past, _PAST, none)
        explain(self.play, _PLAY, "" if self._rows else "Nothing was edited yet.")
        is_all = len(self._rows) < self._n_wanted
        explain(self.more, _MORE, "These are all." if is_all else "")

    def close_list(self) -> None:
        """Let go of the session."""
        self.past.close()

    # --- what is shown ------------------------------------------------------------

    def _make_list(self) -> QListWidget:
        made = QListWidget()
        made.setToolTip("Edits, the newest first. Click to go there.")
        made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        made.setTextElideMode(Qt.TextElideMode.ElideRight)
        made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        made.setFixedHeight(_MAX_ROWS * _ROW_HEIGHT + 4)
        made.itemClicked.connect(self._on_clicked)
        return made

    def _show_who(self) -> None:
        project = self._session.project
        people = [] if project is None else project.corrections.annotators()
        known = [self.who.itemData(i) for i in range(self.who.count())]
        if known == [None, *people]:
            return
        chosen = self.who.currentData()
        self.who.clear()
        self.who.addItem("everybody", None)
        for name in people:
            self.who.addItem(name, name)
        self.who.setCurrentIndex(max(0, self.who.findData(chosen)))

    def _show_rows(self, rows: list[HistoryRow]) -> None:
        before = self.chosen
        self._rows = rows
        self.list.clear()
        for number, shown in enumerate(rows):
            self.list.addItem(_item(shown, everybody=self.who.currentData() is None))
            if before is not None and shown.stroke.uuid == before.stroke.uuid:
                self.list.setCurrentRow(number)

    # --- what the person does -------------------------------------------------------

    def _on_clicked(self, _: QListWidgetItem) -> None:
        if (chosen := self.chosen) is not None:
            self._layers.go_to(chosen.stroke.box)
            if self.show_past.isChecked():
                self.past.show(chosen.stroke)
        self.refresh()

    def _on_show_past(self, is_on: bool) -> None:
        chosen = self.chosen
        if is_on and chosen is not None:
            self.past.show(chosen.stroke)
        else:
            self.past.hide()

    def _on_past(self, stroke: object) -> None:
        self.show_past.setChecked(stroke is not None)

    def _play(self) -> None:
        if self.past.is_playing:
            self.past.hide()
        else:
            self.past.play([shown.stroke for shown in reversed(self._rows)])

    def _show_older(self) -> None:
        self._n_wanted += PAGE
        self.refresh()

    def _back_to_here(self) -> None:
        if (chosen := self.chosen) is not None:
            self._session.undo_to(chosen.stroke)

    def _take_back(self) -> None:
        if (chosen := self.chosen) is not None:
            self._session.undo_stroke(chosen.stroke)


def _item(shown: HistoryRow, *, everybody: bool) -> QListWidgetItem:
    stroke = shown.stroke
    when = datetime.fromisoformat(stroke.time).astimezone()
    who = f"{stroke.annotator} · " if everybody else ""
    text = f"{when:%H:%M}  {who}{stroke.tool} · {stroke.n_voxels:,} voxels"
    item = QListWidgetItem(text)
    item.setSizeHint(QSize(0, _ROW_HEIGHT))
    version = stroke.model_version
    model = f"\nover the prediction of {version}" if version else ""
    undone = "\nTaken back." if shown.is_undone else ""
    item.setToolTip(f"{when:%Y-%m-%d %H:%M:%S} · {stroke.box}{model}{undone}")
    if shown.is_undone:
        font = QFont()
        font.setStrikeOut(True)
        item.setFont(font)
    return item
