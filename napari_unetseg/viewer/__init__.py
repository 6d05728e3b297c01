"""The window: the only place with napari and Qt."""
