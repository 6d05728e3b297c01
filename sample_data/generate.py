"""Write the sample volume anew: ``python sample_data/generate.py``."""

from __future__ import annotations

import shutil
from pathlib import Path

from napari_unetseg.data.phantom import make_phantom, write_phantom

SHAPE, SEED = (64, 192, 192), 7


def main(folder: Path = Path(__file__).parent) -> Path:
    """Replace ``phantom.zarr`` in a folder and return its path."""
    path = folder / "phantom.zarr"
    shutil.rmtree(path, ignore_errors=True)
    write_phantom(make_phantom(SHAPE, SEED, "shifted"), path)
    return path


if __name__ == "__main__":
    main()
