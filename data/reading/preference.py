"""Two answers to one prompt: TRL's `prompt`, `chosen`, `rejected`, and OpenAI's preference rows.

The conversation ends in the chosen answer; cleaning writes both answers as a pair too.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from data.outcomes import Change, Draft, Rejected, excerpt_of
from data.reading.declarations import read_tools
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.prompt_completion import said
from data.reading.rendered import is_rendered, read_text

_TRL = ("chosen", "rejected")
_OPENAI = ("preferred_output", "non_preferred_output")
# What TRL's rows and those of LLaMA-Factory and others call the turns before the answers.
_PROMPTS = ("prompt", "conversations", "messages", "question", "instruction")
_ALPACA = ("instruction", "input")


def read(value: Any) -> Draft:
    """Read one row; one whose rejected answer cannot be read has the chosen one alone."""
    chosen_key, rejected_key = _TRL if _has_answers(value, _TRL) else _OPENAI
    chosen = _read(value, chosen_key)
    try:
        rejected = _read(value, rejected_key)
    except Rejected as why:
        change = Change("rejected-answer", why.pointer, value[rejected_key], why.reason)
        return replace(chosen, changes=(*chosen.changes, change))
    return replace(chosen, rejected=rejected)


def _read(value: Any, key: str) -> Draft:
    """Read the conversation that ends in the answer under a key."""
    answer = value[key]
    prompt = next((value[name] for name in _PROMPTS if value.get(name)), "")
    if isinstance(answer, str) and is_rendered(prompt or answer):
        return read_text(str(prompt) + answer, value.get("tools"), "/" + key)
    holder, where = (value["input"], "/input") if key in _OPENAI else (value, "")
    tools = read_tools(holder.get("tools"), where + "/tools")
    turns = read_placed((*_prompt(value, key), *said(value, key, "assistant")))
    return draft(turns, tools, value.get("system"), "/system")


def _prompt(value: Any, key: str) -> Iterable[PlacedTurn]:
    """Return the turns before an answer; none where the answer begins with them itself."""
    if key in _OPENAI:
        return (
            (f"/input{place}", turn) for place, turn in said(value["input"], "messages", "user")
        )
    answer = value[key]
    first = answer[0] if isinstance(answer, list) and answer else {}
    if isinstance(first, dict) and first.get("role", first.get("from")) not in _ASSISTANTS:
        return ()
    asked = next((name for name in _PROMPTS if value.get(name)), None)
    if asked is None:
        reason = "an answer needs its prompt before or beside it, or the marks of a chat format"
        raise Rejected("wrong-layout", "/" + key, reason, excerpt_of(answer))
    texts = all(isinstance(value.get(name), str) for name in _ALPACA)
    if asked == "instruction" and texts and value["input"]:
        return [("/instruction", {"role": "user", "content": "\n".join(map(value.get, _ALPACA))})]
    return said(value, asked, "user")


_ASSISTANTS = ("assistant", "gpt", "model", "function_call", None)


def _recognises(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    if _has_answers(row, _TRL):
        return isinstance(row.get("prompt"), str | list | None)
    asked = row.get("input")
    return _has_answers(row, _OPENAI) and isinstance(asked, dict) and "messages" in asked


def _has_answers(row: dict[str, Any], keys: tuple[str, str]) -> bool:
    return all(isinstance(row.get(key), list | str | dict) for key in keys)


SOURCE = Source(
    looks_like='{"prompt": [...], "chosen": [{"role": "assistant", ...}], "rejected": [...]}',
    recognises=_recognises,
    read=read,
    told_by="the keys chosen and rejected, or preferred_output and non_preferred_output",
)
