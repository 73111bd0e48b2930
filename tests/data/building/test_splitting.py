"""Splitting: copies fall together, and by tools no tool is in both splits."""

import json
from pathlib import Path

import pytest

from chat.conversation import Conversation, Message, Tool
from data.building.splitting import (
    group_tools,
    load_places,
    place_by_content,
    place_by_tools,
    save_places,
)
from data.cleaning.clean_file import clean_file
from data.conversations import read_conversations


def conversation(text: str, *tools: Tool) -> Conversation:
    return Conversation((Message("user", text), Message("assistant", "hi")), tools)


def tool(name: str, description: str = "") -> Tool:
    return Tool(name, description, {"type": "object", "properties": {}})


def chain(start: int, length: int) -> list[Conversation]:
    """Conversations of which each shares one tool with the next."""
    return [
        conversation(f"{start} {i}", tool(f"f{start}_{i}"), tool(f"f{start}_{i + 1}"))
        for i in range(length)
    ]


def test_split_by_tools_separates_names_and_definitions() -> None:
    rows = [row for start in range(60) for row in chain(start, 1 + start % 4)]
    rows += [conversation(f"renamed {i}", tool(f"other{i}", f"does {i}")) for i in range(50)]
    rows += [conversation(f"again {i}", tool(f"another{i}", f"does {i}")) for i in range(50)]
    places = group_tools(rows).places(0.2)
    validate = [row for row in rows if place_by_tools(row, places) < 0.2]
    train = [row for row in rows if place_by_tools(row, places) >= 0.2]
    assert 0.15 < len(validate) / len(rows) <= 0.2
    for what in (lambda t: t.name, lambda t: t.description or t.name):
        of = [{what(t) for row in split for t in row.tools} for split in (validate, train)]
        assert not of[0] & of[1]


def test_places_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    places = group_tools([*chain(0, 3), *chain(1, 2)]).places(0.4)
    save_places(tmp_path / "places.npy", places)
    assert load_places(tmp_path / "places.npy") == places


def test_split_does_not_depend_on_the_order_of_rows() -> None:
    rows = [row for start in range(20) for row in chain(start, 2)]
    places, turned = group_tools(rows).places(0.3), group_tools(rows[::-1]).places(0.3)
    assert places == turned


def test_group_larger_than_the_validation_share_trains() -> None:
    rows = chain(0, 90) + [conversation(str(i), tool(f"g{i}")) for i in range(10)]
    places = group_tools(rows).places(0.1)
    assert [place_by_tools(row, places) < 0.1 for row in rows] == [False] * 90 + [True] * 10


def test_smallest_group_validates_when_no_group_fits() -> None:
    rows = [*chain(0, 3), *chain(1, 2)]
    places = group_tools(rows).places(0.01)
    assert sum(place_by_tools(row, places) < 0.01 for row in rows) == 2


def test_tools_that_form_one_group_cannot_be_split() -> None:
    with pytest.raises(ValueError, match=r"all 9 conversations .* --split-by conversation"):
        group_tools(chain(0, 9)).places(0.15)


def test_conversations_without_tools_are_placed_by_their_content() -> None:
    plain = conversation("hello")
    places = group_tools([plain, *chain(0, 1), *chain(1, 1)]).places(0.5)
    assert place_by_tools(plain, places) == place_by_content(plain)
    assert group_tools([plain]).places(0.5) == {}


def test_real_rows_are_split_by_their_tools(shared: Path, tmp_path: Path) -> None:
    source = shared / "glaive_v2_raw" / "reconstructed_layout.en_part.json"
    clean_file(source, tmp_path / "clean.jsonl")
    rows = list(read_conversations(tmp_path / "clean.jsonl"))
    places = group_tools(rows).places(0.15)
    names: dict[bool, set[str]] = {True: set(), False: set()}
    count = 0
    for row in rows:
        validates = place_by_tools(row, places) < 0.15
        count += validates
        names[validates] |= {json.dumps(tool.name) for tool in row.tools}
    assert not names[True] & names[False] and 0.05 < count / len(rows) < 0.25
