"""Replies of a model: generation, cache, streaming, constrained decoding."""
