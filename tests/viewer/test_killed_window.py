"""A window that is killed right after its mark said "saved"."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_unetseg.app.project import Project
from napari_unetseg.geometry import Box

pytestmark = pytest.mark.gui

WINDOW = """
import sys
from qtpy.QtCore import Qt
from napari_unetseg.viewer.hand import Hand
from napari_unetseg.viewer.launch import build_window

viewer, window = build_window(sys.argv[1])
window.session.set_annotator("Ana")
hand = Hand(viewer)
hand.wait_until(lambda: window.layers.editable is not None, what="the layers")
hand.rest(300)
size = window.session.project.volume.voxel_size
viewer.dims.set_point(0, 8 * size[0])
hand.rest(300)
hand.press(Qt.Key.Key_B)
hand.press(Qt.Key.Key_1)
hand.drag([[8 * size[0], 20 * size[1], n * size[2]] for n in range(8, 40, 3)])
hand.wait_until(lambda: "✓ saved" in window.header.mark.text(), what="the mark")
print("saved", window.session.project.corrections.n_strokes, flush=True)
sys.stdin.read()  # until it is killed
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_stroke_that_was_shown_as_saved_is_there_after_a_kill(
    project_folder: Path,
) -> None:
    window = subprocess.Popen(
        [sys.executable, "-c", WINDOW, str(project_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert window.stdout is not None
    with window:
        said = next((line for line in window.stdout if line.startswith("saved")), "")
        window.kill()
    assert window.returncode == -signal.SIGKILL
    assert said == "saved 1\n"

    with Project.open(project_folder) as project:  # its lock went with the process
        assert project.corrections.n_strokes == 1
        found = project.corrections.read("Ana", Box((8, 20, 8), (9, 21, 38)))
        np.testing.assert_array_equal(found, 1)
