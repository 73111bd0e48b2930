"""Parquet files give the rows that their JSON would give."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from data.cleaning.clean_file import clean_file
from data.reading import SOURCES, detect_format, read_rows

MESSAGES = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]},
    {"role": "tool", "content": "1", "name": "f"},
    {"role": "assistant", "tool_calls": [{"name": "g", "arguments": {"b": [1.5]}}]},
]
TOOLS = [
    {"name": "f", "parameters": {"properties": {"a": {"type": "int"}}}},
    {"name": "g", "parameters": {"properties": {"b": {"type": "List[float]"}}}},
]
ROWS = [{"messages": MESSAGES, "tools": json.dumps(TOOLS), "id": i} for i in range(3)]


def write(path: Path, rows: list[Any]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_rows_omit_the_null_keys_a_table_adds(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.parquet", ROWS)
    rows = list(read_rows(file))
    assert [row.value for row in rows] == ROWS
    assert [row.place for row in rows] == ["row 0", "row 1", "row 2"]
    assert rows[-1].position == file.stat().st_size
    assert len({row.sha256 for row in rows}) == 3
    assert detect_format(rows[0].value) == "openai"
    assert SOURCES["openai"].read(rows[0].value).changes == ()


def test_a_file_is_cleaned_whatever_it_is_called(tmp_path: Path) -> None:
    rows = [{**row, "messages": [{"role": "user", "content": f"{i}"}, *MESSAGES[1:]]}
            for i, row in enumerate(ROWS)]  # fmt: skip
    audit, _ = clean_file(write(tmp_path / "rows.json", rows), tmp_path / "clean.json")
    assert (audit.input, audit.kept) == (3, 3)


def test_values_unknown_to_json_become_text(tmp_path: Path) -> None:
    import datetime

    day = datetime.date(2024, 2, 29)
    (row,) = read_rows(write(tmp_path / "rows.parquet", [{"a": day, "b": b"\xffx"}]))
    assert row.value == {"a": "2024-02-29", "b": "\ufffdx"}


def test_a_damaged_file_and_an_empty_table_are_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"PAR1" + b"x" * 100)
    with pytest.raises(ValueError, match=r"rows\.parquet is a Parquet file that cannot be read: "):
        list(read_rows(file))
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": pyarrow.array([], pyarrow.int64())}), file)
    with pytest.raises(ValueError, match="is empty"):
        list(read_rows(file))


def test_missing_pyarrow_error_names_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"PAR1xxxxPAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ValueError, match=r"needs pyarrow: python -m pip install -e '\.\[parquet\]'"
    ):
        list(read_rows(file))
