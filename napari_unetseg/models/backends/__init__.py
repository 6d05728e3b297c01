"""What runs a network: one file per engine."""
