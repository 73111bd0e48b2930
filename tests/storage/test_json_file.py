from pathlib import Path

import pytest

from storage.json_file import read_json_object, write_json


def test_an_object_reads_back_as_it_was_written(tmp_path: Path) -> None:
    value = {"path": "caf\udce9", "ids": [1, 2], "none": None}
    write_json(tmp_path / "value.json", value)
    assert read_json_object(tmp_path / "value.json") == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"value\.json is not JSON: Expecting"),
        (b'{"a": "\xff"}', r"value\.json is not JSON: 'utf-8' codec"),
        (b"[" * 100_000, r"value\.json is not JSON: it is nested too deep"),
        (b"1" * 10_000, r"value\.json is not JSON: a number has more than 4,300 digits"),
        (b"[1]", r"value\.json must hold an object, found list"),
        (b"null", r"value\.json must hold an object, found NoneType"),
    ],
)
def test_what_is_no_json_object_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "value.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_json_object(tmp_path / "value.json")
