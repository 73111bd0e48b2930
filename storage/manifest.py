"""The manifest of a written directory: its kind, and the size and hashes of every file in it.

    {"kind": "native model", "files": {"params.json": {"bytes": 214, "sha256": "..."}, ...}}

A file of more than a MiB also has `part_bytes`, and in `parts` the sha256 of each stretch of so
many bytes, so that a reader can check what it takes without reading the rest.
"""

import hashlib
import json
import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
# The flag --trust-files sets it to 1, for a process and those it starts.
TRUST_FILES = "FC_TRUST_FILES"
# Parts are as small as this, or as large as it takes for a file to have no more than so many.
LEAST_PART_BYTES = 2**20
MOST_PARTS = 1024

# What a manifest says of one file.
Entry = dict[str, Any]


def trusts_files() -> bool:
    """Return whether the user wants no recorded hash to be compared."""
    return os.environ.get(TRUST_FILES) == "1"


def sha256_of_file(file: Path | str) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_file(file: Path) -> Entry:
    """Return what a manifest says of a file, which is read once."""
    whole, parts = hashlib.sha256(), []
    step = _part_bytes(file.stat().st_size)
    size = 0
    buffer = memoryview(bytearray(LEAST_PART_BYTES))
    with file.open("rb") as stream:
        while count := stream.readinto(buffer):
            if size % step == 0:
                parts.append(hashlib.sha256())
            whole.update(buffer[:count])
            parts[-1].update(buffer[:count])
            size += count
    entry: Entry = {"bytes": size, "sha256": whole.hexdigest()}
    if len(parts) > 1:
        entry |= {"part_bytes": step, "parts": [part.hexdigest() for part in parts]}
    return entry


def written_files(directory: Path) -> list[str]:
    """Return the names of all files now in `directory`, in order, but for its manifest."""
    return [
        str(file.relative_to(directory))
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    ]


def write_manifest(directory: Path, kind: str, hashed: Mapping[str, Entry] | None = None) -> None:
    """Write `manifest.json` for all files now in `directory`.

    Those named in `hashed` are not read again.
    """
    known = hashed or {}
    files = {
        name: known.get(name) or hash_file(directory / name) for name in written_files(directory)
    }
    text = json.dumps({"kind": kind, "files": files}, indent=2)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def has_manifest(directory: Path) -> bool:
    """Return whether a directory has a manifest; ValueError where what is so named is no file."""
    file = directory / MANIFEST
    if not file.is_file() and os.path.lexists(file):
        raise ValueError(f"{file} is a folder or a link to nowhere; it was damaged or foreign")
    return file.is_file()


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read a directory's manifest; ValueError when it is not one of ours."""
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(manifest["kind"], str) and all(map(_is_entry, manifest["files"].values())):
            return manifest
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError(f"{path} is not a manifest with 'kind' and 'files'; it was damaged or foreign")


def damaged_files(directory: Path, names: Container[str] | None = None) -> list[str]:
    """Name every file that is missing or differs from the manifest; empty when all is whole.

    Of the `names` given, if any are; the others are not looked at. With --trust-files the
    sizes alone are compared. A manifest without files proves nothing and is damage, too.
    """
    files = read_manifest(directory)["files"]
    if not files:
        return [f"{MANIFEST} lists no files"]
    found = []
    for name, wanted in files.items():
        if names is not None and name not in names:
            continue
        file = directory / name
        if not file.is_file():
            found.append(f"{name} is missing")
        elif file.stat().st_size != wanted["bytes"]:
            found.append(f"{name} has {file.stat().st_size} bytes, wanted {wanted['bytes']}")
        elif not trusts_files() and sha256_of_file(file) != wanted["sha256"]:
            found.append(f"{name} has another sha256 than when it was written")
    return found


def _part_bytes(size: int) -> int:
    """Return the bytes of a part: a power of two."""
    step = LEAST_PART_BYTES
    while step * MOST_PARTS < size:
        step *= 2
    return step


def _is_entry(value: Any) -> bool:
    """Whether a manifest's value says what `hash_file` does; older ones have no parts."""
    size, step, parts = value["bytes"], value.get("part_bytes", 1), value.get("parts", [])
    sound = isinstance(size, int) and isinstance(value["sha256"], str)
    whole = isinstance(step, int) and step > 0 and isinstance(parts, list)
    return sound and whole and len(parts) in (0, -(-size // step))
