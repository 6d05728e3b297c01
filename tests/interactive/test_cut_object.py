from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from napari_unetseg.errors import EditError, NothingHereError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive import weakest_neck
from napari_unetseg.interactive.cut_object import split_along_line, split_at_points
from tests.helpers.painted import Painted, ball

SHAPE = (32, 48, 64)
ISOTROPIC = (1.0, 1.0, 1.0)
LEFT, RIGHT = (16, 24, 20), (16, 24, 38)


@pytest.fixture
def painted() -> Painted:
    return Painted(SHAPE)


def split(painted: Painted, points: Sequence[Zyx], voxel_size=ISOTROPIC, **how) -> int:
    """Split and return how many voxels that cost."""
    edit = split_at_points(painted, painted.shape, points, voxel_size=voxel_size, **how)
    painted.apply(edit)
    return int(edit.mask.sum())


def cut(painted: Painted, line: Sequence[Zyx], axis=0, voxel_size=ISOTROPIC) -> int:
    """Cut and return how many voxels that cost."""
    edit = split_along_line(
        painted, painted.shape, line, axis=axis, voxel_size=voxel_size
    )
    painted.apply(edit)
    return int(edit.mask.sum())


@pytest.mark.parametrize("at", [(LEFT, RIGHT), ((16, 24, 12), RIGHT),
                                ((16, 17, 20), (22, 24, 36))])  # fmt: skip
def test_two_balls_part_at_their_neck_wherever_the_clicks_are(
    painted: Painted, at: tuple[Zyx, Zyx]
) -> None:
    painted.add_ball(LEFT, 10)
    painted.add_ball(RIGHT, 10)
    n_before = painted.n_voxels()
    lost = split(painted, at)
    assert painted.n_objects() == 2
    assert lost < 0.03 * n_before
    gone = np.argwhere(ball(SHAPE, LEFT, 10) & (painted.values == 0))
    assert (abs(gone[:, 2] - 29) <= 2).all()


def test_along_coarse_slices_the_neck_is_the_physical_one() -> None:
    painted = Painted((20, 48, 48))
    size = (3.0, 1.0, 1.0)
    painted.add_ball((6, 24, 24), 12, voxel_size=size)
    painted.add_ball((13, 24, 24), 12, voxel_size=size)
    n_before = painted.n_voxels()
    lost = split(painted, [(4, 24, 24), (15, 24, 24)], voxel_size=size)
    assert painted.n_objects() == 2
    assert lost < 0.1 * n_before
    gone = np.argwhere(
        (painted.values == 0) & ball(painted.shape, (6, 24, 24), 12, size)
    )
    assert set(gone[:, 0]) <= {8, 9, 10, 11}


def test_a_bar_without_a_neck_parts_half_way_between_the_clicks(
    painted: Painted,
) -> None:
    painted.add(Box((10, 20, 4), (18, 28, 60)))
    lost = split(painted, [(14, 24, 10), (14, 24, 30)])
    assert painted.n_objects() == 2 and lost == 64
    assert (painted.values[10:18, 20:28, 20] == 0).all() or (
        painted.values[10:18, 20:28, 21] == 0
    ).all()


def test_the_cut_follows_what_the_network_doubts(painted: Painted) -> None:
    painted.add(Box((10, 20, 4), (18, 28, 60)))
    probability = np.full((1, *SHAPE), 250, np.uint8)
    probability[..., 40:42] = 110

    def read(box: Box) -> np.ndarray:
        return probability[(slice(None), *box.slices)]

    split(painted, [(14, 24, 10), (14, 24, 50)], read_probability=read)
    gone = np.argwhere(painted.values[10:18, 20:28, 4:60] == 0)
    assert painted.n_objects() == 2
    assert set(gone[:, 2] + 4) <= {39, 40, 41, 42}


def test_what_was_painted_is_cut_by_its_shape(painted: Painted) -> None:
    painted.add_ball(LEFT, 10)
    painted.add_ball(RIGHT, 10)
    probability = np.zeros((1, *SHAPE), np.uint8)
    probability[..., :24] = 250  # the prediction knew a part of one ball

    def read(box: Box) -> np.ndarray:
        return probability[(slice(None), *box.slices)]

    split(painted, [LEFT, RIGHT], read_probability=read)
    gone = np.argwhere(ball(SHAPE, LEFT, 10) & (painted.values == 0))
    assert painted.n_objects() == 2
    assert (abs(gone[:, 2] - 29) <= 2).all()


