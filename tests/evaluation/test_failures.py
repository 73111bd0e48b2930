import json
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation, Message, ToolCall
from chat.formats.call_syntax import Reply
from evaluation.failures import (
    BROKEN,
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
from evaluation.results import Judged, Results, failure_lines
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
def test_a_wrong_reply_has_one_type(wanted: list[ToolCall], reply: Reply, type: str | None) -> None:
    assert failure_type(record(wanted, reply)) == type


@pytest.mark.parametrize(
    ("text", "whole", "type"),
    [("Which", False, BROKEN), ("\ufffd_gy_gy", True, BROKEN), ("Which city?", True, COULD_CALL)],
)
def test_a_broken_text_is_no_question(text: str, whole: bool, type: str) -> None:
    item = Item("a/1", "a", "call", None, None, lambda found: score(WANTED, found))  # type: ignore[arg-type]
    judged = Judged(item, Answer(text, Reply(text), whole), item.judge(Reply(text)))
    assert failure_type(judged.to_record()) == type


def test_broken_texts_counted_right_are_told_and_listed() -> None:
    said = [("Hello!", True), ("\ufffd_gy", True), *[("and so on and", False)] * 21, ("", True)]
    asked = Conversation((Message("user", "Hi"),))
    judged = [
        Judged(item, Answer(text, Reply(text), whole), item.judge(Reply(text)))
        for number, (text, whole) in enumerate(said)
        for item in [Item(f"{number}/1", "a", "no_call", asked, "Hi", lambda r: score([], r))]
    ]
    results = Results(judged, len(judged), {})
    told = "22 of 23 replies counted right as texts were cut off at the limit (never ended)"
    assert told in results.headline
    counts = results.to_record()["summary"]
    assert (counts["right_texts"], counts["right_texts_broken"]) == (23, 22)
    lines = list(failure_lines(results))
    [place] = [place for place, line in enumerate(lines) if line.startswith(told)]
    assert lines[place].endswith("; the first 20:")
    assert [line for line in lines[place:] if line.startswith("==")] == [
        f"== {number}/1 (no_call)" for number in range(1, 21)
    ]


def test_failures_are_counted_by_type_the_most_frequent_first(tmp_path: Path) -> None:
    replies = [calling(city="Rome", nights=2), calling(city="Oslo"), calling(city="Rome", nights=1)]
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"verdicts": [record(WANTED, reply) for reply in replies]}))
    counts = count_failures(file)
    assert sum(counts.values()) == 3
    assert failures_line(counts) == "2 wrong value, 1 missing argument"
    assert failures_line({}) == "no failures"
