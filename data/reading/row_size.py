"""How much a row takes, for cutting a stream of rows into pieces of about one size."""

from typing import Any

from data.reading.rows import Line, RawRow


def bytes_of(row: RawRow | Line) -> int:
    """Return about how many bytes a row takes, without writing it."""
    return len(row.raw) if isinstance(row, Line) else _bytes_of_value(row.value)


def _bytes_of_value(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_bytes_of_value, value.values()))
    return sum(map(_bytes_of_value, value)) if isinstance(value, list) else 8
