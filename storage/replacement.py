"""Put a finished directory into the place of another one: the old or the new, whenever killed.

Linux exchanges two names at once. Where it cannot (other systems, some network file systems), the
old directory is set aside under a name ending in `.old` first; if the process is killed before the
new one has its place, `restore` puts the old one back.
"""

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.manifest import MANIFEST

PARTIAL = ".partial"
OLD = ".old"
_SET_ASIDE = re.compile(rf"\.(.+)\.[0-9a-f]{{8}}{re.escape(OLD)}")
# From Linux's fcntl.h and fs.h.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# A file system that cannot exchange says one of these.
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
# A file system that cannot flush a directory says one of these.
_NO_DIRECTORY_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}


def name_beside(path: Path, suffix: str) -> Path:
    """Return a new hidden name beside `path`, by which `leftovers` finds it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")


def leftovers(path: Path, suffix: str) -> list[Path]:
    """Return what names made by `name_beside` hold now."""
    # Eight characters and no more: `.a.b.12345678.old` is of `a.b` and not of `a`.
    name = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}{re.escape(suffix)}")
    return [path.with_name(found) for found in os.listdir(path.parent) if name.fullmatch(found)]


def replace_directory(new: Path, target: Path) -> None:
    """Move the finished directory `new` to `target`, and remove what was there.

    Both are of one file system. A process that is killed leaves the old or the new one at
    `target`, or, where names cannot be exchanged, the old one for `restore` to put back.
    """
    try:
        new.rename(target)  # takes the place of an empty directory, too
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not _exchange(new, target):
            # Under the name of something unfinished it is removed, and no longer put back.
            _set_aside(new, target).rename(new)
        flush_directory(target.parent)
        shutil.rmtree(new, ignore_errors=True)
    flush_directory(target.parent)


def restore(path: Path) -> None:
    """Put back a directory that a killed replacement has set aside, where nothing has its place.

    `path` is the directory or a file in it. Readers of what `new_directory` writes call this first.
    """
    for place in (path.parent, path):
        target = Path(os.path.realpath(place))
        if not os.path.lexists(target) and target.parent.is_dir():
            _restore(target)


def restore_all(directory: Path) -> None:
    """Put back all directories in `directory` that killed replacements have set aside."""
    if directory.is_dir():
        for found in filter(None, map(_SET_ASIDE.fullmatch, os.listdir(directory))):
            restore(directory / found[1])


def _restore(target: Path) -> None:
    for old in sorted(leftovers(target, OLD), key=lambda found: -found.stat().st_ctime_ns):
        # Locked while the process that replaces it runs.
        with suppress(OSError), locked(old):
            if (old / MANIFEST).is_file():
                old.rename(target)
                flush_directory(target.parent)
                return


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file or directory; BlockingIOError where another process has it locked."""
    handle = os.open(path, os.O_RDONLY)
    try:
        lock(handle)
        yield
    finally:
        os.close(handle)


def lock(handle: int) -> None:
    """Lock an open file or directory until it is closed; BlockingIOError where another has it."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def flush_directory(directory: Path) -> None:
    """Return once the names in a directory are on the disk, as far as its file system can."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_FLUSH:
            raise
    finally:
        os.close(handle)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where the system or the file system cannot."""
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if exchange(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def _set_aside(new: Path, target: Path) -> Path:
    """Replace `target` in two steps; return where the old directory is."""
    old = name_beside(target, OLD)
    handle = os.open(target, os.O_RDONLY)
    try:
        with suppress(OSError):
            lock(handle)
        target.rename(old)
        try:
            new.rename(target)
        except OSError:
            with suppress(OSError):
                old.rename(target)
            raise
    finally:
        os.close(handle)
    flush_directory(target.parent)
    return old
