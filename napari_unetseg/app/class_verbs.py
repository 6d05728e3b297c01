"""What the person does with the classes of a project."""

from __future__ import annotations

from napari_unetseg.app.session_base import SessionBase
from napari_unetseg.data.classes import ClassInfo


class ClassVerbs(SessionBase):
    """The part of the session that knows which class is painted."""

    def set_class(self, class_id: int) -> None:
        """Choose the class that the tools paint; 0 is the background."""
        if self.project is not None and 0 <= class_id <= len(self.project.classes):
            self.current_class = class_id
            self.class_changed.emit(class_id)

    def add_class(self, name: str) -> ClassInfo | None:
        """Add a class to the project and choose it."""
        added = None
        with self._noticed():
            added = self._open.add_class(name.strip())
            self.classes_changed.emit()
            self.set_class(added.id)
        return added

    def set_thin(self, class_id: int, is_thin: bool) -> None:
        """Say whether a class is sheets or fibres."""
        with self._noticed():
            self._open.set_thin(class_id, is_thin)
            self.classes_changed.emit()
