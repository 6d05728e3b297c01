"""The dock: header, six cards in the order of the work, status line.

::

    MainWidget ──┬── Session            what is open (from outside, or its own)
                 ├── SessionLayers      what the canvas shows
                 ├── EditTools          brush, eraser, click …
                 ├── BoundKeys          the table of keys
                 └── cards              marked by signals, looked at by the timer

Every 50 ms the timer lets the session take in what its child process said, then every
marked card looks again: a thousand events cost one look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_unetseg.app.session import Session
from napari_unetseg.app.session_base import nobody_paints
from napari_unetseg.app.status import Notice
from napari_unetseg.viewer.edits import EditTools
from napari_unetseg.viewer.header import Header
from napari_unetseg.viewer.image_layers import warm_up
from napari_unetseg.viewer.keys import KEYS, bind_keys
from napari_unetseg.viewer.keys_dialog import KeysDialog
from napari_unetseg.viewer.layers import SessionLayers
from napari_unetseg.viewer.look_ahead import LookAhead
from napari_unetseg.viewer.notices import NoticeLog, show_notice
from napari_unetseg.viewer.panels.correct import CorrectPanel
from napari_unetseg.viewer.panels.export import ExportPanel
from napari_unetseg.viewer.panels.learn import LearnPanel
from napari_unetseg.viewer.panels.panel import Connections, Panel, Parts
from napari_unetseg.viewer.panels.predict import PredictPanel
from napari_unetseg.viewer.panels.review import ReviewPanel
from napari_unetseg.viewer.panels.volume import VolumePanel
from napari_unetseg.viewer.preferences import PreferencesLink, read_preferences
from napari_unetseg.viewer.reviewed_frames import ReviewedFrames
from napari_unetseg.viewer.status_line import StatusLine
from napari_unetseg.viewer.style import SPACE, palette_of, set_flag, style_sheet
from napari_unetseg.viewer.swipe import Swipe
from napari_unetseg.viewer.tour import Tour, TourStep

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetseg.app.project import Project

WIDTH, LEAST_WIDTH, MOST_WIDTH = 380, 320, 520
POLL_MS = 50
PATIENCE_S = 0.1


class MainWidget(QWidget):
    """Everything of napari-unetseg in one napari window.

    Parameters
    ----------
    napari_viewer
        The viewer that the dock belongs to.
    session
        What is open; the dock makes and closes its own if none is given.

    Attributes
    ----------
    session, layers, edits
        What is open, what the canvas shows of it, and the tools that change it.
    panels
        The six cards: ``volume``, ``predict``, ``review``, ``correct``, ``learn`` and
        ``export``.
    """

    def __init__(self, napari_viewer: Viewer, session: Session | None = None) -> None:
        super().__init__()
        self.setObjectName("UnetsegDock")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.viewer = napari_viewer
        self._owns_session = session is None
        self.session = session or Session(read_preferences())
        self.session.patience_s = PATIENCE_S
        self.layers = SessionLayers(napari_viewer, self.session)
        self.edits = EditTools(napari_viewer, self.session, self.layers)
        self.swipe = Swipe(napari_viewer, self.session, self.layers)
        self.session.is_painting = self._is_painting
        self._look_ahead = LookAhead(self.session, self.layers)
        self._reviewed = ReviewedFrames(napari_viewer, self.session, self.layers)
        self._keys = bind_keys(napari_viewer, self)
        self._connections = Connections()
        self._preferences = PreferencesLink(self.session.set_preferences)
        self._is_closed = False
        self._had_parent = False
        self._watched: QWidget | None = None
        self.header = Header(self.session, self.show_keys, self.start_tour)
        self.tour = Tour()
        self.log = NoticeLog()
        self.status_line = StatusLine(self.session)
        self.panels = self._make_panels()
        self._lay_out()
        self._connect()
        self._apply_theme()
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        QTimer.singleShot(POLL_MS, warm_up)
        self.refresh()

    # --- what others ask for ------------------------------------------------------

    def start_tour(self) -> None:
        """Show the short tour."""
        self.tour.start()

    def show_keys(self) -> None:
        """Show all keys."""
        KeysDialog(KEYS, self.window()).open()

    def refresh(self) -> None:
        """Bring everything up to date now."""
        self.header.refresh()
        self.status_line.refresh()
        for panel in self.panels.values():
            panel.mark()
            panel.refresh_if_marked()

    def close_parts(self) -> None:
        """Let go of viewer and session, and end what runs; safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self._timer.stop()
        self.session.is_painting = nobody_paints
        if self._watched is not None:
            self._watched.removeEventFilter(self)
            self._watched = None
        self._connections.close()
        self._preferences.close()
        self.viewer.events.theme.disconnect(self._apply_theme)
        for panel in self.panels.values():
            panel.close_panel()
        self._keys.close()
        self.swipe.close()
        self.edits.close()
        self._reviewed.close()
        self.layers.close()
        if self._owns_session:
            self.session.close()

    # --- Qt -----------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Return the width that the dock takes when it opens."""
        return QSize(WIDTH, 700)

    def event(self, event: QEvent | None) -> bool:
        """Close when the dock lets go of this widget."""
        # napari takes the widget out of a closed dock and keeps it: no close event.
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None and self._had_parent:
                self.close_parts()
            self._had_parent = self.parent() is not None
        return super().event(event)

    def showEvent(self, event: QEvent | None) -> None:
        """Watch the window, to close with it."""
        window = self.window()
        if window is not self and window is not self._watched and window is not None:
            self._watched = window
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Close when the window has been closed, not merely minimised."""
        if event is not None and watched is self._watched:
            is_hidden = event.type() == QEvent.Type.Hide and not event.spontaneous()
            if is_hidden:
                self.close_parts()
        return False

    def closeEvent(self, event: QEvent | None) -> None:
        """Close when somebody closes the widget itself."""
        self.close_parts()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take files and folders."""
        data = None if event is None else event.mimeData()
        if event is not None and data is not None and data.hasUrls():
            event.acceptProposedAction()
            set_flag(self, "drop", True)

    def dragLeaveEvent(self, event: QDragLeaveEvent | None) -> None:
        """Look as before."""
        set_flag(self, "drop", False)

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open what was dropped."""
        set_flag(self, "drop", False)
        data = None if event is None else event.mimeData()
        if event is None or data is None or not data.urls():
            return
        event.acceptProposedAction()
        url = data.urls()[0]
        self.session.open_path(url.toLocalFile() if url.isLocalFile() else url.url())

    # --- inside -------------------------------------------------------------------

    def _make_panels(self) -> dict[str, Panel]:
        parts = Parts(self.viewer, self.session, self.layers, self.edits, self.swipe)
        kinds = (VolumePanel, PredictPanel, ReviewPanel, CorrectPanel, LearnPanel,
                 ExportPanel)  # fmt: skip
        return {kind.name.lower(): kind(parts) for kind in kinds}

    def _lay_out(self) -> None:
        self.setMinimumWidth(LEAST_WIDTH)
        self.setMaximumWidth(MOST_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setAcceptDrops(True)
        cards = QWidget()
        cards.setObjectName("UnetsegCards")
        column = QVBoxLayout(cards)
        column.setContentsMargins(SPACE, SPACE, 2, SPACE)
        column.setSpacing(6)
        column.addWidget(self.tour)
        for panel in self.panels.values():
            column.addWidget(panel)
        column.addStretch(1)
        self.area = QScrollArea()
        self.area.setWidget(cards)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        # Always there, so that the cards keep their width when one opens.
        self.area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        layout.addWidget(self.area, 1)
        layout.addWidget(self.log)
        layout.addWidget(self.status_line)

    def _connect(self) -> None:
        add, session = self._connections.add, self.session
        for signal in (
            session.project_changed,
            session.model_changed,
            session.models_changed,
            session.annotator_changed,
            session.save_state_changed,
        ):
            add(signal, self._refresh_header)
        add(session.job_changed, self._refresh_status)
        add(session.notice, self._on_notice)
        add(session.labels_changed, self._on_labels)
        add(session.project_changed, self._on_project)
        add(self.status_line.log_wanted, self.log.toggle)
        add(self.edits.changed, self._on_tool)
        add(session.preview_changed, self._on_tool)
        add(self.tour.step_changed, self._on_tour)
        self.viewer.events.theme.connect(self._apply_theme)

    def _tick(self) -> None:
        self.session.poll()
        self._look_ahead.tick()
        for panel in self.panels.values():
            panel.refresh_if_marked()

    def _is_painting(self) -> bool:
        """Whether somebody has a hand on the labels at this moment."""
        layer = self.layers.editable
        is_stroking = layer is not None and layer.is_stroking
        return is_stroking or self.edits.click_tool.has_preview

    def _refresh_header(self, *_: object) -> None:
        self.header.refresh()

    def _refresh_status(self, *_: object) -> None:
        self.status_line.refresh()

    def _on_notice(self, notice: Notice) -> None:
        self.log.add(notice)
        self.status_line.say(notice)
        show_notice(notice, self.window())

    def _on_tool(self, *_: object) -> None:
        self.status_line.set_hint(self.edits.hint)

    def _on_labels(self, box: object) -> None:
        self.status_line.forget()

    def _on_project(self, project: Project | None) -> None:
        """Open the card where the work begins."""
        self.panels["volume"].set_open(project is None)
        if project is not None:
            has_model = project.active_model is not None
            self.panels["predict"].set_open(has_model)
            self.panels["correct"].set_open(not has_model)

    def _on_tour(self, step: TourStep | None) -> None:
        for name, panel in self.panels.items():
            is_here = step is not None and name == step.card
            panel.set_highlight(is_here)
            if step is not None:
                panel.set_open(is_here)
        if step is not None:
            self.area.ensureWidgetVisible(self.tour)

    def _apply_theme(self, event: object = None) -> None:
        palette = palette_of(self.viewer.theme)
        self.setStyleSheet(style_sheet(palette))
        for panel in self.panels.values():
            panel.set_palette(palette)
