"""What a dataset holds: counts, charts, and the mask of any conversation."""
