"""Constrained decoding: calls that are valid by the schemas of the tools offered."""
