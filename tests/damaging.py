"""Damage done to files: one bit at a place."""

from pathlib import Path


def flip_a_bit(file: Path, position: int) -> None:
    """Turn the lowest bit of the byte at a position, counted from the end where it is negative."""
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)


def places_in(file: Path) -> list[int]:
    """Return positions at the start, in the middle and at the end of a file."""
    size = file.stat().st_size
    return sorted({0, size // 3, size // 2, size - 1})
