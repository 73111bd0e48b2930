"""Several files with weights as one stream of rows: how often each conversation is taken."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.conversations import fraction
from data.reading.rows import Line, RawRow, read_unparsed

# Rows travel between processes in blocks of so many, or of so many bytes.
ROWS = 250
BYTES = 1_000_000


@dataclass(frozen=True)
class Part:
    """One file of a mixture: 0.5 takes half of its conversations, 2 takes each of them twice."""

    file: Path
    weight: float = 1.0


@dataclass(frozen=True)
class Work:
    """Rows of one part in their order; `size` is how many bytes of the file they took."""

    part: int
    rows: list[RawRow | Line]
    size: int


def read_parts(source_file: Path | str, weights: str | None = None) -> tuple[Part, ...]:
    """Read `a.jsonl,b.jsonl` and `1,0.5`; ValueError when they do not fit together."""
    whole = Path(source_file)
    names = [str(whole)] if whole.exists() else str(source_file).split(",")
    files = [Path(name.strip()).expanduser() for name in names]
    texts = str(weights).split(",") if weights is not None else ["1"] * len(files)
    if len(texts) != len(files):
        raise ValueError(
            f"--weights {weights} are {len(texts)}, and --source-file names {len(files)} files; "
            "wanted one weight for each file, in the same order"
        )
    parts = tuple(Part(file, _weight(text)) for file, text in zip(files, texts, strict=True))
    twice = {str(file) for file in files if files.count(file) > 1}
    if twice:
        raise ValueError(
            f"--source-file names {min(twice)} twice; name it once with a greater weight"
        )
    for part in parts:
        if part.file.is_dir():
            raise ValueError(f"{part.file} is a directory; name a file of conversations in it")
        if not part.file.exists():
            raise FileNotFoundError(f"{part.file} does not exist; name a file of conversations")
    return parts


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight <= 1000:
        raise ValueError(f"--weights holds {text!r}, wanted numbers above 0 and up to 1000")
    return weight


def copies(weight: float, content: str, seed: int) -> int:
    """Return how often a conversation is taken; it depends on seed and content alone."""
    whole = math.floor(weight)
    return whole + (weight > whole and fraction(f"{seed} {content}") < weight - whole)


def works(parts: Sequence[Part]) -> Iterator[Work]:
    """Cut the rows of all parts into blocks, always the same ones."""
    for number, part in enumerate(parts):
        rows: list[RawRow | Line] = []
        start = position = 0
        for row in read_unparsed(part.file):
            rows.append(row)
            position = row.position
            if len(rows) == ROWS or position - start >= BYTES:
                yield Work(number, rows, position - start)
                rows, start = [], position
        if rows:
            yield Work(number, rows, position - start)
