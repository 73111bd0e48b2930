"""The manifest of a directory: what it records of large and small files."""

import hashlib
import json
from pathlib import Path

import pytest

from storage import manifest
from storage.manifest import damaged_files, hash_file, read_manifest, write_manifest


def test_a_small_file_is_recorded_as_one(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"abc")
    assert hash_file(tmp_path / "small") == {
        "bytes": 3,
        "sha256": hashlib.sha256(b"abc").hexdigest(),
    }


@pytest.mark.parametrize(("size", "step"), [(17, 16), (64, 16), (65, 32), (129, 64)])
def test_a_large_file_is_recorded_in_few_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, step: int
) -> None:
    monkeypatch.setattr(manifest, "LEAST_PART_BYTES", 16)
    monkeypatch.setattr(manifest, "MOST_PARTS", 4)
    content = bytes(range(size))
    (tmp_path / "large").write_bytes(content)
    entry = hash_file(tmp_path / "large")
    assert entry["part_bytes"] == step
    parts = [content[start : start + step] for start in range(0, size, step)]
    assert entry["parts"] == [hashlib.sha256(part).hexdigest() for part in parts]
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_what_was_hashed_already_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    entry = {"bytes": 3, "sha256": "0" * 64}
    write_manifest(tmp_path, "test", {"file": entry})
    assert read_manifest(tmp_path) == {"kind": "test", "files": {"file": entry}}


def test_a_manifest_that_lists_nothing_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "checkpoint", "files": {}}))
    assert damaged_files(tmp_path) == ["manifest.json lists no files"]


@pytest.mark.parametrize(
    "entry",
    [
        3,
        {},
        {"bytes": "3", "sha256": ""},
        {"bytes": 3, "sha256": "", "part_bytes": 0},
        {"bytes": 3, "sha256": "", "part_bytes": 2, "parts": ["a"]},
    ],
)
def test_an_entry_that_records_nothing_is_refused(tmp_path: Path, entry: object) -> None:
    text = json.dumps({"kind": "checkpoint", "files": {"a": entry}})
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is not a manifest"):
        read_manifest(tmp_path)


@pytest.mark.usefixtures("trusted_files")
def test_trusted_files_are_compared_by_size_alone(tmp_path: Path) -> None:
    for name in ("changed", "cut"):
        (tmp_path / name).write_text("content")
    write_manifest(tmp_path, "test")
    (tmp_path / "changed").write_text("CONTENT")
    (tmp_path / "cut").write_text("cont")
    assert damaged_files(tmp_path) == ["cut has 4 bytes, wanted 7"]
