"""ToolLLaMA: ToolBench's rows for training, with steps of Thought, Action and Action Input.

The APIs stand as Python's repr in the system text, which else says how to write a step.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from data.outcomes import Change, Draft, Rejected, pointer
from data.reading.labels import label_of
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.react import ACTION
from data.reading.system_text import read_system
from data.reading.turns import listed

_LEAD_IN = "You are AutoGPT, you can use many tools"
_BEGIN = "Begin!"


def read(value: Any) -> Draft:
    """Read one row; `Finish`, a declared function, stays the call that ends it."""
    found = listed(value["conversations"], "/conversations")
    text = found[0]["value"]
    declarations = read_system(text, "/conversations/0/value").declarations
    turns = read_placed(
        turn
        for i, said in enumerate(found[1:], 1)
        for turn in _turn(said, "/conversations" + pointer(i))
    )
    lost = Change("foreign-instructions", "/conversations/0/value", text, None)
    return draft(replace(turns, changes=(lost, *turns.changes)), declarations)


def _turn(turn: Any, place: str) -> Iterator[PlacedTurn]:
    text = turn.get("value") if isinstance(turn, dict) else None
    speaker = turn.get("from") if isinstance(turn, dict) else None
    if not isinstance(text, str):
        yield place, turn
    elif speaker == "user":
        yield place, {"role": "user", "content": text.strip().removesuffix(_BEGIN).strip()}
    elif speaker == "assistant":
        yield place, {**_step(text, place), **label_of(turn)}
    else:
        yield place, turn


def _step(text: str, place: str) -> dict[str, Any]:
    """Return a step as a turn: its thought is reasoning, its action a call."""
    found = ACTION.search(text)
    thought = (text[: found.start()] if found else text).strip()
    if found is None:
        if "Action:" in text:
            raise Rejected("unreadable-call", place, "an Action without its Action Input", text)
        return {"role": "assistant", "content": thought.removeprefix("Thought:").strip()}
    call = {"name": found["name"].strip(), "arguments": text[found.end() :].strip()}
    turn = {"role": "assistant", "content": "", "tool_calls": [call]}
    thought = thought.removeprefix("Thought:").strip()
    return {**turn, "reasoning_content": thought} if thought else turn


def _recognises(row: Any) -> bool:
    turns = row.get("conversations") if isinstance(row, dict) else None
    return (
        isinstance(turns, list)
        and bool(turns)
        and isinstance(turns[0], dict)
        and turns[0].get("from") == "system"
        and isinstance(turns[0].get("value"), str)
        and turns[0]["value"].lstrip().startswith(_LEAD_IN)
    )


SOURCE = Source(
    looks_like='{"conversations": [{"from": "system", "value": "You are AutoGPT, ..."}, ...]}',
    recognises=_recognises,
    read=read,
    told_by="a system text that begins with ToolBench's words",
)
