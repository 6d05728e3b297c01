from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unetseg.viewer.hand import Hand, TookTooLongError

if TYPE_CHECKING:
    from napari import Viewer

pytestmark = pytest.mark.gui


@pytest.fixture
def hand(viewer: Viewer) -> Hand:
    viewer.add_image(np.zeros((4, 60, 80), "uint8"), scale=(3.0, 0.5, 0.5))
    viewer.reset_view()
    hand = Hand(viewer)
    hand.rest()
    return hand


def test_a_click_lands_on_the_point_of_the_world(viewer: Viewer, hand: Hand) -> None:
    positions: list[tuple[float, ...]] = []
    viewer.mouse_drag_callbacks.append(
        lambda _, event: positions.append(tuple(event.position))
    )
    hand.click((3.0, 10.0, 20.0))
    assert np.allclose(positions[0][1:], (10.0, 20.0), atol=0.2)


def test_a_key_reaches_the_viewer(viewer: Viewer, hand: Hand) -> None:
    pressed: list[str] = []
    viewer.bind_key("K", lambda _: pressed.append("K"), overwrite=True)
    hand.press(Qt.Key.Key_K)
    assert pressed == ["K"]


def test_waiting_in_vain_ends_with_what_was_waited_for(hand: Hand) -> None:
    with pytest.raises(TookTooLongError, match="in vain for the moon"):
        hand.wait_until(lambda: False, what="the moon", seconds=0.05)
