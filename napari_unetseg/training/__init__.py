"""From labels to a better network."""