@pytest.mark.parametrize("voxel_size", [ISOTROPIC, (2.0, 1.0, 1.0), (1.0, 3.0, 1.0)])
def test_a_large_object_is_cut_at_about_the_same_place(
    painted: Painted, monkeypatch: pytest.MonkeyPatch, voxel_size: tuple[float, ...]
) -> None:
    painted.add_ball(LEFT, 10)
    painted.add_ball(RIGHT, 10)
    n_before = painted.n_voxels()
    monkeypatch.setattr(weakest_neck, "_LARGE", 5000)
    lost = split(painted, [(16, 21, 20), (15, 25, 37)], voxel_size)
    assert painted.n_objects() == 2
    assert lost < 0.04 * n_before
    gone = np.argwhere(ball(SHAPE, LEFT, 10) & (painted.values == 0))
    assert (abs(gone[:, 2] - 29) <= 3).all()


def test_three_clicks_make_three_objects(painted: Painted) -> None:
    for x in (14, 30, 46):
        painted.add_ball((16, 24, x), 9)
    split(painted, [(16, 24, 14), (16, 24, 30), (16, 24, 46)])
    pieces, n = painted.objects()
    assert n == 3
    assert len({pieces[16, 24, x] for x in (14, 30, 46)}) == 3


def test_other_objects_stay_as_they_are(painted: Painted) -> None:
    painted.add_ball(LEFT, 10)
    painted.add_ball(RIGHT, 10)
    painted.add(Box((16, 14, 28), (17, 15, 30)), 2)
    split(painted, [LEFT, RIGHT])
    assert painted.n_voxels(2) == 2


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([LEFT], "One click splits nothing"),
        ([LEFT, (2, 2, 2)], "not on one object"),
        ([LEFT, (16, 24, 21)], "on one place"),
    ],
)
def test_clicks_that_split_nothing_are_a_sentence(
    painted: Painted, points: list[Zyx], words: str
) -> None:
    painted.add_ball(LEFT, 10)
    with pytest.raises(EditError, match=words):
        split(painted, points)
    with pytest.raises(NothingHereError):
        split(painted, [(2, 2, 2), LEFT])


rough = arrays.arrays(bool, (7, 8, 9), elements=st.booleans(), fill=st.just(True))


@settings(max_examples=60)
@given(
    data=st.data(),
    mask=rough,
    n=st.integers(2, 4),
    voxel_size=st.sampled_from([ISOTROPIC, (4.0, 1.0, 1.0), (1.0, 2.0, 0.5)]),
)
def test_a_split_gives_as_many_objects_as_clicks(data, mask, n, voxel_size) -> None:
    painted = Painted((9, 12, 12))
    painted.values[1:8, 2:10, 2:11] = mask
    pieces, n_pieces = painted.objects()
    sizes = np.bincount(pieces.ravel(), minlength=2)
    largest = np.argwhere(pieces == 1 + sizes[1:].argmax()) if n_pieces else []
    points: list[Zyx] = []
    for _ in range(n if len(largest) else 0):
        point = largest[data.draw(st.integers(0, len(largest) - 1))]
        if all(abs(point - np.array(p)).max() > 1 for p in points):
            points.append(zyx(point))
    if len(points) < 2:
        return
    split(painted, points, voxel_size=voxel_size)
    after, n_after = painted.objects()
    assert len({int(after[p]) for p in points} - {0}) == len(points)
    assert n_after == n_pieces - 1 + len(points)


def test_a_line_cuts_where_it_is_drawn_and_through_all_slices(
    painted: Painted,
) -> None:
    painted.add(Box((10, 20, 4), (18, 28, 60)))
    lost = cut(painted, [(12, 18, 24), (12, 30, 24)])
    assert painted.n_objects() == 2 and lost == 64
    gone = np.argwhere(painted.values[10:18, 20:28, 4:60] == 0)
    assert len(set(gone[:, 2])) == 1 and abs(gone[0, 2] + 4 - 24) <= 1


