"""Repairs of arguments that have one reading: texts that say a value, and padding of columns."""

import copy
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chat.conversation import Tool
from chat.schemas.validation import ArgumentProblem, validate_arguments
from chat.strict_json import call_decoder
from data.outcomes import Change

TEXT_VALUE, NULL_PADDING = "text-value", "null-padding"
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_TRUTHS = {"true": True, "True": True, "false": False, "False": False}
# The keywords of JSON Schema whose problem another type of the same value may solve.
_ABOUT_TYPES = frozenset(("type", "anyOf", "oneOf", "enum", "const"))
# A text may hold an object whose members are texts, which is read in the next round.
_ROUNDS = 3
_JSON = call_decoder(raw_newlines=True, exact=True)


@dataclass(frozen=True)
class Repair:
    """Arguments after repair, the changes with pointers into them, and what is still wrong."""

    arguments: Mapping[str, Any]
    changes: tuple[Change, ...]
    problems: list[ArgumentProblem]


def repair_arguments(
    tool: Tool, arguments: Mapping[str, Any], problems: list[ArgumentProblem]
) -> Repair:
    """Repair the problems of a call's arguments that can be; a problem that stays ends the rest."""
    found = Repair(copy.deepcopy(dict(arguments)), (), problems)
    for _ in range(_ROUNDS):
        changes = tuple(_changed(found.arguments, found.problems))
        if not changes:
            break
        left = validate_arguments(tool, found.arguments)
        found = replace(found, changes=found.changes + changes, problems=left)
    return found


def _changed(arguments: Any, problems: Iterable[ArgumentProblem]) -> Iterator[Change]:
    """Change arguments in place where a problem has one solution."""
    for problem in problems:
        if not problem.pointer:
            continue
        holder, key = _place(arguments, problem.pointer)
        if isinstance(holder, dict) and key not in holder:
            continue  # left out for another problem of the same place
        old = holder[key]
        if old is None and isinstance(holder, dict):
            # What is required is missed without it, so that the row is rejected all the same.
            del holder[key]
            yield Change(NULL_PADDING, problem.pointer.rpartition("/")[0], {key: None}, {})
        elif problem.rule in _ABOUT_TYPES and isinstance(old, str):
            new = _said(old)
            if new is not None:
                holder[key] = new
                yield Change(TEXT_VALUE, problem.pointer, old, new)


def _said(text: str) -> Any:
    """Return the number, truth value, list or object that a text writes as JSON; None for none."""
    if text in _TRUTHS:
        return _TRUTHS[text]
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return _JSON.decode(text)
        except (ValueError, RecursionError):
            return None
    # Longer ones are identifiers, of which a float would keep 15 digits.
    if not (match := _NUMBER.fullmatch(text)) or len(text) > 15:
        return None
    number = float(text) if match[1] or match[2] else int(text)
    return number if math.isfinite(number) else None


def _place(value: Any, where: str) -> tuple[Any, Any]:
    """Return what a JSON pointer's last step is taken in, and that step."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in where.split("/")[1:]]
    for step in steps[:-1]:
        value = value[int(step) if isinstance(value, list) else step]
    return value, int(steps[-1]) if isinstance(value, list) else steps[-1]


def moved(changes: Iterable[Change], where: str) -> Iterator[Change]:
    """Yield changes of arguments as changes of the row, in which the arguments stand at `where`."""
    return (replace(change, pointer=where + change.pointer) for change in changes)
