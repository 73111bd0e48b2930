"""A build that was interrupted is continued: its files and how far it came, beside the target."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_PROGRESS = "progress.json"


class Unfinished:
    """The directory of an unfinished build; `progress` is what was saved last, if anything."""

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        self.path = path
        self.key = json.loads(json.dumps(key))
        self.progress: dict[str, Any] | None = self._read()

    def save(self, progress: Mapping[str, Any]) -> None:
        """Write how far the build came; everything it counts must be on the disk already."""
        partial = self.path / f"{_PROGRESS}.new"
        with partial.open("w", encoding="utf-8") as stream:
            json.dump({"sha256": _sha256(self.key, progress), "progress": progress}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(self.path / _PROGRESS)

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Return whether every file has what was counted, by its name; one may have more."""
        files = ((self.path / name, size) for name, size in sizes.items())
        return all(file.is_file() and file.stat().st_size >= size for file, size in files)

    def start_anew(self) -> None:
        """Delete the files of the earlier run."""
        self.progress = None
        for file in self.path.iterdir():
            file.unlink()

    def _read(self) -> dict[str, Any] | None:
        try:
            saved = json.loads((self.path / _PROGRESS).read_text(encoding="utf-8"))
            progress = saved["progress"]
            return progress if saved["sha256"] == _sha256(self.key, progress) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


def _sha256(key: Any, progress: Any) -> str:
    """Return by what an earlier run's progress is known to be of the same build, and whole."""
    return hashlib.sha256(json.dumps([key, progress]).encode()).hexdigest()


@contextmanager
def unfinished(target: Path, key: Mapping[str, Any]) -> Iterator[Unfinished]:
    """Yield the directory in which `target` is built, with what an earlier run of `key` left.

    It is removed at the end, and when a ValueError says that the input is not as wanted. It stays
    when something saved was interrupted, killed, or out of disk. Raises ValueError while
    another process builds the same.
    """
    path = target.parent / f".{target.name}.unfinished"
    path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDONLY)
    keep = False
    try:
        _lock(handle, target)
        try:
            yield Unfinished(path, key)
        except ValueError:
            raise
        except BaseException as error:
            keep = (path / _PROGRESS).is_file()
            if isinstance(error, OSError) and error.filename is None and error.strerror:
                # The error of a full disk names no file: name the target.
                raise OSError(error.errno, error.strerror, str(target)) from error
            raise
        finally:
            if not keep:
                shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)


def _lock(handle: int, target: Path) -> None:
    # Some network file systems have no locks.
    with suppress(OSError):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{target} is being built by another process; wait for it, or name another "
                "directory"
            ) from None
