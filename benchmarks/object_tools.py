"""Tools that change whole objects: where they cut, what they cost, how long they take.

Cells and nuclei that touch are taken two by two for one object and cut again, by clicks
and by a line. Clicks are compared with a flood from the clicked voxels (a watershed of
the distance to the border) and with the nearest click; the line with a knife straight
through. Times are those of one core, of two balls that touch.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from benchmarks.common import Target, parse_args, shared_data, write_report
from napari_unetseg.data.split_objects import TOUCHING
from napari_unetseg.errors import EditError
from napari_unetseg.geometry import Box, Zyx, zyx
from napari_unetseg.interactive.cut_object import split_along_line, split_at_points
from napari_unetseg.interactive.knife import knife_through, voxels_of
from napari_unetseg.interactive.objects import Edit, whole_object_at
from napari_unetseg.interactive.reshape_object import fill_holes, grow, shrink, smooth

Size = tuple[float, float, float]
_LEAST_CONTACT, _LEAST_VOXELS = 20, 200
_OFF_MIDDLE = 0.3  # a click is anywhere from this share of the largest depth on


def real_labels() -> Iterator[tuple[str, np.ndarray, Size]]:
    """Yield name, ids and voxel size of real objects that touch, background 0."""
    folder = shared_data("plantseg_ovules")
    if folder is None or importlib.util.find_spec("h5py") is None:
        return
    import h5py

    for name, file_name in (("nuclei", "1135_mini"), ("cells", "sample_ovule")):
        with h5py.File(folder / f"{file_name}.h5") as file:
            labels = file["label"]
            z, y, x = (float(v) for v in labels.attrs["element_size_um"])
            ids = labels[:].astype(np.int32)
            yield name, np.where(ids == np.bincount(ids.ravel()).argmax(), 0, ids), (
                z, y, x,
            )  # fmt: skip


def touching_pairs(ids: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Yield two objects that touch as 1 and 2, cropped."""
    found: list[np.ndarray] = []
    for axis in range(3):
        a, b = np.moveaxis(ids, axis, 0)[:-1], np.moveaxis(ids, axis, 0)[1:]
        touch = (a != b) & (a > 0) & (b > 0)
        found.append(np.sort(np.column_stack([a[touch], b[touch]]), axis=1))
    pairs, contact = np.unique(np.concatenate(found), axis=0, return_counts=True)
    large = (np.bincount(ids.ravel())[pairs] >= _LEAST_VOXELS).all(axis=1)
    pairs = pairs[large & (contact >= _LEAST_CONTACT)]
    np.random.default_rng(0).shuffle(pairs)
    for one, other in pairs[:most]:
        pair = np.where(ids == one, 1, np.where(ids == other, 2, 0))
        pair = np.pad(pair[ndimage.find_objects((pair > 0).view(np.uint8))[0]], 1)
        if ndimage.label(pair > 0, TOUCHING)[1] == 1:
            yield pair


def share_right(parts: np.ndarray, pair: np.ndarray, places: list[Zyx]) -> float:
    """Return the share of voxels in the part of their place; those lost are wrong."""
    right = [((parts == parts[p]) & (pair == pair[p])).sum() for p in places]
    return float(sum(right) / (pair > 0).sum())


def after(edit: Edit, pair: np.ndarray) -> np.ndarray:
    """Return the pieces that an edit leaves."""
    left = pair > 0
    left[edit.box.slices][edit.mask] = False
    return ndimage.label(left, TOUCHING)[0]


def clicks_on(pair: np.ndarray, size: Size, random: np.random.Generator | None) -> Any:
    """Return a voxel of each object: the deepest, or any that is not at the border."""
    places = []
    for number in (1, 2):
        depth = ndimage.distance_transform_edt(np.pad(pair == number, 1), sampling=size)
        depth = depth[1:-1, 1:-1, 1:-1]
        share = 1.0 if random is None else _OFF_MIDDLE
        inside = np.argwhere(depth >= share * depth.max())
        at = 0 if random is None else random.integers(len(inside))
        places.append(zyx(inside[at]))
    return places


def clicked(pair: np.ndarray, size: Size, places: list[Zyx]) -> dict[str, float]:
    """Return the share that is right of our cut and of two others."""
    mask = pair > 0
    edit = split_at_points(reader(mask), pair.shape, places, voxel_size=size)
    seeds = np.zeros(pair.shape, np.int32)
    for number, place in enumerate(places, start=1):
        seeds[place] = number
    depth = ndimage.distance_transform_edt(mask, sampling=size)
    flood = watershed(-depth, seeds, mask=mask, connectivity=3)
    nearest = ndimage.distance_transform_edt(
        seeds == 0, sampling=size, return_distances=False, return_indices=True
    )
    return {
        "ours": share_right(after(edit, pair), pair, places),
        "flood": share_right(flood, pair, places),
        "nearest": share_right(seeds[tuple(nearest)] * mask, pair, places),
        "lost": float(edit.mask.sum() / mask.sum()),
    }


