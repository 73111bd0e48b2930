"""Reading rows: one at a time, and each fault of a file as one line that names its place."""

import gzip
import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.reading import rows as rows_module
from data.reading.rows import read_rows

ROWS = [{"a": '[{"]\\'}, {"b": [1, {"c": "é 🎉\u2028"}]}, {}, "text", 12, None, [[]], {"d": 1.5}]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_list_is_read_with_any_indent_and_chunk_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, chunk: int
) -> None:
    monkeypatch.setattr(rows_module, "CHUNK", chunk)
    text = json.dumps(ROWS, indent=indent, ensure_ascii=False)
    found = list(read_rows(write(tmp_path / "rows.json", "\ufeff " + text + "\n")))
    assert [row.value for row in found] == ROWS
    assert [row.index for row in found] == list(range(len(ROWS)))
    if indent is None:
        raw = json.dumps(ROWS[1], ensure_ascii=False)
        assert found[1].sha256 == hashlib.sha256(raw.encode()).hexdigest()


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_an_object_may_hold_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, chunk: int
) -> None:
    monkeypatch.setattr(rows_module, "CHUNK", chunk)
    rows = [row for row in ROWS if isinstance(row, dict)]
    whole = {"type": 'a "conversation"', "version": 1.0, "instances": rows, "b": [{}], "c": {}}
    once = json.dumps(whole, indent=indent, ensure_ascii=False)
    for text in (once, f"\ufeff{once}\r\n", f"{once}\n{once}"):
        found = list(read_rows(write(tmp_path / "rows.json", text)))
        times = len(found) // len(rows)
        assert [row.value for row in found] == rows * times
        assert [row.index for row in found] == list(range(len(found)))
    assert times == 2
    if indent is None:
        raw = json.dumps(rows[0], ensure_ascii=False)
        assert found[0].sha256 == hashlib.sha256(raw.encode()).hexdigest()


def test_objects_may_go_over_several_lines(tmp_path: Path) -> None:
    rows = [{"messages": [{"a": "é"}], "b": i} for i in range(3)]
    text = "\n".join(json.dumps(row, indent=2) for row in rows)
    found = list(read_rows(write(tmp_path / "rows.json", text)))
    assert [row.value for row in found] == rows
    assert [row.place for row in found] == ["line 1", "line 9", "line 17"]
    found = list(read_rows(write(tmp_path / "rows.json", json.dumps(rows[0], indent=4))))
    assert [row.value for row in found] == rows[:1]


