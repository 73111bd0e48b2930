"""The size of a row: the bytes of its line, or about those of its texts."""

from pathlib import Path

from data.reading.row_size import bytes_of
from data.reading.rows import Line, RawRow


def test_line_takes_its_bytes() -> None:
    assert bytes_of(Line(Path("f"), 0, 1, b'{"a": 1}', 8, False)) == 8


def test_value_takes_about_its_texts() -> None:
    value = {"messages": [{"content": "x" * 50_000}, {"content": "y" * 50_000}], "n": [1, None]}
    assert 100_000 <= bytes_of(RawRow(0, value, "", "row 0")) < 100_100
