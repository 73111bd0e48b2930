"""Find calls that are written in a text, in whatever notation a data set or a model has for them.

Marks (`<tool_call>`, `[TOOL_CALLS]`, ...) count amid prose, outside of code; what bears no mark
counts as a whole text or in the fences that end one, and only as calls of declared tools.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data.reading.bare_calls import Tools, any_declared, is_declared, read_bare
from data.reading.call_text import ReadCall
from data.reading.end_marks import without_end_mark
from data.reading.marked_calls import (
    MARKS,
    OPENINGS,
    Code,
    Mark,
    begins_call,
    read_call_body,
    unread_mark,
)
from data.reading.react import read_steps

_FENCE = "```"
# How often a call is read again up to a later closing mark, which may stand inside its arguments.
_MOST_ENDS = 16
_RESULTS = ("<tool_response>", "<function_response>", "<|tool_response|>")
_PLACEHOLDER = re.compile(r":\s*<[\w -]+>")


@dataclass(frozen=True)
class WrittenCalls:
    """Calls found in a text, with the text around them.

    thought: What the text says it thinks before it calls.
    repaired: Whether they stood in another notation than a data set's own `<tool_call>` of JSON.
    fenced, in_steps: Whether they stood in a fence, or in ReAct's steps.
    """

    calls: tuple[ReadCall, ...]
    around: str = ""
    thought: str = ""
    repaired: bool = True
    fenced: bool = False
    in_steps: bool = False


def find_calls(text: str, tools: Tools) -> WrittenCalls | None:
    """Return the calls that a text makes, or None; ValueError for one that cannot be read."""
    text = without_end_mark(text).strip()
    if not text:
        return None
    if unread := unread_mark(text, tools):
        raise ValueError(f"{unread!r} begins calls in a notation that is not read")
    if "Action:" in text and (steps := read_steps(text, lambda name: is_declared(name, tools))):
        return WrittenCalls(steps.calls, thought=steps.thought, in_steps=True)
    found = _in_fences(text, tools) if _FENCE in text else None
    found = found or (_marked(text, tools) if OPENINGS.search(text) else None)
    if found is None and (calls := read_bare(text, tools)):
        return WrittenCalls(calls)
    return found


def read_calls_of_turn(text: str) -> tuple[ReadCall, ...]:
    """Read a text that is known to be calls and nothing else; ValueError for what is none."""
    text = without_end_mark(text).strip()
    found = _marked(text, {}) if OPENINGS.match(text) else None
    return found.calls if found else read_call_body(text, {})[0]


def _in_fences(text: str, tools: Tools) -> WrittenCalls | None:
    """Read the fences that end a text, where they hold nothing but calls of declared tools."""
    if text.count(_FENCE) == 1 and text.startswith(_FENCE):
        text += "\n" + _FENCE  # the text was cut off, or its last mark forgotten
    if text.count(_FENCE) % 2:
        return None
    fences: list[WrittenCalls] = []
    end = len(text)
    while end and text.endswith(_FENCE, 0, end):
        start = text.rfind(_FENCE, 0, end - len(_FENCE))
        inside = text[start + len(_FENCE) : end - len(_FENCE)]
        while start and text[start - 1].isspace():
            start -= 1
        try:
            found = _in_fence(inside, tools)
        except ValueError:
            if start:
                break
            raise
        if found is None or (start and not _all_declared(found.calls, tools)):
            break
        fences.append(found)
        end = start
    if not fences:
        return None
    calls = tuple(read for found in reversed(fences) for read in found.calls)
    return WrittenCalls(calls, text[:end], fenced=True)


def _in_fence(inside: str, tools: Tools) -> WrittenCalls | None:
    """Read what stands between the marks of a fence, whose first line may name a language."""
    first, newline, rest = inside.partition("\n")
    body = (rest if newline and first.strip().isidentifier() else inside).strip()
    body = body.removeprefix("json").strip() if body.startswith("json") else body
    if not body:
        return None
    found = _marked(body, tools) if OPENINGS.match(body) else None
    if found is None and (calls := read_bare(body, tools)):
        return WrittenCalls(calls)
    return None if found is None or found.around else found


def _all_declared(calls: Sequence[ReadCall], tools: Tools) -> bool:
    return all(is_declared(read.call.name, tools) for read in calls)


def _marked(text: str, tools: Tools) -> WrittenCalls | None:
    """Read the calls that follow marks."""
    calls: list[ReadCall] = []
    around: list[str] = []
    repaired, at = False, 0
    for found in _marks(text, tools):
        calls += found.calls
        around.append(text[at : found.start])
        repaired, at = repaired or found.mark.foreign or found.foreign, found.end
    after = text[at:].strip()
    if not calls:
        return None
    if after and not any_declared(calls, tools):
        return None  # a call of no tool at hand, and the text goes on: it is an example
    if any(mark in after for mark in _RESULTS):
        raise ValueError("the result of a call stands in the turn that makes it")
    return WrittenCalls(tuple(calls), "".join([*around, text[at:]]).strip(), repaired=repaired)


@dataclass(frozen=True)
class _Marked:
    """Calls after one mark, and where they stand in the text."""

    calls: tuple[ReadCall, ...]
    start: int
    end: int
    mark: Mark
    foreign: bool


def _marks(text: str, tools: Tools) -> Iterator[_Marked]:
    """Yield the calls that follow each mark, but in code."""
    in_code = Code(text)
    at, tries, missing = 0, _MOST_ENDS, set[str]()
    for opening in OPENINGS.finditer(text):
        mark, start = MARKS[opening[0]], opening.start()
        body = start if mark.is_head else opening.end()
        if start < at or in_code(start) or not begins_call(text, body, tools):
            continue
        problem: ValueError | None = None
        for end, after in _ends(text, body, mark, missing):
            try:
                calls, foreign = read_call_body(text[body:end], tools)
            except (ValueError, RecursionError) as error:
                problem, tries = problem or ValueError(str(error)), tries - 1
                if not tries:
                    raise problem from error
                continue
            yield _Marked(calls, start, after, mark, foreign)
            at = after
            break
        if at <= start and problem and not _is_example(text, start, body, mark, tools):
            raise problem


def _ends(text: str, body: int, mark: Mark, missing: set[str]) -> Iterator[tuple[int, int]]:
    """Yield where calls may end that begin at a place, and where the text goes on after them."""
    end = text.find(mark.closing, body) if mark.closing not in missing else -1
    while mark.closing and end >= 0:
        yield end, end + len(mark.closing)
        end = text.find(mark.closing, end + len(mark.closing))
        if end < 0:
            return
    missing.add(mark.closing)
    following = text.find(mark.opening, body + 1)
    end = len(text) if following < 0 else following
    yield end, end


def _is_example(text: str, start: int, body: int, mark: Mark, tools: Tools) -> bool:
    """Whether what cannot be read shows in the midst of a text how a call is written."""
    end = text.find(mark.closing, body) if mark.closing else -1
    if end < 0 or not (text[:start].strip() or text[end + len(mark.closing) :].strip()):
        return False
    inside = text[body:end]
    names_one = any(name in inside for name in tools) if tools else True
    return bool(_PLACEHOLDER.search(inside)) or not names_one
