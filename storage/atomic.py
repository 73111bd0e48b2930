"""Write a file or a directory whole or not at all: build beside the target, then rename."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.manifest import MANIFEST, read_manifest, write_manifest


@contextmanager
def new_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends without an exception."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)
        _flush_to_disk(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_directory(path: Path | str, kind: str) -> Iterator[Path]:
    """Yield a temporary directory that becomes `path`, with a manifest, when the block succeeds.

    A directory that an earlier run of the same kind wrote is replaced as a whole.
    Raises FileExistsError when `path` holds anything else.
    """
    path = Path(path)
    refuse_foreign_directory(path, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        yield partial
        write_manifest(partial, kind)
        for file in sorted(partial.rglob("*")):
            if file.is_file():
                _flush_to_disk(file)
        partial.chmod(0o755)
        _replace_directory(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_foreign_directory(path: Path | str, kind: str) -> None:
    """Raise FileExistsError unless `path` is absent, empty, or an earlier output of this `kind`."""
    path = Path(path)
    if path.is_dir():
        if not any(path.iterdir()):
            return
        if (path / MANIFEST).is_file():
            found = read_manifest(path)["kind"]
            if found == kind:
                return
            raise FileExistsError(
                f"{path} holds {found!r}, and this command writes {kind!r}; "
                "name another directory or remove that one"
            )
    if path.exists():
        raise FileExistsError(
            f"{path} exists and was not written by this command (it has no {MANIFEST} of kind "
            f"{kind!r}); name another directory or remove that one"
        )


def _replace_directory(partial: Path, path: Path) -> None:
    if not path.exists():
        partial.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    path.rename(old / path.name)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _flush_to_disk(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
