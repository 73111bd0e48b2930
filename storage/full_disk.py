"""Errors of writing, with the path that was to be written, which libraries leave out."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What Rust's libraries, such as safetensors, end an error of the system with.
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
# torch.save's errors of writing say only the position, or that a stream failed.
_TORCH_WRITERS = ("inline_container.cc", "iostream error")


_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def write_errors_named(path: Path) -> Iterator[None]:
    """Raise an OSError with the path for an error of writing that names no file."""
    try:
        yield
    except Exception as error:
        if found := _number_and_reason(error, path):
            raise OSError(*found, str(path)) from error
        raise


def _number_and_reason(error: Exception, path: Path) -> tuple[int, str] | None:
    """Return what the system said of an error of writing without a name; None for other errors."""
    if isinstance(error, OSError):
        number = error.errno if error.filename is None else None
    elif any(words in str(error) for words in _TORCH_WRITERS):
        from rich.filesize import decimal  # the doctor runs without it

        nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
        free = decimal(shutil.disk_usage(nearest).free)
        return errno.ENOSPC, f"could not be written, and the disk has {free} left"
    else:
        found = _RUST_ERROR.search(str(error))
        number = int(found[1]) if found else None
    return (number, os.strerror(number)) if number in _WRITING else None
