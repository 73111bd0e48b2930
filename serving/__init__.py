"""Talking with a model: a person at a terminal, and programs over HTTP."""
