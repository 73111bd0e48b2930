"""The manifest of a written directory: its kind, and the size and sha256 of every file in it."""

import hashlib
import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from storage.json_file import write_json

MANIFEST = "manifest.json"


def sha256_of_file(file: Path | str) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def written_files(directory: Path) -> list[str]:
    """Return the names of all files now in `directory`, in order, but for its manifest."""
    return [
        str(file.relative_to(directory))
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    ]


def write_manifest(directory: Path, kind: str, sha256s: Mapping[str, str] | None = None) -> None:
    """Write `manifest.json` for all files now in `directory`.

    Those named in `sha256s` were hashed already and are not read again.
    """
    known = sha256s or {}
    files = {
        name: {
            "bytes": (directory / name).stat().st_size,
            "sha256": known.get(name) or sha256_of_file(directory / name),
        }
        for name in written_files(directory)
    }
    write_json(directory / MANIFEST, {"kind": kind, "files": files})


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read a directory's manifest; ValueError when it is not one of ours."""
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(manifest["kind"], str) and isinstance(manifest["files"], dict):
            return manifest
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ValueError(f"{path} is not a manifest with 'kind' and 'files'; it was damaged or foreign")


def damaged_files(directory: Path, names: Container[str] | None = None) -> list[str]:
    """Name every file that is missing or differs from the manifest; empty when all is whole.

    Of the `names` given, if any are; the others are not looked at. A manifest without files proves
    nothing and is damage, too.
    """
    files = read_manifest(directory)["files"]
    found = [] if files else [f"{MANIFEST} lists no files"]
    for name, wanted in files.items():
        if names is not None and name not in names:
            continue
        file = directory / name
        if not file.is_file():
            found.append(f"{name} is missing")
        elif file.stat().st_size != wanted["bytes"]:
            found.append(f"{name} has {file.stat().st_size} bytes, wanted {wanted['bytes']}")
        elif sha256_of_file(file) != wanted["sha256"]:
            found.append(f"{name} has another sha256 than when it was written")
    return found
