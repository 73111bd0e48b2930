"""One bit of one file turned, or its end cut off: each file of each command in turn."""

from pathlib import Path

from attacks.arena import Arena
from attacks.journey import STEPS, Step, read_files
from attacks.outcomes import Outcome

KIND = "corruptions"
# Of the bits that are turned, how many lie in a file's head, where formats keep their structure.
HEAD_SHARE, HEAD_BYTES = 0.3, 1024


def targets(prepared: Path) -> list[tuple[Step, str]]:
    """Return every file of every command."""
    return [(step, file) for step in STEPS for file in read_files(step, prepared)]


def attack(arena: Arena, number: int) -> Outcome:
    """Damage one file of one command, run it, and say what became of it."""
    chance = arena.chance(KIND, number)
    every = targets(arena.prepared)
    step, file = every[number % len(every)]
    arena.reference(step)
    arena.copy_inputs(step)
    path = arena.folder / file
    content = bytearray(path.read_bytes())
    if not content:
        return Outcome(KIND, number, f"{step.name}: {file}", "an empty file", "same result")
    if chance.random() < 0.5:
        kept = chance.randrange(len(content))
        what = f"cut to {kept} of {len(content)} bytes"
        del content[kept:]
    else:
        within = HEAD_BYTES if chance.random() < HEAD_SHARE else len(content)
        place, bit = chance.randrange(min(within, len(content))), chance.randrange(8)
        what = f"bit {bit} of byte {place} of {len(content)}"
        content[place] ^= 1 << bit
    path.write_bytes(content)
    return arena.judge(step, step.run(arena.folder), KIND, number, file, what)