def line_between(pair: np.ndarray) -> list[Zyx]:
    """Return a straight line along the border in the slice where it is longest."""
    border = ndimage.maximum_filter((pair == 1).view(np.uint8), 3) * (pair == 2)
    z = int(border.sum(axis=(1, 2)).argmax())
    at = np.argwhere(border[z])
    middle = at.mean(axis=0)
    along = np.linalg.svd(at - middle, full_matrices=False)[2][0]
    reach = (at - middle) @ along
    ends = (middle + (t * along) for t in (reach.min() - 2, reach.max() + 2))
    return [zyx((z, *np.round(end))) for end in ends]


def lined(pair: np.ndarray, size: Size, places: list[Zyx]) -> dict[str, float]:
    """Return the share that is right of a cut along a line, and who parted the two."""
    line = line_between(pair)
    read = reader(pair > 0)
    whole = whole_object_at(read, pair.shape, places[0])
    straight = (pair > 0).copy()
    straight[whole.box.slices][knife_through(whole, voxels_of(line, 0), 0)] = False
    pieces = ndimage.label(straight, TOUCHING)[0]
    parted = {"straight_parted": float(pieces[places[0]] != pieces[places[1]])}
    try:
        edit = split_along_line(read, pair.shape, line, voxel_size=size)
    except EditError:
        return {**parted, "refused": 1.0}
    ours = after(edit, pair)
    return {
        **parted,
        "refused": 0.0,
        "ours": share_right(ours, pair, places),
        "ours_parted": float(ours[places[0]] != ours[places[1]]),
    }


def reader(mask: np.ndarray) -> Callable[[Box], np.ndarray]:
    """Return what reads an object of class 1."""
    values = mask.astype(np.uint8)
    return lambda box: values[box.slices].copy()


def cut_again(most: int) -> dict[str, Any]:
    """Return the means over the pairs of each volume."""
    figures: dict[str, Any] = {}
    for name, ids, size in real_labels():
        random = np.random.default_rng(1)
        rows: dict[str, list[dict[str, float]]] = {"middle": [], "any": [], "line": []}
        for pair in touching_pairs(ids, most):
            middle = clicks_on(pair, size, None)
            rows["middle"].append(clicked(pair, size, middle))
            rows["any"].append(clicked(pair, size, clicks_on(pair, size, random)))
            rows["line"].append(lined(pair, size, middle))
        for kind, found in rows.items():
            keys = sorted({key for row in found for key in row})
            means = {k: float(np.mean([r[k] for r in found if k in r])) for k in keys}
            figures[f"{name}, {kind}"] = {"pairs": len(found), **means}
            print(name, kind, figures[f"{name}, {kind}"], flush=True)
    return figures


def timed(side: int) -> dict[str, float]:
    """Return seconds of each tool on two balls that touch."""
    shape, radius = zyx((side, side, 2 * side)), 0.38 * side
    centres = [zyx((side // 2, side // 2, x)) for x in (side // 2, int(1.2 * side))]
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    mask = np.zeros(shape, bool)
    for cz, cy, cx in centres:
        mask |= (z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= radius**2
    read, size = reader(mask), (1.0, 1.0, 1.0)
    found = whole_object_at(read, shape, centres[0])
    middle = (centres[0][2] + centres[1][2]) // 2
    line = [(side // 2, 2, middle), (side // 2, side - 2, middle)]
    work: dict[str, Callable[[], object]] = {
        "find": lambda: whole_object_at(read, shape, centres[0]),
        "split": lambda: split_at_points(read, shape, centres, voxel_size=size),
        "split along": lambda: split_along_line(read, shape, line, voxel_size=size),
        "fill holes": lambda: fill_holes(read, found),
        "smooth": lambda: smooth(read, shape, found, 1.5, voxel_size=size),
        "grow": lambda: grow(read, shape, found, 3.0, voxel_size=size),
        "shrink": lambda: shrink(shape, found, 3.0, voxel_size=size),
    }
    seconds = {"mvox": float(mask.sum() / 1e6)}
    for name, call in work.items():
        started = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - started
    print(side, seconds, flush=True)
    return seconds


def main() -> None:
    """Cut, time, report."""
    arguments = parse_args(__doc__.splitlines()[0])
    cuts = cut_again(20 if arguments.quick else 60)
    sides = (64, 128) if arguments.quick else (64, 128, 256)
    seconds = {str(side): timed(side) for side in sides}
    slowest = max(s for tool, s in seconds["128"].items() if tool != "mvox")
    targets = [Target("slowest_s_of_128", slowest, "<=", 3.0)]
    for name, row in cuts.items():
        if name.endswith("any"):
            better = row["ours"] - max(row["flood"], row["nearest"])
            targets.append(Target(f"gain {name}", better, ">=", 0.0))
        if name.endswith("line"):
            better = row["ours_parted"] - row["straight_parted"]
            targets.append(Target(f"parted more {name}", better, ">", 0.0))
    write_report(arguments.json, {"cuts": cuts, "seconds": seconds}, targets)


if __name__ == "__main__":
    main()
