"""What the project's own files say is to be installed: requirements*.txt and pyproject.toml."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
_PINNED = re.compile(r"([A-Za-z0-9][\w.-]*)==([^\s;]+)(?:; sys_platform == \"(\w+)\")?")


class Requirement(NamedTuple):
    """A package by its normalised name, and the one version that is wanted."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def normalised(name: str) -> str:
    """Return a package's name as registries compare it: lower case, with - for _ and dots."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(lines: list[str]) -> list[Requirement]:
    """Return the packages of lines like `name==version`; other lines are left out.

    So are those for another system: `name==version; sys_platform == "linux"`.
    """
    found = filter(None, map(_PINNED.match, lines))
    here = (match for match in found if match[3] in (None, sys.platform))
    return [Requirement(normalised(match[1]), match[2]) for match in here]


def read_requirements(name: str = "requirements.txt") -> list[Requirement]:
    """Return the packages that a file beside pyproject.toml wants."""
    return pinned((ROOT / name).read_text(encoding="utf-8").splitlines())


def read_project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read_extras() -> dict[str, list[Requirement]]:
    """Return the packages of each optional part of the project, as pip install '.[NAME]' takes."""
    extras = read_project()["project"]["optional-dependencies"]
    return {name: pinned(lines) for name, lines in extras.items()}


def read_known() -> dict[str, Requirement]:
    """Return every package that a file of the project pins, by its name."""
    listed = [line for file in sorted(ROOT.glob("requirements*.txt")) for line in _lines(file)]
    extras = [requirement for extra in read_extras().values() for requirement in extra]
    return {requirement.name: requirement for requirement in [*pinned(listed), *extras]}


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()
