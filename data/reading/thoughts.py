"""Tell what a model thought from what it answers, whatever marks stand around its thoughts."""

import re
from dataclasses import dataclass

# The first of them is how thoughts are written here.
_MARKS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]",
    "<|begin_of_thought|>": "<|end_of_thought|>",
}
_OPENING = re.compile("|".join(map(re.escape, _MARKS)))
_CLOSING = re.compile("|".join(map(re.escape, _MARKS.values())))
_FENCE = "```"


@dataclass(frozen=True)
class Thoughts:
    """The thoughts of a text, what it says beside them, and whether the last thought ends."""

    thoughts: tuple[str, ...]
    answer: str
    ends: bool = True


def format_thoughts(thoughts: tuple[str, ...]) -> str:
    """Return thoughts as they stand before an answer; no text where there is no thought."""
    text = "\n\n".join(filter(None, map(str.strip, thoughts)))
    return f"<think>\n{text}\n</think>\n\n" if text else ""


def split_thoughts(text: str) -> Thoughts:
    """Split a text; a mark counts where it begins a line, outside of fences and other prose."""
    if "<" not in text and "[" not in text:
        return Thoughts((), text)
    # Without these marks, which are found much faster, there are none of the others.
    closes = ("</" in text or "[/" in text or "<|" in text) and _CLOSING.search(text)
    if not closes and not _OPENING.match(text.lstrip()):
        return Thoughts((), text)
    thoughts: list[str] = []
    answer: list[str] = []
    at = _end_of_opened(text, thoughts)
    fences, missing, counted = 0, set[str](), at
    for opening in _OPENING.finditer(text, at):
        start, closing = opening.start(), _MARKS[opening[0]]
        if start < at or closing in missing:
            continue
        fences += text.count(_FENCE, counted, start)
        counted = start
        if fences % 2 or not _begins_line(text, start, at):
            continue
        end = text.find(closing, opening.end())
        if end < 0 and not text[:start].strip() and not text[opening.end() :].startswith(" "):
            return Thoughts((text[opening.end() :],), "", ends=False)
        if end < 0:
            missing.add(closing)
            continue
        thoughts.append(text[opening.end() : end])
        answer.append(text[at:start])
        at = counted = end + len(closing)
    answer.append(text[at:])
    return Thoughts(tuple(thoughts), "".join(answer).lstrip() if thoughts else text)


def _end_of_opened(text: str, thoughts: list[str]) -> int:
    """Return where a thought ends that the prompt opened: its closing mark ends or is a line."""
    closing = _CLOSING.search(text)
    if closing is None or _OPENING.search(text, 0, closing.start()):
        return 0
    before, after = text[: closing.start()], text[closing.end() :]
    stands_apart = after.startswith("\n") or before.endswith("\n")
    if not stands_apart or before.count(_FENCE) % 2:
        return 0
    thoughts.append(before)
    return closing.end()


def _begins_line(text: str, start: int, at: int) -> bool:
    """Whether only blanks stand before a place in its line, from `at` on."""
    while start > at and text[start - 1] in " \t":
        start -= 1
    return start == at or text[start - 1] == "\n"
