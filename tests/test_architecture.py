"""The project's rules, read from the syntax trees: allowed imports and forbidden calls."""

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"chat", "console", "data", "demo", "evaluation", "export", "inference"}
ROOMS |= {"machine", "model", "receipts", "rewards", "scripts", "serving", "storage", "synthesis"}
ROOMS |= {"teaching", "training", "weights"}
ENTRY_POINTS = {"finetune", "ds_finetune", "chat_completion"}

# What of ours each room may import; a room always may import itself.
MAY_IMPORT = {
    "storage": set(),
    # Beneath all: what any room reads from a file is compared there with its recorded hash.
    "console": {"storage"},
    "chat": {"storage"},
    "model": {"storage"},
    "data": {"chat", "storage", "console"},
    "weights": {"model", "storage", "console"},
    "synthesis": {"data", "chat", "storage", "console"},
    "inference": {"model", "weights", "chat", "storage", "console"},
    "training": {"model", "weights", "data", "storage", "console"},
    "evaluation": {"inference", "data", "chat", "model", "weights", "storage", "console"},
    "export": {"chat", "weights", "storage", "console"},
    "serving": {"inference", "synthesis", "chat", "model", "console"},
    "teaching": {"evaluation", "inference", "synthesis", "data", "chat", "storage", "console"},
    # Training takes what rewards/ has as objects that the entry scripts pass.
    "rewards": ROOMS - {"training", "scripts"},
    "machine": {"model", "training", "storage", "console"},
    "receipts": {"training", "data", "weights", "model", "storage", "console"},
    "demo": ROOMS - {"scripts"},
    "benchmarks": ROOMS - {"scripts"},
    "scripts": ROOMS - {"scripts"} | {"benchmarks"},
    # Files of a user's own, executed by their paths.
    "examples": set(),
    "": ROOMS - {"scripts", "demo"},
}
# The demo's own commands; nothing that a user runs on their own model imports demo/.
OF_THE_DEMO = {Path("scripts/run_demo.py"), Path("benchmarks/demo_variants.py")}
# Which rooms alone may import a library; a room that is not named may not.
LIBRARIES = {
    "torch": ROOMS - {"chat", "console", "export", "storage", "synthesis", "teaching"}
    | {"benchmarks", ""},
    "deepspeed": {"training", "scripts"},
    "fire": {"console"},
    "bitsandbytes": {"model", "training", "benchmarks"},
    "triton": {"model"},
    "fastapi": {"serving"},
    "uvicorn": {"serving"},
    "wandb": {"training"},
}
# These run where only torch, numpy and rich are installed beside them.
LEAN = [
    "model",
    "weights",
    "inference/generate.py",
    "inference/kv_cache.py",
    "inference/packed.py",
    "inference/sampling.py",
    "data/batches.py",
    "data/tokenized.py",
    "training/loop.py",
    "training/objective.py",
    "training/feed.py",
    "training/loss.py",
    "training/backends.py",
    "training/optim.py",
    "training/adamw.py",
    "training/disk.py",
    "training/divergence.py",
    "training/finite.py",
    "training/losses.py",
    "training/saved_steps.py",
    "training/progress.py",
    "training/in_backward.py",
    "training/rounding.py",
    "training/best.py",
    "training/checkpoint.py",
    "training/resuming.py",
    "training/report.py",
    "training/flops.py",
    "training/preparing.py",
    "training/planning/roofline.py",
    "training/planning/plan.py",
    "training/planning/memory.py",
    "storage",
    "benchmarks",
]
# Ways to a terminal past the streams that make text printable.
NOT_DOORS = {"sys.__stdout__", "sys.__stderr__", "sys.stdout.buffer", "sys.stderr.buffer"}
NOT_LEAN = {"pydantic", "jsonschema", "fire"}


@cache
def sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in listed.stdout.splitlines() if not line.startswith("tests/")]


@cache
def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree_of(path)))


# What a node says; a call's function is asked for as a call's and as an attribute.
text_of_node = cache(ast.unparse)


