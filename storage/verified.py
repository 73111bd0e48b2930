"""Read files that carry a recorded hash, and compare them with it where they are read.

A directory of ours has a manifest; what it does not list, or what lies in a foreign directory, is
read as it is. Of a large file each part is compared when it is first taken, once in a process.
A user who knows better says so with --trust-files.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from storage.manifest import MANIFEST, Entry, has_manifest, read_manifest, trusts_files

_CHUNK = 2**20
_ADVICE = (
    "the file was damaged or edited after it was written; put it back or write it again, or take "
    "it as it is with --trust-files"
)


def recorded(file: Path) -> Entry | None:
    """Return what the manifest beside a file says of it, None where nothing does.

    Raises ValueError where that manifest is damaged.
    """
    manifest = file.parent / MANIFEST
    if file.name == MANIFEST or not has_manifest(file.parent):
        return None
    return _entries(manifest, *_state(manifest)).get(file.name)


def read_verified(file: Path) -> bytes:
    """Return the bytes of a file; ValueError where they are not those that were recorded."""
    content = file.read_bytes()
    check_content(file, content)
    return content


def check_content(file: Path, content: bytes) -> None:
    """Raise ValueError where a file's whole content is not what was recorded."""
    entry = None if trusts_files() else recorded(file)
    if entry is not None and hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(f"{file} differs from its sha256 in {MANIFEST}: {_ADVICE}")


def copy_verified(source: Path, target: Path) -> None:
    """Copy a file as it was recorded; what is damaged gets no new manifest."""
    target.write_bytes(read_verified(source))


class VerifiedFile:
    """A file whose parts are compared with their recorded hashes, each when it is first taken."""

    def __init__(self, file: Path, entry: Entry | None) -> None:
        self.file = file
        entry = entry or {"bytes": 0, "sha256": ""}
        self._hashes: list[str] = entry.get("parts") or [entry["sha256"]] * bool(entry["sha256"])
        self._step = entry.get("part_bytes") or max(1, entry["bytes"])
        self._bytes: int = entry["bytes"]
        self._compared = bytearray(len(self._hashes))

    def check(self, start: int, end: int, name: str = "") -> None:
        """Raise ValueError unless the bytes from `start` up to `end` are as recorded.

        `name` says what lies there, for the error.
        """
        if not self._hashes or start >= end or trusts_files():
            return
        for index in range(start // self._step, -(-min(end, self._bytes) // self._step)):
            if not self._compared[index]:
                self._compare(index, name)
                self._compared[index] = 1

    def _compare(self, index: int, name: str) -> None:
        start = index * self._step
        end = min(start + self._step, self._bytes)
        size = self.file.stat().st_size
        if size != self._bytes:
            raise ValueError(
                f"{self.file} has {size:,} bytes, and {MANIFEST} has {self._bytes:,}: {_ADVICE}"
            )
        if _sha256(self.file, start, end) != self._hashes[index]:
            where = f" in bytes {start:,} to {end:,}" if len(self._hashes) > 1 else ""
            read_for = f" (read for {name})" if name else ""
            raise ValueError(
                f"{self.file} differs from its sha256 in {MANIFEST}{where}{read_for}: {_ADVICE}"
            )


def open_verified(file: Path) -> VerifiedFile:
    """Return a file whose parts can be checked; the same one while neither it nor its manifest
    changes, so that no part is compared twice."""
    entry = recorded(file)
    if entry is None:
        return VerifiedFile(file, None)
    manifest = file.parent / MANIFEST
    return _opened(file, *_state(file), manifest, *_state(manifest))


def _state(file: Path) -> tuple[int, int, int]:
    """Return what changes when a file is written again."""
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=256)
def _opened(file: Path, *_: object) -> VerifiedFile:
    return VerifiedFile(file, recorded(file))


@lru_cache(maxsize=64)
def _entries(manifest: Path, *_: object) -> Mapping[str, Entry]:
    try:
        return read_manifest(manifest.parent)["files"]
    except ValueError:
        if _is_foreign(manifest):
            return {}
        raise


def _is_foreign(manifest: Path) -> bool:
    """Whether a file of a manifest's name is somebody else's: JSON that has nothing of ours."""
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return not (isinstance(content, dict) and {"kind", "files"} & content.keys())


def _sha256(file: Path, start: int, end: int) -> str:
    """Return the sha256 of a stretch of a file, which is read through one small buffer."""
    found, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
    with file.open("rb", buffering=0) as stream:
        stream.seek(start)
        while start < end:
            count = stream.readinto(buffer[: min(_CHUNK, end - start)])
            if not count:
                break
            found.update(buffer[:count])
            start += count
    return found.hexdigest()
