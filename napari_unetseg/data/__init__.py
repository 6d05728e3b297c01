"""Volumes, predictions, corrections and exports on disk: numpy, zarr and SQLite."""
