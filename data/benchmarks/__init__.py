"""Readers of the published benchmarks' own files."""
