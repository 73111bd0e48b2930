"""Note which raise statements of the project are reached, in each Python started with this path.

Python imports this file by its name. With RAISE_SITES, a file to write to, every `raise` of the
project is compiled with a call before it, that writes `path:line` there once. Nothing is traced: a
test runs as fast as without. tests/unreached.py lists what is missing in that file.
"""

import ast
import builtins
import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).parents[2]
MARK = "_raise_site_reached"


def start(record: Path) -> None:
    """From now on compile the project's modules with marks, which write to `record`."""
    reached: set[str] = set()

    def note(site: str) -> None:
        if site not in reached:
            reached.add(site)
            # Short lines that are appended are not torn, whoever else writes.
            with record.open("a", encoding="utf-8") as stream:
                stream.write(f"{site}\n")

    setattr(builtins, MARK, note)
    compile_plain = SourceFileLoader.source_to_code

    def source_to_code(
        self: SourceFileLoader, data: Any, path: str, *options: Any, **more: Any
    ) -> CodeType:
        if (name := name_of(path)) is not None and not isinstance(data, ast.AST):
            data = marked(data, name)
        return compile_plain(self, data, path, *options, **more)

    SourceFileLoader.source_to_code = source_to_code  # type: ignore[method-assign]
    sys.path_hooks.insert(0, ScriptFinder)
    # Compiled modules lie apart from those without marks.
    sys.pycache_prefix = str(record.parent / "compiled")


class ScriptFinder:
    """Finds a script of the project that Python was told to run, as if its file were a folder.

    Python then loads it as a module, with marks; by itself it would compile the file.
    """

    def __init__(self, path: str) -> None:
        if not path.endswith(".py") or name_of(path) is None:
            raise ImportError(path)
        self.path = path

    def find_spec(self, name: str, target: object = None) -> ModuleSpec | None:
        if name != "__main__":
            return None
        # As for a script that is run by its path.
        sys.path[0] = str(Path(self.path).resolve().parent)
        return spec_from_file_location(name, self.path)


def name_of(path: str) -> str | None:
    """Return a module's path in the project; None for tests and for what is not the project's."""
    try:
        parts = Path(path).resolve().relative_to(ROOT).parts
    except ValueError:
        return None
    return None if parts[0] in ("tests", ".venv", "build", "runs") else "/".join(parts)


def marked(source: bytes | str, name: str) -> ast.Module:
    """Return the syntax tree of a module with a call before each `raise`."""

    class Marking(ast.NodeTransformer):
        def visit_Raise(self, node: ast.Raise) -> list[ast.stmt]:
            call = ast.parse(f"{MARK}({f'{name}:{node.lineno}'!r})").body[0]
            for inner in ast.walk(call):
                ast.copy_location(inner, node)
            return [call, node]

    return ast.fix_missing_locations(Marking().visit(ast.parse(source)))


if "RAISE_SITES" in os.environ:
    start(Path(os.environ["RAISE_SITES"]).resolve())
