import json
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import ToolCall
from chat.formats.call_syntax import Reply
from evaluation.failures import (
    COULD_CALL,
    EMPTY,
    MISSING,
    NEEDLESS,
    NO_TOOL_WANTED,
    UNREADABLE,
    WRONG_TOOL,
    WRONG_VALUE,
    count_failures,
    failure_type,
    failures_line,
)
from evaluation.items import Item
from evaluation.results import Judged
from evaluation.scoring.calls import score
from inference.chat_model import Answer

WANTED = [ToolCall("book", {"city": "Oslo", "nights": 2})]


def record(wanted: list[ToolCall], reply: Reply) -> dict[str, Any]:
    item = Item("a/1", "a", "call", None, None, lambda found: score(wanted, found))  # type: ignore[arg-type]
    return Judged(item, Answer("", reply, True), item.judge(reply)).to_record()


def calling(**arguments: Any) -> Reply:
    return Reply("", (ToolCall("book", arguments),))


@pytest.mark.parametrize(
    ("wanted", "reply", "type"),
    [
        (WANTED, calling(city="Oslo", nights=2), None),
        (WANTED, calling(city="Oslo", nights=3), WRONG_VALUE),
        (WANTED, calling(city="Oslo"), MISSING),
        (WANTED, calling(city="Oslo", nights=2, pets=1), NEEDLESS),
        (WANTED, Reply("", (ToolCall("cancel", {}),)), WRONG_TOOL),
        (WANTED * 2, calling(city="Oslo", nights=2), WRONG_TOOL),
        (WANTED, Reply("Which city?"), COULD_CALL),
        (WANTED, Reply("", (), "no closing brace"), UNREADABLE),
        (WANTED, Reply(""), EMPTY),
        ([], calling(city="Oslo"), NO_TOOL_WANTED),
        ([], Reply("", (), "no closing brace"), NO_TOOL_WANTED),
        ([], Reply("Hello!"), None),
    ],
)
def test_a_wrong_reply_has_one_type(wanted: list[ToolCall], reply: Reply, type: str | None):
    assert failure_type(record(wanted, reply)) == type


def test_failures_are_counted_by_type_the_most_frequent_first(tmp_path: Path):
    replies = [calling(city="Rome", nights=2), calling(city="Oslo"), calling(city="Rome", nights=1)]
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"verdicts": [record(WANTED, reply) for reply in replies]}))
    counts = count_failures(file)
    assert sum(counts.values()) == 3
    assert failures_line(counts) == "2 wrong value, 1 missing argument"
    assert failures_line({}) == "no failures"
