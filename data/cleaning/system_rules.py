"""A rule about system texts: what they demand of calls is what the chat format writes."""

import re
from collections.abc import Iterator, Set
from dataclasses import replace
from functools import lru_cache

from chat.conversation import Conversation
from chat.strict_json import LENIENT_DECODER
from data.cleaning.lead_ins import ANNOUNCEMENT, LEAD_INS, MARK, MARKED_LEAD_INS
from data.outcomes import Change, Draft, pointer

_BLANK = re.compile(r"\s*+")
# What may be left over between two sentences where the tools stood.
_BETWEEN = " \t\r\n.,;"
_SENTENCE_END = re.compile(r"[.!?]\s++|\n\s*+(?:[-*]\s++)?")
# How far before a sentence an announcement may begin, and before a demand its sentence.
_ANNOUNCED = 120


def own_instructions(conversation: Conversation) -> Draft:
    """Take known sentences about calls in another notation out of a system text.

    Only where tools are declared: the format announces those, and how they are called, itself.
    """
    messages = list(conversation.messages)
    if not conversation.tools or not messages or messages[0].role != "system":
        return Draft(conversation)
    text, names = messages[0].content, frozenset(tool.name for tool in conversation.tools)
    passages = _passages(text, names)
    if not passages:
        return Draft(conversation)
    where = pointer("messages", 0, "content")
    changes = tuple(Change("foreign-instructions", where, text[a:b], "") for a, b in passages)
    starts = [0, *(end for _, end in passages)]
    ends = [*(start for start, _ in passages), len(text)]
    content = _joined([text[start:end] for start, end in zip(starts, ends, strict=True)])
    messages[0] = replace(messages[0], content=content)
    kept = messages if content else messages[1:]
    return Draft(replace(conversation, messages=tuple(kept)), changes)


@lru_cache(maxsize=64)  # the rows of a file often share their system text
def _passages(text: str, names: frozenset[str]) -> tuple[tuple[int, int], ...]:
    """Return where known sentences stand, those next to one another as one passage."""
    return tuple(_joined_passages(text, names))


def _joined_passages(text: str, names: Set[str]) -> Iterator[tuple[int, int]]:
    found = [match.span() for lead_in in LEAD_INS for match in lead_in.finditer(text)]
    for lead_in in MARKED_LEAD_INS if MARK.search(text) else ():
        found += [(_sentence(text, m.start()), m.end()) for m in lead_in.finditer(text)]
    found.sort()
    begin = end = -1
    for start, stop in found:
        stop = _after_tools(text, stop, names)
        if begin < 0:
            begin, end = _announced(text, start), stop
        elif not text[end:start].strip(_BETWEEN):
            end = max(end, stop)
        elif start >= end:
            yield begin, end
            begin, end = _announced(text, start), stop
        else:
            end = max(end, stop)
    if begin >= 0:
        yield begin, end


def _sentence(text: str, at: int) -> int:
    """Return where the sentence begins in which a place is, or the place where that is far off."""
    near = max(0, at - _ANNOUNCED)
    ends = [end.end() for end in _SENTENCE_END.finditer(text, near, at)]
    return ends[-1] if ends else at if near else 0


def _announced(text: str, start: int) -> int:
    """Return where the announcement of tools begins that leads to a sentence, or the sentence."""
    near = max(0, start - _ANNOUNCED)
    found = ANNOUNCEMENT.search(text[near:start])
    return near + found.start() if found else start


def _after_tools(text: str, at: int, names: Set[str]) -> int:
    """Return the place after a list of the declared tools that follows a sentence, if one does."""
    start = _end(text, at)
    tagged = text.startswith("<tools>", start)
    start = _end(text, start + len("<tools>")) if tagged else start
    after, listed = start, False
    while text.startswith(("[", "{"), after):
        try:
            value, after = LENIENT_DECODER.raw_decode(text, after)
        except (ValueError, RecursionError):
            return at
        if not _are_tools(value, names):
            return at
        listed, after = True, _end(text, after)
    if tagged and listed and text.startswith("</tools>", after):
        return after + len("</tools>")
    if not listed or tagged:
        return at
    return after + text.startswith(".", after)


def _end(text: str, at: int) -> int:
    """Return the place after white space."""
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _are_tools(value: object, names: Set[str]) -> bool:
    records = value if isinstance(value, list) else [value]
    functions = [r.get("function", r) if isinstance(r, dict) else None for r in records]
    return all(isinstance(f, dict) and f.get("name") in names for f in functions)


def _joined(parts: list[str]) -> str:
    """Join what stays, with the wider of the spaces that stood at each seam."""
    text = parts[0]
    for part in parts[1:]:
        left, right = text.rstrip(), part.lstrip()
        blanks = (text[len(left) :], part[: len(part) - len(right)])
        text = left + max(blanks, key=lambda blank: (blank.count("\n"), len(blank))) + right
    return text.strip()
