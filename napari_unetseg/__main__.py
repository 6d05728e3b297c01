"""``python -m napari_unetseg``: the same as the ``napari-unetseg`` command."""

from napari_unetseg.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
