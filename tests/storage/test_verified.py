"""Files are compared with their recorded hashes where they are read."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from damaging import flip_a_bit

from storage import manifest
from storage.json_file import read_json_object
from storage.manifest import write_manifest
from storage.verified import copy_verified, open_verified, read_verified, recorded

CONTENT = bytes(range(100))
DIFFERS = r"directory/file differs from its sha256 in manifest\.json"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of seven parts beside its manifest."""
    monkeypatch.setattr(manifest, "LEAST_PART_BYTES", 16)
    (tmp_path / "directory").mkdir()
    file = tmp_path / "directory" / "file"
    file.write_bytes(CONTENT)
    write_manifest(file.parent, "test")
    return file


def test_a_file_as_it_was_written_is_read(file: Path) -> None:
    assert read_verified(file) == CONTENT
    open_verified(file).check(0, len(CONTENT))


def test_a_file_with_another_bit_is_refused(file: Path) -> None:
    flip_a_bit(file, 50)
    with pytest.raises(ValueError, match=f"{DIFFERS}: the file was damaged or edited .*--trust-"):
        read_verified(file)


def test_only_the_part_that_is_taken_is_compared(file: Path) -> None:
    flip_a_bit(file, 50)
    verified = open_verified(file)
    verified.check(0, 48)
    verified.check(64, 100)
    with pytest.raises(ValueError, match=rf"{DIFFERS} in bytes 48 to 64 \(read for norm\.weight\)"):
        verified.check(40, 49, "norm.weight")


def test_a_part_is_compared_once_in_a_process(file: Path) -> None:
    before = file.stat()
    open_verified(file).check(0, 16)
    flip_a_bit(file, 3)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    open_verified(file).check(0, 16)
    file.touch()
    with pytest.raises(ValueError, match=DIFFERS):
        open_verified(file).check(0, 16)


def test_a_file_of_another_size_is_refused(file: Path) -> None:
    file.write_bytes(CONTENT + b"more")
    with pytest.raises(ValueError, match=r"file has 104 bytes, and manifest\.json has 100"):
        open_verified(file).check(0, 1)


def test_an_older_manifest_has_the_file_compared_whole(file: Path) -> None:
    path = file.parent / "manifest.json"
    content = json.loads(path.read_text())
    del content["files"]["file"]["parts"], content["files"]["file"]["part_bytes"]
    path.write_text(json.dumps(content))
    open_verified(file).check(0, 1)
    flip_a_bit(file, 99)
    with pytest.raises(ValueError, match=f"{DIFFERS}:"):
        open_verified(file).check(0, 1)


def test_a_damaged_file_is_not_copied(file: Path, tmp_path: Path) -> None:
    copy_verified(file, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT
    flip_a_bit(file, 0)
    with pytest.raises(ValueError, match=DIFFERS):
        copy_verified(file, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_no_manifest_lists_is_read_as_it_is(file: Path, tmp_path: Path) -> None:
    for other in (file.parent / "added", tmp_path / "alone"):
        other.write_bytes(b"x")
        assert read_verified(other) == b"x"
        open_verified(other).check(0, 1)


@pytest.mark.parametrize("text", ['{"version": 3}', "[1]"])
def test_the_manifest_of_others_is_passed_over(file: Path, text: str) -> None:
    (file.parent / "manifest.json").write_text(text)
    assert recorded(file) is None


@pytest.mark.parametrize("text", ["{", '{"kind": "test"}', '{"files": {}, "kinds": 1}'])
def test_a_damaged_manifest_is_refused(file: Path, text: str) -> None:
    (file.parent / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json is not a manifest"):
        read_verified(file)


@pytest.mark.parametrize("replace", [Path.mkdir, lambda place: place.symlink_to("nowhere")])
def test_a_manifest_that_is_no_file_is_refused(
    file: Path, replace: Callable[[Path], object]
) -> None:
    manifest = file.parent / "manifest.json"
    manifest.unlink()
    assert recorded(file) is None
    replace(manifest)
    with pytest.raises(ValueError, match=r"manifest\.json is a folder or a link to nowhere"):
        read_verified(file)


@pytest.mark.usefixtures("trusted_files")
def test_trusted_files_are_read_as_they_are(file: Path) -> None:
    flip_a_bit(file, 0)
    assert read_verified(file) != CONTENT
    open_verified(file).check(0, len(CONTENT))


def test_json_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" + "{}," * 50 + "{}]")
    with pytest.raises(ValueError, match=re.escape("a.json has 154 bytes, and at most 100 are")):
        read_json_object(tmp_path / "a.json", most_bytes=100)
