"""Which part of the project lacks which package, read from what its files import."""

import ast
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from machine.findings import Finding
from machine.requirements import (
    ROOT,
    Requirement,
    normalised,
    read_extras,
    read_known,
    read_project,
    read_requirements,
)

# Packages that do nothing where there is no CUDA device.
FOR_CUDA = {"triton", "bitsandbytes"}
# Files of a room that are named where it lacks something.
_SHOWN = 2


def check_features() -> Iterator[Finding]:
    """Yield the extras of pyproject.toml, and the rooms with what their files import in vain."""
    used = packages_used()
    idle = set() if has_cuda() else FOR_CUDA
    missing = {name for name in used if not is_found(name)} - idle
    extras = read_extras()
    for extra, requirements in extras.items():
        yield _of_extra(extra, requirements)
    needs = {room: set[str]() for room in sorted(_rooms())}
    for name in missing:
        for file in used[name]:
            needs[_room(file)].add(name)
    ready = [room for room, names in needs.items() if not names]
    yield Finding("whole", "ok", ", ".join(ready))
    told = {name for requirements in extras.values() for name, _ in requirements}
    for room, names in needs.items():
        if untold := {name for name in names if normalised(name) not in told}:
            yield _of_room(room, untold, used)


def has_cuda() -> bool:
    """Return whether NVIDIA's driver is there; nothing is imported and no device is touched."""
    return any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg")))


def packages_used() -> dict[str, list[Path]]:
    """Return the packages that are neither Python's nor ours, with the files that import them."""
    ours = {*_rooms(), *read_project()["tool"]["setuptools"]["py-modules"]}
    used: dict[str, list[Path]] = {}
    for file in _files():
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        for name in sorted(set(imported_names(tree)) - sys.stdlib_module_names - ours):
            used.setdefault(name, []).append(file)
    return used


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Yield the top-level modules that a file imports, those for type checkers left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        else:
            yield from imported_names(node)


def is_found(name: str) -> bool:
    """Return whether a module can be imported by this Python; it is not imported."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _rooms() -> set[str]:
    packages = read_project()["tool"]["setuptools"]["packages"]
    return {package.partition(".")[0] for package in packages}


def _files() -> Iterator[Path]:
    declared = read_project()["tool"]["setuptools"]
    for package in declared["packages"]:
        yield from (
            f.relative_to(ROOT) for f in sorted((ROOT / Path(*package.split("."))).glob("*.py"))
        )
    yield from (Path(f"{module}.py") for module in declared["py-modules"])


def _room(file: Path) -> str:
    # The entry points train and chat with all that the scripts have.
    return file.parts[0] if len(file.parts) > 1 else "scripts"


def _of_extra(extra: str, requirements: list[Requirement]) -> Finding:
    missing = [name for name, _ in requirements if not is_found(name.replace("-", "_"))]
    if not missing:
        return Finding(extra, "ok", ", ".join(name for name, _ in requirements))
    detail = f"lacks {', '.join(missing)}: python -m pip install -e '.[{extra}]'"
    return Finding(extra, "note", detail)


def _of_room(room: str, names: set[str], used: dict[str, list[Path]]) -> Finding:
    """Return what a room lacks, with the files that do without it or fail."""
    known = read_known()
    required = {name for name, _ in read_requirements()}
    files = sorted({str(f) for name in names for f in used[name] if _room(f) == room})
    optional = [normalised(name) for name in sorted(names) if normalised(name) not in required]
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    where = f"imported in {', '.join(files[:_SHOWN])}{more}"
    detail = f"lacks {', '.join(sorted(names))} ({where})"
    if optional:
        detail += f": python -m pip install {' '.join(str(known.get(n, n)) for n in optional)}"
    return Finding(room, "note", detail)
