"""Where attacks take place: prepared files, a folder to spoil, what undisturbed runs give."""

import hashlib
import json
import random
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacks.children import Ended
from attacks.journey import Step, copy_inputs
from attacks.outcomes import Outcome, is_traceback, last_line

# Speed and memory in what is printed: another at each run, even where two of them agree.
_MEASURED = re.compile(r"[\d.,]+(?=%? (?:tokens/s|of peak|GiB|s\b|min\b))")
# What a step gives: a JSON value by its pointer, a line printed by its number, else a file's hash.
Result = Mapping[str, Any]
# How a file's bytes are counted on a small disk.
PAGE = 4096


@dataclass(frozen=True)
class Reference:
    """What a step gives undisturbed; `differing` is what two such runs give differently.

    input_bytes, output_bytes: What the folder holds before, and in addition afterwards, in pages.
    largest_file: The size of the largest file written, in bytes.
    seconds: How long the second run took.
    """

    result: Result
    differing: set[str]
    input_bytes: int
    output_bytes: int
    largest_file: int
    seconds: float


class Arena:
    """A folder in which one attack after the other is tried, each upon fresh copies.

    `prepared` holds the inputs of every step, and what they gave; `ends`, how they ended. What
    differs between two undisturbed runs of a step (times, and hashes of files that hold them) is
    not compared.
    """

    def __init__(self, prepared: Path, ends: Mapping[str, Ended], folder: Path, seed: int) -> None:
        self.prepared = prepared
        self._ends = ends
        self.folder = folder
        self.seed = seed
        self._references: dict[str, Reference] = {}

    def chance(self, kind: str, number: int) -> random.Random:
        """Return the random numbers of one attack, which depend on the seed and its number only."""
        return random.Random(f"{self.seed} {kind} {number}")

    def copy_inputs(self, step: Step) -> None:
        """Begin anew: the folder holds what the step reads, and nothing else."""
        copy_inputs(step, self.prepared, self.folder)

    def reference(self, step: Step) -> Reference:
        """Return what a step gives without an attack; RuntimeError where it fails."""
        if step.name not in self._references:
            self._references[step.name] = self._make_reference(step)
        return self._references[step.name]

    def _make_reference(self, step: Step) -> Reference:
        results, sizes, seconds, largest = [], (0, 0), 0.0, 0
        if step.name in self._ends:
            # What was prepared is one undisturbed run.
            results.append(result_of(step, self.prepared, self._ends[step.name]))
        while len(results) < 2:
            self.copy_inputs(step)
            before = _pages_in(self.folder)
            ended = step.run(self.folder)
            if ended.code != 0:
                raise RuntimeError(f"{step.name} fails without an attack: {last_line(ended)}")
            sizes, seconds = (before, _pages_in(self.folder) - before), ended.seconds
            largest = max((file.stat().st_size for file in written(step, self.folder)), default=0)
            results.append(result_of(step, self.folder, ended))
        first, second = results
        keys = first.keys() | second.keys()
        differing = {key for key in keys if first.get(key) != second.get(key)}
        return Reference(second, differing, *sizes, largest, seconds)

    def differences(self, step: Step, ended: Ended, printed: bool = True) -> list[str]:
        """Name what a run that has just ended gave otherwise than undisturbed ones.

        Without `printed`, what it wrote to the terminal is left out.
        """
        reference = self.reference(step)
        wanted, ignored = reference.result, reference.differing
        found = result_of(step, self.folder, ended)
        keys = (wanted.keys() | found.keys()) - ignored
        if not printed:
            keys = {key for key in keys if not key.startswith("printed#")}
        return sorted(key for key in keys if wanted.get(key) != found.get(key))

    def judge(
        self, step: Step, ended: Ended, kind: str, number: int, file: str, what: str
    ) -> Outcome:
        """Return what became of an attack on a file that a step read."""
        target = f"{step.name}: {file}"
        if is_traceback(ended):
            return Outcome(kind, number, target, what, "traceback", last_line(ended))
        if ended.code != 0:
            return Outcome(kind, number, target, what, "detected", last_line(ended))
        if not (differing := self.differences(step, ended)):
            return Outcome(kind, number, target, what, "same result")
        told = damage_told(ended, file)
        if told and not any(is_weight(key) and not is_beside(key, file) for key in differing):
            return Outcome(kind, number, target, what, "set aside", told)
        outcome = "another input" if file in step.owned else "used in silence"
        return Outcome(kind, number, target, what, outcome, ", ".join(differing)[:200])


def damage_told(ended: Ended, file: str) -> str:
    """Return the line in which a command says that the folder of a file is damaged, or nothing."""
    folder = str(Path(file).parent)
    lines = (ended.out + ended.error).splitlines()
    return next((line for line in lines if f"{folder} is damaged" in line), "")


def is_weight(key: str) -> bool:
    """Return whether a result is that of a file of weights, and not a value of a record of it."""
    return "#" not in key and key.endswith(".safetensors")


def is_beside(key: str, file: str) -> bool:
    """Return whether a result lies in the folder of a file, or in that folder set aside."""
    folder = Path(file).parent
    return Path(key).parent in (folder, folder.with_name(f"{folder.name}.damaged"))


def result_of(step: Step, folder: Path, ended: Ended) -> Result:
    """Return what a step wrote and printed."""
    found: dict[str, Any] = dict(_lines_of(ended.out))
    for file in written(step, folder):
        found.update(_contents(file, str(file.relative_to(folder))))
    return found


def written(step: Step, folder: Path) -> list[Path]:
    """Return the files that a step has written."""
    places = [folder / name for name in step.writes]
    inside = [file for place in places for file in (place, *sorted(place.rglob("*")))]
    return [file for file in inside if file.is_file()]


def _pages_in(folder: Path) -> int:
    """Return the bytes of all pages that a folder's files and folders take."""
    sizes = (place.lstat().st_size for place in folder.rglob("*"))
    return sum(PAGE + -(-size // PAGE) * PAGE for size in sizes)


def empty(folder: Path) -> None:
    """Remove a folder with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def _contents(file: Path, name: str) -> Iterator[tuple[str, Any]]:
    content = file.read_bytes()
    try:
        if file.suffix == ".json":
            yield from _leaves(json.loads(content), f"{name}#")
            return
        if file.suffix == ".jsonl":
            for number, line in enumerate(content.splitlines()):
                yield from _leaves(json.loads(line), f"{name}#{number}")
            return
    except (ValueError, RecursionError):
        pass
    yield name, hashlib.sha256(content).hexdigest()


def _leaves(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        yield pointer, type(value).__name__
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _leaves(inner, f"{pointer}/{key}")
    else:
        # As text: NaN is not equal to itself.
        yield pointer, repr(value)


def _lines_of(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines()):
        yield f"printed#{number}", _MEASURED.sub("0", line)
