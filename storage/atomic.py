"""Write a file or a directory whole or not at all: build beside the target, then rename.

What is being built is locked, so that leftovers of a killed process are recognised and removed.
"""

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.manifest import MANIFEST, Entry, read_manifest, write_manifest

_PARTIAL = ".partial"


@contextmanager
def new_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends without an exception."""
    path = Path(path)
    _prepare(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent)
    partial = Path(name)
    try:
        # Some network file systems have no locks; there, leftovers are not removed either.
        with suppress(OSError):
            _lock(handle)
        with _named(path):
            yield partial
            partial.chmod(0o644)
            flush_to_disk(partial)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def new_directory(
    path: Path | str, kind: str, hashed: Mapping[str, Entry] | None = None
) -> Iterator[Path]:
    """Yield a temporary directory that becomes `path`, with a manifest, when the block succeeds.

    A directory that an earlier run of the same kind wrote is replaced as a whole. Files that
    are in `hashed` when the block ends are not read for the manifest.
    Raises FileExistsError when `path` holds anything else, also beside what that run wrote.
    """
    path = Path(path)
    check_own_directory(path, kind)
    _check_nothing_added(path)
    _prepare(path)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent))
    handle = os.open(partial, os.O_RDONLY)
    try:
        with suppress(OSError):
            _lock(handle)
        with _named(path):
            yield partial
            write_manifest(partial, kind, hashed)
            for file in sorted(partial.rglob("*")):
                if file.is_file():
                    flush_to_disk(file)
            partial.chmod(0o755)
            # The work took its time, in which others may have put something there.
            check_own_directory(path, kind)
            _check_nothing_added(path)
            _replace_directory(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(handle)


@contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Lock a directory for this process; FileExistsError where another process holds the lock."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            _lock(handle)
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


def _prepare(path: Path) -> None:
    """Make the directory that `path` goes to, and remove what a killed process left there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FileExistsError(
            f"{path} cannot be written: a file stands where a directory is wanted"
        ) from None
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*{_PARTIAL}"):
        with suppress(OSError):
            handle = os.open(partial, os.O_RDONLY)
            try:
                # Raises OSError while the process that builds it runs.
                _lock(handle)
                shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
            finally:
                os.close(handle)


def _lock(handle: int) -> None:
    """Lock an open file or directory until it is closed; OSError where another process has it."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Add the path to an OSError that names no file, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.strerror is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _replace_directory(partial: Path, path: Path) -> None:
    if not path.exists():
        partial.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    path.rename(old / path.name)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def flush_to_disk(file: Path) -> None:
    """Return once a file that was written is on the disk."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
