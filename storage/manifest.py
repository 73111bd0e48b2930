"""The manifest of a written directory: its kind, and the size and sha256 of every file in it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from storage.json_file import write_json

MANIFEST = "manifest.json"


def sha256_of_file(file: Path | str) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(directory: Path, kind: str) -> None:
    """Write `manifest.json` for all files now in `directory`."""
    files = {
        str(file.relative_to(directory)): {
            "bytes": file.stat().st_size,
            "sha256": sha256_of_file(file),
        }
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file.name != MANIFEST
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


def damaged_files(directory: Path) -> list[str]:
    """Name every file that is missing or differs from the manifest; empty when all is whole."""
    found = []
    for name, wanted in read_manifest(directory)["files"].items():
        file = directory / name
        if not file.is_file():
            found.append(f"{name} is missing")
        elif file.stat().st_size != wanted["bytes"]:
            found.append(f"{name} has {file.stat().st_size} bytes, wanted {wanted['bytes']}")
        elif sha256_of_file(file) != wanted["sha256"]:
            found.append(f"{name} has another sha256 than when it was written")
    return found
