"""Disks that fill while a command writes; then there is room again, and it is run once more."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attacks.arena import PAGE, Arena, empty
from attacks.children import Ended
from attacks.journey import STEPS, Step
from attacks.outcomes import Outcome, is_traceback, last_line

KIND = "full disks"
WRITING = tuple(step for step in STEPS if step.writes)
# Room for the second run, in bytes.
ENOUGH = 1 << 28


def attack(arena: Arena, number: int) -> Outcome:
    """Let a command run where too little room is left, then where there is enough.

    Half of the disks are small file systems, where this machine lets one be mounted; the others
    are a limit for the size of a file.
    """
    chance = arena.chance(KIND, number)
    step, share = WRITING[number % len(WRITING)], chance.random()
    reference = arena.reference(step)
    if chance.random() < 0.5 and _can_mount(arena.folder):
        room = reference.input_bytes + int(share * reference.output_bytes)
        with _small_disk(arena.folder, room):
            arena.copy_inputs(step)
            first = step.run(arena.folder)
            _mount(arena.folder, f"remount,size={ENOUGH}")
            return _judge(arena, step, number, f"a disk of {room} bytes", first)
    largest = int(share * reference.largest_file)
    arena.copy_inputs(step)
    first = step.run(arena.folder, largest_file=largest)
    return _judge(arena, step, number, f"files of at most {largest} bytes", first)


def _judge(arena: Arena, step: Step, number: int, what: str, first: Ended) -> Outcome:
    if is_traceback(first):
        return Outcome(KIND, number, step.name, what, "traceback", last_line(first))
    if first.code == 0:
        differing = arena.differences(step, first)
        outcome = "used in silence" if differing else "same result"
        return Outcome(KIND, number, step.name, what, outcome, ", ".join(differing)[:200])
    again = step.run(arena.folder)
    if again.code == 0 and not (differing := arena.differences(step, again, printed=False)):
        return Outcome(KIND, number, step.name, what, "recovered", last_line(first))
    if is_traceback(again):
        return Outcome(KIND, number, step.name, what, "traceback", last_line(again))
    if again.code != 0:
        # It refuses what the first left, and says what to do.
        return Outcome(KIND, number, step.name, what, "detected", last_line(again))
    detail = ", ".join(differing)[:200]
    return Outcome(KIND, number, step.name, what, "used in silence", detail)


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[None]:
    empty(folder)
    folder.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
        check=True,
        capture_output=True,
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)


def _can_mount(folder: Path) -> bool:
    """Return whether this process may mount a file system."""
    try:
        with _small_disk(folder.parent / "mounted", PAGE):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", options, folder], check=True, capture_output=True)
