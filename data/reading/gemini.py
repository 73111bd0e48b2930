"""Gemini's `contents` of `parts`: texts, calls (`functionCall`) and results of the user's turns.

Keys may be written as REST writes them or as Python does (`function_call`).
"""

from collections.abc import Iterator
from typing import Any

from data.outcomes import Draft, Rejected, excerpt_of, pointer
from data.reading.contents import read_content
from data.reading.declarations import Declarations, read_tools
from data.reading.labels import label_of
from data.reading.layout import Source, draft
from data.reading.placed_turns import PlacedTurn, read_placed
from data.reading.turns import listed


def read(value: Any) -> Draft:
    """Read one row; the results of a content stand before what is said in it."""
    contents = listed(value["contents"], "/contents")
    turns = read_placed(turn for i, item in enumerate(contents) for turn in _turns(item, i))
    key = next((key for key in _SYSTEM if value.get(key)), _SYSTEM[0])
    system = value.get(key)
    if isinstance(system, dict):
        system = read_content(_parts(system, "/" + key), "/" + key).text
    return draft(turns, _tools(value.get("tools")), system, "/" + key)


_SYSTEM = ("systemInstruction", "system_instruction")


def _tools(groups: Any) -> Declarations:
    """Read the functions of each group; a group without any is a tool of the service itself."""
    found = Declarations()
    groups = [groups] if isinstance(groups, dict) else groups
    for i, group in enumerate(listed(groups, "/tools") if groups else ()):
        where = f"/tools/{i}"
        functions = _part(group, "functionDeclarations") if isinstance(group, dict) else None
        if functions is None:
            read = read_tools([group], "/tools")
        else:
            read = read_tools(functions, f"{where}/functionDeclarations")
        found = Declarations(found.tools + read.tools, found.changes + read.changes)
    return found


def _turns(content: Any, i: int) -> Iterator[PlacedTurn]:
    place = "/contents" + pointer(i)
    if not isinstance(content, dict):
        raise Rejected("wrong-layout", place, "a content must be an object", excerpt_of(content))
    texts, thoughts, calls = list[str](), list[str](), list[Any]()
    for part in _parts(content, place):
        if (result := _part(part, "functionResponse")) is not None:
            yield place, _result(result)
        elif (call := _part(part, "functionCall")) is not None:
            calls.append(call)
        elif isinstance(text := part.get("text"), str):
            (thoughts if part.get("thought") is True else texts).append(text)
        elif part.keys() - {"thoughtSignature", "thought_signature", "thought"}:
            reason = f"a part with the keys {', '.join(part)} cannot be learned from"
            raise Rejected("wrong-layout", place, reason, excerpt_of(part))
    if texts or calls or thoughts:
        turn = {"role": content.get("role") or "user", "content": "".join(texts)}
        turn |= {"tool_calls": calls} if calls else {}
        turn |= {"reasoning_content": "".join(thoughts)} if thoughts else {}
        turn |= label_of(content)
        yield place, turn


def _result(result: Any) -> dict[str, Any]:
    held = result if isinstance(result, dict) else {"response": result}
    number = {"tool_call_id": held["id"]} if held.get("id") else {}
    return {"role": "tool", "name": held.get("name"), "content": held.get("response"), **number}


def _parts(content: dict[str, Any], place: str) -> list[dict[str, Any]]:
    parts = listed(content.get("parts"), place + "/parts")
    for part in parts:
        if not isinstance(part, dict):
            reason = "a part must be an object"
            raise Rejected("wrong-layout", place + "/parts", reason, excerpt_of(part))
    return parts


def _part(part: dict[str, Any], key: str) -> Any:
    """Return what stands under a key, written in either way; None without it."""
    snake = "".join("_" + c.lower() if c.isupper() else c for c in key)
    return part.get(key, part.get(snake))


SOURCE = Source(
    looks_like='{"contents": [{"role": "user", "parts": [{"text": "..."}]}, ...], "tools": [...]}',
    recognises=lambda row: isinstance(row, dict) and isinstance(row.get("contents"), list | str),
    read=read,
)
