"""Write a file or a directory whole or not at all: build beside the target, then rename.

What is being built is locked, so that leftovers of a killed process are recognised and removed.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.full_disk import write_errors_named
from storage.manifest import MANIFEST, Entry, read_manifest, write_manifest
from storage.replacement import (
    OLD,
    PARTIAL,
    flush_directory,
    leftovers,
    lock,
    locked,
    name_beside,
    replace_directory,
    restore,
)


@contextmanager
def new_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends without an exception.

    A symbolic link stays one: what it points to is replaced. Raises FileExistsError where `path` is
    a directory, a device or a pipe.
    """
    path = _destination(Path(path))
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        what = "a directory" if path.is_dir() else "a device or a pipe"
        raise FileExistsError(f"{path} is {what} and cannot be replaced by a file; name a file")
    _prepare(path)
    partial = name_beside(path, PARTIAL)
    handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        # Some network file systems have no locks; there, leftovers are not removed either.
        with suppress(OSError):
            lock(handle)
        with write_errors_named(path):
            yield partial
            flush_to_disk(partial)
            partial.replace(path)
            flush_directory(path.parent)
    finally:
        partial.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def new_directory(
    path: Path | str, kind: str, hashed: Mapping[str, Entry] | None = None
) -> Iterator[Path]:
    """Yield a temporary directory that becomes `path`, with a manifest, when the block succeeds.

    A directory that an earlier run of the same kind wrote is replaced as a whole; a symbolic link
    to one stays a link. Files that are in `hashed` when the block ends are not read for the
    manifest.
    Raises FileExistsError when `path` holds anything else, also beside what that run wrote.
    """
    path = _destination(Path(path))
    _prepare(path)
    check_own_directory(path, kind)
    _check_nothing_added(path)
    partial = name_beside(path, PARTIAL)
    partial.mkdir()
    handle = os.open(partial, os.O_RDONLY)
    try:
        with suppress(OSError):
            lock(handle)
        with write_errors_named(path):
            yield partial
            write_manifest(partial, kind, hashed)
            for written in [*sorted(partial.rglob("*")), partial]:
                if written.is_dir():
                    flush_directory(written)
                elif written.is_file():
                    flush_to_disk(written)
            # The work took its time, in which others may have put something there.
            check_own_directory(path, kind)
            _check_nothing_added(path)
            replace_directory(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(handle)


@contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Lock a directory for this process; FileExistsError where another process holds the lock."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            lock(handle)
        except BlockingIOError:
            raise FileExistsError(
                f"{directory} is being written by another process; wait for it, or choose another "
                "name"
            ) from None
        except OSError:
            pass  # a network file system without locks
        yield
    finally:
        os.close(handle)


def check_own_directory(path: Path | str, kind: str) -> None:
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


def earlier_output(path: Path | str) -> str:
    """Return what to add to the report of an output, asked before it is written.

    Nothing where it replaces nothing.
    """
    written = (Path(path).expanduser() / MANIFEST).is_file()
    return "; what an earlier run of this command wrote there is replaced" if written else ""


def _check_nothing_added(path: Path) -> None:
    """Raise FileExistsError where an output holds files that its manifest does not list."""
    if not (path / MANIFEST).is_file():
        return
    listed = read_manifest(path)["files"]
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        is_directory = file.is_dir() and not file.is_symlink()
        if not is_directory and name not in listed and file.name != MANIFEST:
            raise FileExistsError(
                f"{path} would be replaced, and {name} in it is not of the run that wrote it; move "
                "that file away, or name another directory"
            )


def _destination(path: Path) -> Path:
    """Return where a symbolic link points to, and any other path as it is.

    Raises FileNotFoundError where a link leads to a directory that does not exist, or to itself.
    """
    if not path.is_symlink():
        return path
    found = Path(os.path.realpath(path))
    if found.is_symlink() or not found.parent.is_dir():
        raise FileNotFoundError(
            f"{path} is a symbolic link to {os.readlink(path)}, which cannot be written: "
            f"{'it leads to itself' if found.is_symlink() else f'{found.parent} does not exist'}; "
            "remove the link, or name another path"
        )
    return found


def _prepare(path: Path) -> None:
    """Make the directory that `path` goes to; restore or remove what killed processes left."""
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FileExistsError(
            f"{path} cannot be written: a file stands where a directory is wanted"
        ) from None
    for directory in missing:
        flush_directory(directory.parent)
    restore(path)
    for left in leftovers(path, PARTIAL) + leftovers(path, OLD):
        # Raises OSError while the process that builds it runs.
        with suppress(OSError), locked(left):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def flush_to_disk(file: Path) -> None:
    """Return once a file that was written is on the disk."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
