"""Pairs of replies: read as they were written, and refused in one line that says why."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pair_files import read_pairs

from data.pairs import RULES, ReplyPair, UnusablePair, said, write_pairs

TOOL = {
    "type": "function",
    "function": {
        "name": "find_tide",
        "description": "Find a tide.",
        "parameters": {
            "type": "object",
            "properties": {"port": {"type": "string"}},
            "required": ["port"],
        },
    },
}


def calling(arguments: dict[str, Any], name: str = "find_tide") -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def saying(text: str, role: str = "assistant") -> dict[str, Any]:
    return {"role": role, "content": text}


def record(**changes: Any) -> dict[str, Any]:
    return {
        "id": "a",
        "source": "made",
        "sha256": "0" * 64,
        "tools": [TOOL],
        "messages": [saying("Tide at Hull?", "user")],
        "chosen": calling({"port": "Hull"}),
        "rejected": calling({"port": "Goole"}),
        "kind": "wrong value",
        "made_by": {"from": "test"},
        **changes,
    }


def test_a_pair_comes_back_as_it_was_written(tmp_path: Path) -> None:
    pairs = [ReplyPair.from_record(record()), ReplyPair.from_record(record(id="b", kind="user"))]
    assert write_pairs(tmp_path / "pairs.jsonl", pairs) == 2
    assert list(read_pairs(tmp_path / "pairs.jsonl")) == pairs
    assert json.loads(pairs[0].line) == record()


def test_a_pair_without_origin_is_named_by_its_file_and_row(tmp_path: Path) -> None:
    bare = {key: record()[key] for key in ("tools", "messages", "chosen", "rejected")}
    (tmp_path / "mine.jsonl").write_text(json.dumps(bare) + "\n")
    (pair,) = read_pairs(tmp_path / "mine.jsonl")
    assert (pair.id, pair.prompt.source, pair.kind) == ("mine-0", "mine.jsonl", "user")
    assert len(pair.prompt.sha256) == 64


def test_only_the_reply_of_each_side_is_learnt() -> None:
    before = [saying("Hi", "user"), saying("Hello."), saying("Tide at Hull?", "user")]
    for side in ReplyPair.from_record(record(messages=before)).sides:
        learnt = [message.trained for message in side.messages if message.role == "assistant"]
        assert learnt == [False, True]


def test_prompts_that_differ_in_marks_alone_are_the_same() -> None:
    before = [saying("Hi", "user"), saying("Hello."), saying("Tide at Hull?", "user")]
    marked = [before[0], {**before[1], "trained": False}, before[2]]
    one, other = (ReplyPair.from_record(record(messages=turns)) for turns in (before, marked))
    assert one.prompt_sha256 == other.prompt_sha256


@pytest.mark.parametrize(
    ("changes", "rule", "message"),
    [
        ({"chosen": None}, "no-layout", "chosen must be one message, an object, found NoneType"),
        ({"rejected": [saying("a")]}, "no-layout", "rejected must be one message"),
        ({"kind": 3}, "no-layout", "kind must be a text"),
        ({"made_by": "me"}, "no-layout", "made_by an object"),
        ({"tools": 3}, "no-layout", "tools must be a list"),
        ({"rejected": saying("\ud800")}, "no-layout", "surrogates not allowed"),
        ({"rejected": calling({"port": float("nan")})}, "no-layout", "not JSON"),
        ({"messages": []}, "no-prompt", "messages end with nothing"),
        ({"messages": [saying("a")]}, "no-prompt", "messages end with assistant"),
        ({"chosen": saying("a", "user")}, "no-reply", "chosen is a turn of role 'user'"),
        ({"rejected": {"content": "a"}}, "no-reply", "rejected.role is None"),
        ({"chosen": saying(" ")}, "no-reply", "chosen is empty"),
        ({"rejected": calling({"port": "Hull"})}, "equal-sides", "the same reply"),
        ({"chosen": saying("a "), "rejected": saying("a")}, "equal-sides", "the same reply"),
        ({"chosen": calling({}, "go")}, "unfit-call", "chosen calls go, which is no offered tool"),
        ({"chosen": calling({"port": 3})}, "unfit-call", "chosen calls find_tide/port: 3 is not"),
        ({"tools": []}, "unfit-call", "no offered tool (there is none)"),
        ({"tools": [TOOL, TOOL]}, "unusable-tool", "2 tools have the name find_tide"),
        (
            {"tools": [{"name": "a", "parameters": {"type": "object", "required": 3}}]},
            "unusable-tool",
            "the schema of a is wrong",
        ),
    ],
)
def test_an_unusable_pair_is_refused_with_its_rule(
    changes: dict[str, Any], rule: str, message: str
) -> None:
    with pytest.raises(UnusablePair, match=re.escape(message)) as refused:
        ReplyPair.from_record(record(**changes))
    assert refused.value.rule == rule and rule in RULES


@pytest.mark.parametrize("value", [None, [], "text", {"prompt": "a", "chosen": "b"}])
def test_what_holds_no_two_replies_is_refused(value: Any) -> None:
    with pytest.raises(UnusablePair, match="wanted messages, chosen and rejected, found"):
        ReplyPair.from_record(value)


def test_a_refusal_names_file_line_and_next_command(tmp_path: Path) -> None:
    lines = [record(), record(rejected=record()["chosen"])]
    file = tmp_path / "my pairs.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match=r"row 1 \(line 2\) is no pair: .* the same") as refused:
        list(read_pairs(file))
    assert f"make_pairs.py --from user --source-file '{file}'" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_rejected_reply_may_call_what_no_tool_allows() -> None:
    pair = ReplyPair.from_record(record(rejected=calling({"harbour": 3}, "go")))
    assert pair.rejected.tool_calls[0].name == "go"


def test_replies_are_alike_whatever_ids_and_order_of_keys_and_calls() -> None:
    one, other = calling({"a": 1, "b": 2}), calling({"b": 2, "a": 1})
    other["tool_calls"][0]["id"] = "c2"
    first, second = one["tool_calls"][0], calling({}, "z")["tool_calls"][0]
    both = [{**one, "tool_calls": calls} for calls in ([first, second], [second, first])]
    for left, right in ((one, other), both):
        pair = ReplyPair.from_record(record(chosen=saying("no"), rejected=left))
        assert said(pair.rejected) == said(
            ReplyPair.from_record(record(chosen=saying("no"), rejected=right)).rejected
        )
