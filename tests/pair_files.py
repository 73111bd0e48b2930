"""Files of pairs."""

from collections.abc import Iterator
from pathlib import Path

from data.pairs import ReplyPair, read_pair
from data.reading.rows import read_rows


def read_pairs(path: Path) -> Iterator[ReplyPair]:
    """Yield the pairs of a file."""
    for row in read_rows(path):
        yield read_pair(row, path)
