"""The checkpoints of a run scored on the same items and compared."""
