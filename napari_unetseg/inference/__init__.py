"""The loop over blocks and its executors."""