@given(st.lists(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)))
def test_any_json_list_is_read_back(tmp_path_factory: pytest.TempPathFactory, values: list) -> None:
    path = write(tmp_path_factory.mktemp("any") / "rows.json", json.dumps(values))
    assert [row.value for row in read_rows(path)] == values


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n\n"])
def test_json_lines_may_be_named_json_with_any_line_end(tmp_path: Path, end: str) -> None:
    objects = [row for row in ROWS if isinstance(row, dict)]
    lines = [json.dumps(row, ensure_ascii=False) for row in objects]
    path = write(tmp_path / "rows.json", "\ufeff" + end.join(lines))
    found = list(read_rows(path))
    assert [row.value for row in found] == objects
    assert [row.sha256 for row in found] == [
        hashlib.sha256(line.encode()).hexdigest() for line in lines
    ]
    assert found[-1].position == path.stat().st_size
    assert found[1].place == f"line {1 + end.count(chr(10))}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("  \n\n ", "is empty"),
        (b"\x00\x01\x02", "is a binary file"),
        (gzip.compress(b"{}", mtime=0), "is gzip-compressed"),
        ("id,question\n1,a\n", r"row 0 is not JSON.*; wanted JSON, JSON Lines or Parquet with one"),
        ("# Title\n\nText.\n", r"row 0 is not JSON.*one conversation a row: docs/data-formats.md$"),
        (
            '{"a": 1}\n{"a": 2,}\n',
            r"row 1 is not JSON, line 2, column 9: .*found '}'.*--skip-mal",
        ),
        ('{"a": 1}\n{"a"', r"row 1 is not JSON, line 2, column 5: .*found 'the end of the line'"),
        (b'{"a": 1}\n{"a": "\xff"}', "row 1 is not JSON, line 2: not UTF-8"),
        ('[{"a": 1},\n {"a": tru}]', r"not JSON in row 1, line 2, column 8: .*found 'tru}]'"),
        ('[{"a": 1},\n {"b": "x', r"not JSON in row 1, line 2, column 8: Unterminated string"),
        ('[{"a": 1}', r"not JSON after row 0, line 1, column 10: .*the end of the file"),
        ('[{"a": 1} {"a": 2}]', r"not JSON after row 0, line 1, column 11: wanted ','"),
        ('[{"a": 1},]', "not JSON in row 1, line 1, column 11"),
        ('[{"a": 1}]\n{}', "not JSON after the list, line 2, column 1"),
        (b'[{"a": "\xff"}]', "is not UTF-8 text"),
        ('{"instances": [{"a": 1}, {"a"', "not JSON in row 1, line 1, column 30"),
        ('{"instances": [{"a": 1}]', "not JSON after the list, line 1, column 25"),
        ('{\n  "a": [\n    1,\n', "not JSON in row 0, line 4, column 1"),
    ],
)
def test_malformed_file_is_refused_with_its_place(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = write(tmp_path / "rows.json", text)
    with pytest.raises(ValueError, match=message) as raised:
        list(read_rows(path))
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a": ' + "[" * 200_000])
def test_row_nested_too_deeply_is_refused_by_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"row 0( is not JSON)?, line 1.*recursion"):
        list(read_rows(write(tmp_path / "rows.json", text)))


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        list(read_rows(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="is a directory"):
        list(read_rows(tmp_path))


def test_malformed_lines_can_be_passed_on_with_their_problem(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", b'{"a": 1}\n{"a": \n{"a": "\xff"}\n{"a": 2}\n')
    found = list(read_rows(path, skip_malformed=True))
    assert [row.value for row in found] == [{"a": 1}, None, None, {"a": 2}]
    assert [row.problem is None for row in found] == [True, False, False, True]
    assert found[1].text == '{"a":' and found[1].problem.startswith("not JSON, line 2, column 6")


def test_malformed_rows_of_a_list_cannot_be_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON in row 1"):
        list(read_rows(write(tmp_path / "rows.json", "[{}, {]"), skip_malformed=True))


@pytest.mark.parametrize("separator", ["\n", ",\n"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, separator: str) -> None:
    row = json.dumps({"text": "x" * 1000})
    text = separator.join([row] * 20_000)
    path = write(tmp_path / "rows.json", f"[{text}]" if "," in separator else text)
    tracemalloc.start()
    assert sum(1 for _ in read_rows(path)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * rows_module.CHUNK < path.stat().st_size


@pytest.mark.parametrize(
    ("begin", "end", "message"),
    [
        ('{"a": "', '"}', "line 1 is longer than 0 MiB; wanted one conversation a row"),
        ('{"a": 1}\n{"a": "', '"}', "line 2 is longer than 0 MiB"),
        ('[{"a": 1},\n {"a": "', '"}]', "what begins in line 2 is longer than 0 MiB"),
        ('{\n"a": "', '"}', "what begins in line 1 is longer than 0 MiB"),
    ],
)
def test_row_without_end_is_refused_before_filling_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: str, end: str, message: str
) -> None:
    monkeypatch.setattr(rows_module, "LONGEST", 1 << 17)
    (tmp_path / "rows.json").write_text(begin + "x" * (3 << 20) + end)
    with pytest.raises(ValueError, match=message):
        list(read_rows(tmp_path / "rows.json"))
