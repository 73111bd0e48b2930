"""Families of models: one file each, with the row of what distinguishes it from Llama."""
