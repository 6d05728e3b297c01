"""What the person does to find an object: prompts, then take it or leave it.

::

    click, scribble, box ──▶ preview ──▶ accept_preview   one stroke
                          ▲     │   └──▶ leave_preview    nothing, but the model learns
                          └─────┘                         that nobody wanted it
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_unetseg.app.editing import EditingVerbs
from napari_unetseg.data.classes import thin_ids
from napari_unetseg.data.corrections import Stroke
from napari_unetseg.geometry import Box, Zyx
from napari_unetseg.interactive.click_segmenter import (
    ClickResult,
    rethreshold,
    segment,
)
from napari_unetseg.interactive.picking import first_at_least, highest, voxels_along
from napari_unetseg.interactive.prompts import (
    BoxPrompt,
    Click,
    Prompt,
    Scribble,
    marked,
)

_HALF = 128  # of 255


class PromptingVerbs(EditingVerbs):
    """The part of the session that finds objects under prompts.

    Where no network knows an object the image is all there is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.preview: ClickResult | None = None
        self._prompts: tuple[Prompt, ...] = ()

    def click(self, point: Zyx, positive: bool = True) -> None:
        """Find the object under a click; further clicks put the found one right."""
        self._prompt(Click(point, positive))

    def scribble(self, corners: tuple[Zyx, ...], positive: bool = True) -> None:
        """Find the object under a line, or put the found one right with it."""
        self._prompt(Scribble(corners, positive))

    def draw_box(self, box: Box) -> None:
        """Find the object inside a box; nothing outside of it belongs to it."""
        self._prompt(BoxPrompt(box))

    def pick(self, point: Sequence[float], direction: Sequence[float]) -> Zyx | None:
        """Return the voxel that is meant by a click along a ray, None if it misses.

        That is the first where some class is at least half probable, else the
        brightest.

        Parameters
        ----------
        point, direction
            Of the ray, in voxels zyx.
        """
        if self._refused("click"):
            return None
        voxels = voxels_along(point, direction, self._open.volume.shape)
        predictions, picked = self.predictions, None
        with self._noticed():
            if predictions is not None:
                read = predictions.read_probability
                picked = first_at_least(
                    lambda box: read(box).max(axis=0), voxels, _HALF
                )
            if picked is None:
                picked = highest(self._read_image, voxels)
        return picked

    def rescale_preview(self, factor: float) -> None:
        """Make the previewed object larger (factor below 1) or smaller."""
        if self.preview is not None:
            with self._noticed():
                self.preview = rethreshold(self.preview, factor)
                self.preview_changed.emit(self.preview)

    def accept_preview(self) -> Stroke | None:
        """Write the previewed object as one stroke."""
        preview = self.preview
        if preview is None:
            return None
        stroke = self._written(
            lambda project: project.corrections.commit(
                preview.box,
                preview.mask,
                preview.class_id,
                annotator=self.annotator,
                tool="click",
                model_version=project.active_model,
            )
        )
        if stroke is not None:
            self.drop_preview()
        return stroke

    def leave_preview(self) -> None:
        """Leave the previewed object, and note that nobody wants it.

        Where the network was wrong the first voxel that was marked as inside is kept,
        for it to learn from.
        """
        preview = self.preview
        if preview is None:
            return
        inside, _ = marked(self._prompts)
        self.drop_preview()
        project, is_wrong = self._open, preview.found_by == "prediction"
        if inside and is_wrong and not project.read_only:
            with self._noticed():
                project.corrections.add_rejected_click(
                    inside[0], preview.class_id, self.annotator, project.active_model
                )

    def drop_preview(self) -> None:
        """Forget the previewed object; says nothing about whether it was right."""
        if self.preview is not None:
            self.preview, self._prompts = None, ()
            self.preview_changed.emit(None)

    def _prompt(self, prompt: Prompt) -> None:
        """Add a prompt to those of the preview, or begin anew, and show the object."""
        if self._refused("click"):
            return
        project, predictions = self._open, self.predictions
        read = None if predictions is None else predictions.read_probability
        prompts = (*self._prompts, prompt) if self.preview is not None else (prompt,)
        with self._noticed():
            self.preview = segment(
                prompts,
                project.volume.shape,
                read_probability=read,
                read_image=self._read_image,
                voxel_size=project.volume.voxel_size,
                image_class=self.current_class or 1,
                thin=thin_ids(project.classes),
                before=self.preview,
            )
            self._prompts = prompts
            self.preview_changed.emit(self.preview)

    def _read_image(self, box: Box) -> np.ndarray:
        """Return the voxels of a box, zyx: of the first channel."""
        first: np.ndarray = self._open.volume.read(box, missing="fill")[0]
        return first
