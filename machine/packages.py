"""Versions: of Python and of each package, wanted and found."""

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version

from machine.findings import Finding, error_in_words
from machine.requirements import Requirement, read_project, read_requirements

INSTALL = "install what is missing: python -m pip install -r requirements.txt"
REINSTALL = "mend packages: python -m pip install --force-reinstall -r requirements.txt"


def check_python() -> Iterator[Finding]:
    """Yield whether this Python is new enough for pyproject.toml."""
    wanted = read_project()["project"]["requires-python"]
    least = tuple(map(int, re.findall(r"\d+", wanted)))
    detail = f"{platform.python_version()} at {sys.executable} (wanted {wanted})"
    if sys.version_info[: len(least)] >= least:
        yield Finding("python", "ok", detail)
    else:
        todo = f"make .venv with another Python: python{'.'.join(map(str, least))} -m venv .venv"
        yield Finding("python", "wrong", detail, todo)


def check_packages() -> Iterator[Finding]:
    """Yield the version of each package that requirements.txt wants."""
    yield from map(_finding, read_requirements())


def is_same_version(found: str, wanted: str) -> bool:
    """Return whether two versions are equal but for the build, such as +cpu."""
    return found.partition("+")[0] == wanted.partition("+")[0]


def _finding(requirement: Requirement) -> Finding:
    name, wanted = requirement
    # torch's build is chosen for the machine, and before the rest.
    todo = INSTALL if name != "torch" else f"install torch: python -m pip install {requirement}"
    try:
        found = version(name)
        same = is_same_version(found, wanted)
    except ModuleNotFoundError:
        return Finding(name, "wrong", f"is not installed (wanted {wanted})", todo)
    except Exception as error:
        detail = f"what it says of itself cannot be read: {error_in_words(error)}"
        return Finding(name, "wrong", detail, todo)
    return Finding(name, "ok" if same else "wrong", f"{found} (wanted {wanted})", todo)
