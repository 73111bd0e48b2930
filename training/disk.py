"""What is said where a disk takes no more."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.filesize import decimal
from safetensors import SafetensorError


@contextmanager
def full_disk_named(directory: Path) -> Iterator[None]:
    """Turn a writer's error that names no file into one that names the directory and its room."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _names_no_file(error):
            raise
        free = decimal(shutil.disk_usage(directory).free)
        reason = getattr(error, "strerror", None)
        raise OSError(
            f"{directory} could not take what was to be written{f' ({reason})' if reason else ''}; "
            f"its disk has {free} left. Make room, or choose another directory, and add --resume"
        ) from error


def _names_no_file(error: Exception) -> bool:
    """Return whether a stream, safetensors or torch.save says that it failed, and not where."""
    if isinstance(error, OSError):
        return error.filename is None and error.errno is not None
    if isinstance(error, SafetensorError):
        return "I/O error" in str(error)
    return "inline_container.cc" in str(error)  # all that torch.save gives is a position
