"""What the person does to whole objects: merge, split, fill, grow, interpolate.

::

    verb ──▶ tool of interactive/ ──▶ Edit ──▶ one stroke ──▶ labels_changed
                    │ nothing to do, or a fault
                    └──▶ notice
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from typing import Literal

import numpy as np

from napari_unetseg.app.slow_editing import SlowEditing
from napari_unetseg.data.composite import read_composite
from napari_unetseg.data.corrections import Stroke
from napari_unetseg.errors import EditError, UnetsegError
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.between_slices import copy_slice, interpolate_slices
from napari_unetseg.interactive.cut_object import split_along_line, split_at_points
from napari_unetseg.interactive.merge_objects import merge_objects
from napari_unetseg.interactive.objects import (
    LabelledObject,
    ReadProbability,
    whole_object_at,
)
from napari_unetseg.interactive.reshape_object import (
    fill_holes,
    grow,
    keep_largest,
    relabel,
    shrink,
    smooth,
)

_SMOOTHNESS = 1.5  # finest voxels: about what a hand trembles by


class ObjectVerbs(SlowEditing):
    """The part of the session that changes objects as a whole.

    An object is what hangs together of one class in what the person sees. Each verb
    writes one stroke, named after the tool, and returns it; None if nothing was
    written, and a notice says why. Lengths are physical, in the volume's unit.
    """

    def find_object(self, point: Zyx) -> LabelledObject | None:
        """Return the object under a voxel; None, and a notice why, if there is none."""
        found = None
        with self._noticed():
            found = self._object_at(point)
        return found

    def peek_object(self, point: Zyx) -> LabelledObject | None:
        """Return the object under a voxel, None if there is none."""
        with suppress(UnetsegError):
            return self._object_at(point)
        return None

    def merge_objects(self, first: Zyx, second: Zyx) -> Stroke | None:
        """Make two objects one, of the first one's class; a bridge joins them."""
        return self._edited(
            "merge",
            lambda: merge_objects(
                self._read_labels,
                self._shape,
                first,
                second,
                voxel_size=self._voxel_size,
                read_probability=self._read_probability,
            ),
        )

    def split_object(self, points: Sequence[Zyx]) -> Stroke | None:
        """Cut an object into as many as there are points, one on each part."""
        return self._edited(
            "split",
            lambda: split_at_points(
                self._read_labels,
                self._shape,
                points,
                voxel_size=self._voxel_size,
                read_probability=self._read_probability,
            ),
        )

    def split_along(self, line: Sequence[Zyx], axis: int = 0) -> Stroke | None:
        """Cut an object along a line in a slice perpendicular to an axis."""
        return self._edited(
            "split",
            lambda: split_along_line(
                self._read_labels,
                self._shape,
                line,
                axis=axis,
                voxel_size=self._voxel_size,
                read_probability=self._read_probability,
            ),
        )

    def delete_object(self, point: Zyx) -> Stroke | None:
        """Make an object background."""
        return self._edited("delete", lambda: relabel(self._object_at(point), 0))

    def relabel_object(self, point: Zyx, class_id: int | None = None) -> Stroke | None:
        """Make an object one of another class, by default of the chosen one."""
        return self._edited(
            "relabel", lambda: relabel(self._object_at(point), self._class(class_id))
        )

    def fill_holes(
        self, point: Zyx, axis: Literal[0, 1, 2] | None = None
    ) -> Stroke | None:
        """Fill the holes of an object, in 3D or in each slice along an axis."""
        return self._edited(
            "fill holes",
            lambda: fill_holes(self._read_labels, self._object_at(point), axis),
        )

    def smooth_object(self, point: Zyx, sigma: float | None = None) -> Stroke | None:
        """Smooth the border of an object, by default by one and a half fine voxels."""
        return self._edited(
            "smooth",
            lambda: smooth(
                self._read_labels,
                self._shape,
                self._object_at(point),
                _SMOOTHNESS * min(self._voxel_size) if sigma is None else sigma,
                voxel_size=self._voxel_size,
            ),
        )

    def grow_object(self, point: Zyx, distance: float) -> Stroke | None:
        """Grow an object by a distance, but not into another one."""
        return self._edited(
            "grow",
            lambda: grow(
                self._read_labels,
                self._shape,
                self._object_at(point),
                distance,
                voxel_size=self._voxel_size,
            ),
        )

    def shrink_object(self, point: Zyx, distance: float) -> Stroke | None:
        """Shrink an object by a distance."""
        return self._edited(
            "shrink",
            lambda: shrink(
                self._shape,
                self._object_at(point),
                distance,
                voxel_size=self._voxel_size,
            ),
        )

    def keep_largest(self, box: Box, class_id: int | None = None) -> Stroke | None:
        """Erase all pieces of a class in a box but the largest one."""
        return self._edited(
            "keep largest",
            lambda: keep_largest(
                self._read_labels, self._shape, box, self._class(class_id)
            ),
        )

    def interpolate_slices(
        self, box: Box, axis: int = 0, class_id: int | None = None
    ) -> Stroke | None:
        """Fill the slices of a box between those labelled with a class."""
        return self._edited(
            "interpolate",
            lambda: interpolate_slices(
                self._read_said,
                self._labelled_part(box),
                self._class(class_id),
                unset=self._open.corrections.unset,
                voxel_size=self._voxel_size,
                axis=axis,
            ),
        )

    def copy_slice(
        self,
        box: Box,
        index: int,
        step: int = 1,
        axis: int = 0,
        class_id: int | None = None,
    ) -> Stroke | None:
        """Copy what is labelled with a class in a slice to the one ``step`` on."""
        return self._edited(
            "copy slice",
            lambda: copy_slice(
                self._read_said,
                self._shape,
                box,
                self._class(class_id),
                unset=self._open.corrections.unset,
                index=index,
                step=step,
                axis=axis,
            ),
        )

    def _object_at(self, point: Zyx) -> LabelledObject:
        return whole_object_at(self._read_labels, self._shape, point)

    def _class(self, class_id: int | None) -> int:
        """Return a class of the project, the chosen one if None."""
        wanted = self.current_class if class_id is None else class_id
        n_classes = len(self._open.classes)
        if not 0 <= wanted <= n_classes:
            raise EditError(
                "The project has no such class",
                got=wanted,
                expected=f"0 to {n_classes}",
            )
        return wanted

    def _labelled_part(self, box: Box) -> Box:
        """Return the part of a box in which the person has said something."""
        labelled = self._open.corrections.labelled_boxes(self.annotator)
        parts = [part.intersection(box) for part in labelled if part.overlaps(box)]
        return reduce(Box.hull, parts, parts[0] if parts else Box.whole((0, 0, 0)))

    def _read_labels(self, box: Box) -> np.ndarray:
        """Return what the person sees: their corrections over the prediction."""
        store = self._open.corrections
        return read_composite(store, self.predictions, box, self.annotator)

    def _read_said(self, box: Box) -> np.ndarray:
        return self._open.corrections.read(self.annotator, box)

    @property
    def _read_probability(self) -> ReadProbability | None:
        predictions = self.predictions
        return None if predictions is None else predictions.read_probability

    @property
    def _shape(self) -> Zyx:
        return self._open.volume.shape

    @property
    def _voxel_size(self) -> tuple[float, ...]:
        return self._open.volume.voxel_size
