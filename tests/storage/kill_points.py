"""Replace a directory again and again, killed one call to the system later each time.

    python tests/storage/kill_points.py FOLDER exchanged|set-aside all|renames|once

Prints a JSON list with a row for each kill: what was at the target then, what a reader finds who
restores it first, and all names in FOLDER after the next replacement. With `renames` only calls
that rename or remove count, and nothing waits for the disk. With `once` it replaces FOLDER/out a
single time, after an attempt to open /begin.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from storage import replacement
from storage.atomic import new_directory
from storage.manifest import damaged_files

SYSTEM = {"posix", "fcntl", "_io", "_ctypes"}
RENAMES = {"rename", "replace", "unlink", "rmdir"}


def write(target: Path, content: str) -> None:
    """Write a directory with a file beside a folder with one."""
    with new_directory(target, "thing") as partial:
        (partial / "inner").mkdir()
        for file in (partial / "a.txt", partial / "inner" / "b.txt"):
            file.write_text(content)


def found_at(target: Path) -> str:
    """Return the content of a whole directory, or what is wrong with it."""
    if not target.is_dir():
        return "missing"
    problems = damaged_files(target)
    return problems[0] if problems else (target / "inner" / "b.txt").read_text()


def killed_at(number: int, target: Path, names: set[str] | None) -> bool:
    """Replace in a process that is killed before its call of that number; False if it ends first.

    Calls are counted that have one of these names, all of them without any.
    """
    if child := os.fork():
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    calls = count(1)

    def look(frame: FrameType, event: str, function: Any) -> None:
        system = event == "c_call" and getattr(function, "__module__", None) in SYSTEM
        counted = system and (names is None or function.__name__ in names)
        if counted and next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(look)
    write(target, "new")
    sys.setprofile(None)
    os._exit(0)


def main(folder: Path, way: str, kills: str) -> None:
    target = folder / "out"
    if way == "set-aside":
        replacement._exchange = lambda one, other: False
    if kills == "once":
        with suppress(OSError):
            os.open("/begin", os.O_RDONLY)
        write(target, "new")
        return
    if kills == "renames":
        os.fsync = lambda handle: None
    rows = []
    for number in count(1):
        write(target, "old")
        if not killed_at(number, target, RENAMES if kills == "renames" else None):
            break
        at_once = found_at(target)
        replacement.restore(target)
        read = found_at(target)
        write(target, "next")
        rows.append([at_once, read, sorted(path.name for path in folder.iterdir())])
    print(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
