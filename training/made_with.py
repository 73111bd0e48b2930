"""What a run is made with: the sources of this project, packages, Python and devices."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from storage.manifest import sha256_of_file
from training.backends import Backend
from training.progress import Progress

ROOT = Path(__file__).parents[1]
# What a training step computes with, and what reads and writes its files.
PACKAGES = (
    *("torch", "numpy", "safetensors", "deepspeed", "triton", "bitsandbytes"),
    *("tokenizers", "tiktoken", "sentencepiece"),
)
# The sources beside the folders that are packages.
_ENTRY_POINTS = ("finetune.py", "ds_finetune.py", "chat_completion.py")
_SUFFIXES = (".py", ".jinja")


def note_made_with(progress: Progress, backend: Backend) -> None:
    """Note what the run goes on with, where it is not what it went on with before."""
    now = backend.on_first_rank(lambda: made_with(backend.device, backend.world_size))
    before = progress.made_with[-1] if progress.made_with else {}
    if before != {**now, "from_step": before.get("from_step")}:
        progress.made_with.append({**now, "from_step": progress.step})


def made_with(device: torch.device, ranks: int) -> dict[str, Any]:
    """Return what computes now."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    devices = {"type": device.type, "name": name, "ranks": ranks}
    return {"code": code_record(), "environment": environment_record(), "devices": devices}


def environment_record() -> dict[str, Any]:
    """Return the versions of Python, the system and PACKAGES; None for one that is not here."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


@cache
def code_record() -> dict[str, Any]:
    """Return the sha256 of the sources as they were when first asked, and git's commit.

    `commit` is None outside a clone of the project; `changed` says whether sources differed from
    it.
    """
    return {"sha256": sources_sha256(ROOT), **_commit(ROOT)}


def sources_sha256(root: Path) -> str:
    """Return one sha256 over the names and contents of the project's sources, tests left out."""
    files = [file for path in _sources(root) for file in (path, *path.rglob("*")) if file.is_file()]
    lines = [
        f"{file.relative_to(root).as_posix()} {sha256_of_file(file)}\n"
        for file in files
        if file.suffix in _SUFFIXES
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _sources(root: Path) -> list[Path]:
    folders = [package.parent for package in root.glob("*/__init__.py")]
    return [*(root / name for name in _ENTRY_POINTS), *folders]


def _commit(root: Path) -> dict[str, Any]:
    found = _git(root, "rev-parse", "--show-toplevel", "HEAD").splitlines()
    # A folder inside another repository has that one's commit.
    if len(found) != 2 or Path(found[0]).resolve() != root.resolve():
        return {"commit": None, "changed": None}
    changed = _git(root, "status", "--porcelain", "--", *map(str, _sources(root)))
    return {"commit": found[1], "changed": bool(changed)}


def _git(root: Path, *words: str) -> str:
    """Return what git says, empty where there is none or it refuses."""
    try:
        ended = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
    except OSError:
        return ""
    return ended.stdout if ended.returncode == 0 else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
