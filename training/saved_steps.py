"""The step checkpoints of a run: which there are, which of them is whole, what is set aside."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from storage.manifest import damaged_files
from storage.replacement import restore_all

LATEST_FILE = "latest"
_STEP = re.compile(r"step-\d+")


def saved_steps(run_dir: Path) -> list[Path]:
    """Return the step checkpoints of a run, oldest first; renamed ones are left out."""
    restore_all(run_dir)
    found = [path for path in run_dir.glob("step-*") if _STEP.fullmatch(path.name)]
    return sorted(found, key=number_of)


def newest_whole(run_dir: Path, warn: Callable[[str], None]) -> tuple[Path | None, list[Path]]:
    """Return the checkpoint `latest` names, or the first whole one before it; and the damaged."""
    return first_whole(steps_to_try(run_dir, warn), damaged_files, warn)


def steps_to_try(run_dir: Path, warn: Callable[[str], None]) -> list[Path]:
    """Return the checkpoint `latest` names and those before it, newest first.

    Steps after `latest` are those of a run that somebody went back from.
    """
    latest, steps = run_dir / LATEST_FILE, saved_steps(run_dir)
    if latest.is_file():
        named = latest.read_text(encoding="utf-8").strip()
        if not _STEP.fullmatch(named):
            raise ValueError(
                f"{latest} names {named!r}, wanted a checkpoint such as "
                f"{steps[-1].name if steps else 'step-000200'}; or remove the file to take the "
                "newest"
            )
        if not (run_dir / named).is_dir():
            warn(f"{latest} names {named}, which is missing; trying the checkpoint before it")
        steps = [path for path in steps if number_of(path) <= number_of(run_dir / named)]
    return steps[::-1]


def first_whole(
    steps: list[Path], damage: Callable[[Path], list[str]], warn: Callable[[str], None]
) -> tuple[Path | None, list[Path]]:
    """Return the first checkpoint in which `damage` finds nothing, and the ones before it."""
    for tried, path in enumerate(steps):
        problems = problems_of(path, damage)
        if not problems:
            return path, steps[:tried]
        warn(f"{path} is damaged ({problems[0]}); trying the checkpoint before it")
    return None, steps


def number_of(step: Path) -> int:
    """Return the number in a step checkpoint's name."""
    return int(step.name.removeprefix("step-"))


def set_aside(damaged: list[Path]) -> None:
    """Rename damaged checkpoints, so that none counts as one of the last to keep."""
    for path in damaged:
        target = path.with_name(f"{path.name}.damaged")
        shutil.rmtree(target, ignore_errors=True)
        path.rename(target)


def problems_of(path: Path, damage: Callable[[Path], list[str]]) -> list[str]:
    """Return what `damage` finds in a checkpoint, or what keeps it from looking."""
    try:
        return damage(path)
    except (ValueError, OSError) as error:
        return [str(error)]