def test_a_slanted_line_lets_nothing_through(painted: Painted) -> None:
    painted.add(Box((10, 20, 4), (18, 28, 60)))
    lost = cut(painted, [(12, 18, 20), (12, 24, 30), (12, 30, 28)])
    assert painted.n_objects() == 2
    assert lost <= 2.2 * 64


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_line_may_be_drawn_in_slices_along_any_axis(axis: int) -> None:
    painted = Painted((30, 30, 30))
    painted.add(Box((5, 5, 5), (25, 25, 25)))
    line = [np.insert([2, 12], axis, 8), np.insert([28, 12], axis, 8)]
    assert cut(painted, [zyx(p) for p in line], axis) == 400
    assert painted.n_objects() == 2


def test_a_line_that_ends_just_inside_of_the_border_still_cuts(
    painted: Painted,
) -> None:
    painted.add(Box((10, 20, 4), (18, 28, 60)))
    cut(painted, [(12, 22, 24), (12, 26, 24)])
    assert painted.n_objects() == 2


def test_what_the_knife_passes_in_other_slices_stays_whole(painted: Painted) -> None:
    painted.add(Box((10, 10, 4), (20, 18, 60)))  # the bar that is cut
    painted.add(Box((0, 10, 4), (10, 40, 12)))  # an arm, and above the line
    painted.add(Box((0, 32, 4), (4, 40, 60)))
    painted.add(Box((0, 10, 28), (4, 32, 36)))  # a plate that is joined to the arm
    cut(painted, [(15, 5, 32), (15, 22, 32)])
    assert painted.n_objects() == 2
    assert (painted.values[0:4, 10:32, 28:36] == 1).all()


def test_where_it_holds_together_around_the_line_the_neck_is_cut(
    painted: Painted,
) -> None:
    painted.add_ball((16, 24, 20), 11)
    painted.add_ball((16, 24, 40), 11)
    # In slice 8 the neck is narrow: the line is much shorter than the neck in slice 16.
    painted.add(Box((8, 23, 20), (10, 26, 40)))
    n_before = painted.n_voxels()
    lost = cut(painted, [(8, 21, 30), (8, 28, 30)])
    assert painted.n_objects() == 2
    assert lost < 0.05 * n_before


def test_a_line_across_two_prongs_cuts_both(painted: Painted) -> None:
    painted.add(Box((10, 10, 10), (14, 16, 50)))
    painted.add(Box((10, 10, 10), (14, 40, 16)))
    painted.add(Box((10, 10, 44), (14, 40, 50)))
    cut(painted, [(11, 28, 5), (11, 28, 55)])
    assert painted.n_objects() == 3


def test_the_object_that_most_of_the_line_lies_in_is_cut(painted: Painted) -> None:
    painted.add(Box((10, 4, 20), (14, 8, 30)))
    painted.add(Box((10, 12, 20), (14, 28, 30)), 2)
    painted.add(Box((10, 32, 20), (14, 34, 30)))
    cut(painted, [(12, 2, 25), (12, 40, 25)])
    assert (painted.n_objects(1), painted.n_objects(2)) == (2, 2)


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ([(12, 18, 24)], EditError, "no line in one slice"),
        ([(12, 18, 24), (13, 30, 24)], EditError, "no line in one slice"),
        ([(12, 18, 20), (12, 23, 20)], EditError, "does not cross the object"),
        ([(2, 18, 24), (2, 30, 24)], NothingHereError, "runs through no object"),
        ([(12, 90, 24), (12, 99, 24)], NothingHereError, "runs through no object"),
    ],
)
def test_a_line_that_cuts_nothing_is_a_sentence(
    painted: Painted, line: list[Zyx], error: type[Exception], words: str
) -> None:
    painted.add(Box((10, 20, 4), (18, 32, 60)))
    with pytest.raises(error, match=words):
        cut(painted, line)


@settings(max_examples=40)
@given(
    ends=st.tuples(*[st.tuples(st.integers(0, 23), st.integers(0, 23))] * 2),
    seed=st.integers(0, 10_000),
)
def test_a_line_makes_several_objects_or_says_why_not(ends, seed) -> None:
    painted = Painted((10, 24, 24))
    noise = np.random.default_rng(seed).random(painted.shape)
    painted.values[ndimage.gaussian_filter(noise, 2) > 0.5] = 1
    n_before = painted.n_objects()
    before = painted.n_voxels()
    try:
        lost = cut(painted, [(5, *ends[0]), (5, *ends[1])])
    except (EditError, NothingHereError):
        return
    assert painted.n_objects() > n_before
    assert painted.n_voxels() == before - lost
