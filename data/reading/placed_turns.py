"""Read turns that a layout has written anew in OpenAI's shape, each with its place in its row."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from data.outcomes import Rejected
from data.reading.turns import PLAIN, Style, Turns, read_turns

# A turn in OpenAI's shape, and the JSON pointer of what it was made from.
PlacedTurn = tuple[str, Any]


def read_placed(turns: Iterable[PlacedTurn], style: Style = PLAIN) -> Turns:
    """Read turns as `read_turns` does; repairs and rejections point to where each came from."""
    placed = list(turns)
    places = [place for place, _ in placed]
    try:
        found = read_turns([turn for _, turn in placed], "", style)
    except Rejected as rejected:
        where = _place(rejected.pointer, places)
        raise Rejected(rejected.rule, where, rejected.reason, rejected.excerpt) from rejected
    changes = (replace(c, pointer=_place(c.pointer, places)) for c in found.changes)
    return Turns(found.messages, tuple(changes), tuple(_place(p, places) for p in found.places))


def open_turn(turn: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a copy of an assistant's turn to whose `tool_calls` those that follow can be added.

    None for a turn of others, and for one that holds calls of its own.
    """
    if turn.get("role") != "assistant" or turn.get("tool_calls"):
        return None
    return {**turn, "tool_calls": []}


def _place(pointer: str, places: list[str]) -> str:
    """Return where the turn stood that a pointer into the new turns begins with."""
    return places[int(pointer.split("/")[1])]
