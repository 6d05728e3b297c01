"""Segment big 3D volumes with a U-Net, see where raters disagree, correct, learn."""

__version__ = "0.1.0"
