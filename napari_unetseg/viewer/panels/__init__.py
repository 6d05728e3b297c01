"""One file per card of the dock."""