@cache
def imports(path: Path, top_level_only: bool = False) -> frozenset[str]:
    nodes = tree_of(path).body if top_level_only else nodes_of(path)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return frozenset(found)


def room(path: Path) -> str:
    return path.parts[0] if len(path.parts) > 1 else ""


@pytest.mark.parametrize("path", sources(), ids=str)
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    ours = imports(path) & (ROOMS | {"benchmarks"}) - {room(path)}
    if room(path) == "scripts":
        assert "scripts" not in imports(path), "scripts do not import one another"
    allowed = MAY_IMPORT[room(path)]
    if path not in OF_THE_DEMO:
        allowed = allowed - {"demo"}
    assert ours <= allowed, f"{path} imports {ours - allowed}"
    assert not imports(path) & ENTRY_POINTS, "no module imports an entry point"


@pytest.mark.parametrize("path", sources(), ids=str)
def test_a_library_is_imported_only_where_it_belongs(path: Path) -> None:
    for library, rooms in LIBRARIES.items():
        if library in imports(path):
            assert room(path) in rooms, f"{path} imports {library}"


@pytest.mark.parametrize("place", LEAN)
def test_code_for_bare_gpu_images_imports_no_extra_library(place: str) -> None:
    for path in sources():
        if str(path) == place or room(path) == place:
            assert not imports(path, top_level_only=True) & NOT_LEAN, path


@pytest.mark.parametrize("path", sources(), ids=str)
def test_nothing_is_unpickled_and_no_path_is_patched(path: Path) -> None:
    # This file loads only bytes that it made itself, as keys of a cache.
    own_bytes = {"marshal"} if path == Path("chat/recurring.py") else set()
    assert not imports(path) & ({"dill", "shelve", "marshal"} - own_bytes)
    assert "sys.path" not in text_of(path)
    assert "Unpickler(" not in text_of(path)
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            called = text_of_node(node.func)
            if name == "load" and called == "torch.load":
                assert ast.unparse(keywords["weights_only"]) == "True", path
            if name == "load_state_dict":
                assert "strict" not in keywords, path
            assert called not in {"eval", "exec", "pickle.load", "pickle.loads"}


@pytest.mark.parametrize("path", sources(), ids=str)
def test_output_passes_the_doors_that_make_it_printable(path: Path) -> None:
    if path == Path("console/output.py") or room(path) == "examples":
        return
    from_rich: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("rich."):
            from_rich |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute):
            assert text_of_node(node) not in NOT_DOORS, path
        elif isinstance(node, ast.Call):
            called = text_of_node(node.func)
            assert called not in {"input", "os.write"}, f"{path}: see console/output.py"
            if called in from_rich & {"Progress", "Live", "track"}:
                assert "console" in {keyword.arg for keyword in node.keywords}, path
    assert not from_rich & {"Console", "console", "print", "get_console"}, path


def test_every_package_is_installed() -> None:
    """A package missing from pyproject.toml works from the root and fails everywhere else."""
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    # Files of demo/tools/ and examples/ are executed by their paths.
    inside = [
        path
        for path in sources()
        if len(path.parts) > 1 and path.parts[:2] != ("demo", "tools") and room(path) != "examples"
    ]
    packages = {str(path.parent).replace("/", ".") for path in inside}
    assert packages == set(declared["packages"])
    modules = {path.stem for path in sources() if len(path.parts) == 1}
    assert modules == set(declared["py-modules"])


def test_no_script_has_the_name_of_a_room() -> None:
    # Python puts a script's folder first, so that the room could not be imported.
    assert not {path.stem for path in sources() if room(path) == "scripts"} & ROOMS


def test_no_room_holds_a_fifth_of_the_code() -> None:
    lines: dict[str, int] = {}
    for path in sources():
        lines[room(path)] = lines.get(room(path), 0) + text_of(path).count("\n")
    assert max(lines.values()) < sum(lines.values()) / 5, lines


def test_no_python_file_exceeds_300_lines() -> None:
    long = {str(p): n for p in sources() if (n := text_of(p).count("\n")) > 300}
    assert not long
