"""Read steps of ReAct: a thought, an action with its input, as lines of text."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from data.reading.call_text import ReadCall, read_call_value, read_calls

ACTION = re.compile(
    r"^[ \t*]*+Action:[ \t*]*+(?P<name>[^\n]*+)\n\s*+\**+Action Input:[ \t*]*+", re.MULTILINE
)
# LangChain's structured agents write both as one object.
_OBJECT = re.compile(r"^[ \t*]*+Action:[\s*]*+(?=[{`])", re.MULTILINE)
_THOUGHT = "Thought:"
_ANSWER = "Final Answer:"
OBSERVATION = "Observation:"
_FENCE = "```"


@dataclass(frozen=True)
class Steps:
    """The calls of a text's steps, and what it thinks before them."""

    calls: tuple[ReadCall, ...]
    thought: str = ""


def read_steps(text: str, is_declared: Callable[[str], bool]) -> Steps | None:
    """Read a text that is steps and nothing else; None where none calls a declared tool.

    ValueError for a call that cannot be read.
    """
    actions = list(ACTION.finditer(text))
    first = actions[0] if actions else _OBJECT.search(text)
    before = text[: first.start()].strip() if first else ""
    if first is None or (before and not before.startswith(_THOUGHT)):
        return None
    if not actions:
        return _read_object(text[first.end() :], before, is_declared)
    names = [action["name"].strip(" \t`*\"'[]") for action in actions]
    if not any(map(is_declared, names)):
        return None
    calls, thoughts = [], [before]
    ends = [action.start() for action in actions[1:]] + [len(text)]
    for action, end, name in zip(actions, ends, names, strict=True):
        given, thought = _input(text[action.end() : end])
        calls.append(read_call_value({"name": name, "arguments": given}))
        thoughts.append(thought)
    return Steps(tuple(calls), _joined(thoughts))


def read_answer(text: str) -> tuple[str, str] | None:
    """Return what a last step thinks and answers, or None for another text."""
    before, found, answer = text.partition(_ANSWER)
    before = before.strip()
    if not found or (before and not before.startswith(_THOUGHT)):
        return None
    return before.removeprefix(_THOUGHT).strip(), answer.strip()


def _read_object(text: str, before: str, is_declared: Callable[[str], bool]) -> Steps | None:
    try:
        calls = read_calls(_input(text)[0])
    except (ValueError, RecursionError):
        return None
    declared = any(is_declared(read.call.name) for read in calls)
    return Steps(calls, _joined([before])) if declared else None


def _input(text: str) -> tuple[str, str]:
    """Return an action's input, and the thought that leads to the next action."""
    text, _, result = text.partition("\n" + OBSERVATION)
    if result.strip():
        raise ValueError("the result of a call stands in the turn that makes it")
    text, _, thought = text.partition("\n" + _THOUGHT)
    text = text.strip()
    if text.startswith(_FENCE) and text.endswith(_FENCE):
        text = text.strip("`").removeprefix("json").strip()
    return text, thought


def _joined(thoughts: list[str]) -> str:
    return "\n".join(filter(None, (t.strip().removeprefix(_THOUGHT).strip() for t in thoughts)))
