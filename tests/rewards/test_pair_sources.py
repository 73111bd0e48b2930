"""Pairs of others: a user's rows, what cleaning found wrong, verdicts on replies; all counted."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings
from data.pairs import ReplyPair
from evaluation.failures import COULD_CALL, WRONG_VALUE
from rewards.pair_sources import negative_pairs, reply_pairs, user_pairs
from rewards.pair_tally import PairTally, counted_pairs

TOOL = {
    "type": "function",
    "function": {
        "name": "find_tide",
        "parameters": {
            "type": "object",
            "properties": {"port": {"type": "string"}, "days": {"type": "integer"}},
        },
    },
}
USER = {"role": "user", "content": "Tide at Hull?"}


def calling(written: bool = True, name: str = "find_tide", **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments) if written else arguments}
    call = {"id": "call00001", "type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def saying(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def written(file: Path, rows: Iterable[Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def read(pairs: Callable[..., Iterator[ReplyPair]], *given: Any) -> tuple[list[ReplyPair], Any]:
    tally = PairTally()
    return list(counted_pairs(pairs(*given, tally), tally, lambda _: False)), tally


def test_common_layouts_of_pairs_become_ours(tmp_path: Path) -> None:
    sides = {"chosen": [calling(port="Hull")], "rejected": [saying("Which port?")]}
    whole = {side: [USER, *turns] for side, turns in sides.items()}
    preferred = {"preferred_output": sides["chosen"], "non_preferred_output": sides["rejected"]}
    rows = [
        {"prompt": [USER], **sides, "tools": [TOOL]},
        {**whole, "tools": json.dumps([TOOL])},
        {"input": {"messages": [USER], "tools": [TOOL]}, **preferred},
    ]
    for row in rows:
        (pair,), tally = read(user_pairs, written(tmp_path / "mine.jsonl", [row]))
        assert (pair.kind, tally.read, tally.left_out.total()) == (COULD_CALL, 1, 0)
        assert pair.chosen.tool_calls[0].arguments == {"port": "Hull"}
        assert pair.rejected.content == "Which port?" and pair.made_by["from"] == "user"
        assert [message.role for message in pair.prompt.messages] == ["user"]


def test_our_own_rows_pass_through_unchanged(tmp_path: Path) -> None:
    row = {
        **{"id": "p", "source": "s", "sha256": "1", "tools": [TOOL], "messages": [USER]},
        **{"chosen": calling(False, port="Hull"), "rejected": calling(False, port="Goole")},
        **{"kind": WRONG_VALUE, "made_by": {"from": "hand"}},
    }
    (pair,), _ = read(user_pairs, written(tmp_path / "mine.jsonl", [row]))
    read_again = json.loads(pair.line)
    read_again["tools"][0]["function"].pop("description")
    assert read_again == row


def test_unusable_rows_are_counted_by_rule_with_their_first_case(tmp_path: Path) -> None:
    good = {"prompt": [USER], "chosen": [saying("Noon.")], "rejected": [saying("No.")]}
    rows = [
        good,
        {**good, "rejected": good["chosen"]},
        {**good, "chosen": [calling(port="Hull")]},
        {"prompt": "a", "completion": "b"},
        {"messages": [USER], "chosen": saying("a"), "rejected": saying("a")},
        good,
    ]
    pairs, tally = read(user_pairs, written(tmp_path / "mine.jsonl", rows))
    assert len(pairs) == 1 and tally.read == 6 == 1 + tally.left_out.total()
    rules = ("rejected-answer", "undeclared-function", "wrong-layout", "equal-sides", "copy")
    assert tally.left_out == dict.fromkeys(rules, 1)
    assert "row 1 (line 2): both answers are the same" in "\n".join(tally.lines())


def test_a_file_without_one_pair_is_an_error_that_says_why(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.jsonl", [{"messages": [USER]}] * 3)
    with pytest.raises(ValueError, match=r"no pair could be made of 3 rows, 3 for wrong-layout"):
        read(user_pairs, file)


def cleaned(tmp_path: Path, rows: list[dict[str, Any]], negatives: str = "pair") -> Path:
    clean = tmp_path / "clean.jsonl"
    source = written(tmp_path / "raw.jsonl", rows)
    clean_file(source, clean, settings=Settings(negatives=negatives))
    return clean


def row(port: str, answer: dict[str, Any], **marks: Any) -> dict[str, Any]:
    asked = {"role": "user", "content": f"Tide at {port}?"}
    return {"tools": [TOOL], "messages": [asked, answer], **marks}


ROWS = [
    row("Goole", calling(port="Paris"), label=False),
    row("Goole", calling(port="Goole"), label=True),
    row("Whitby", calling(port="Whitby", days="3")),
    row("Hull", calling(name="functions.find_tide", port="Hull")),
]


def test_negatives_and_repaired_calls_become_pairs(tmp_path: Path) -> None:
    pairs, tally = read(negative_pairs, cleaned(tmp_path, ROWS))
    assert tally.left_out.total() == 0 and tally.read == 3
    negative, repaired, renamed = pairs
    assert negative.rejected.tool_calls[0].arguments == {"port": "Paris"}
    assert negative.kind == repaired.kind == WRONG_VALUE
    assert repaired.chosen.tool_calls[0].arguments == {"port": "Whitby", "days": 3}
    assert repaired.rejected.tool_calls[0].arguments == {"port": "Whitby", "days": "3"}
    assert renamed.rejected.tool_calls[0].name == "functions.find_tide"
    assert {pair.made_by["from"] for pair in pairs} == {"negatives"}


def test_pairs_of_cleaning_are_read_alone_too(tmp_path: Path) -> None:
    cleaned(tmp_path, ROWS)
    pairs, _ = read(negative_pairs, tmp_path / "clean.pairs.jsonl")
    assert len(pairs) == 1


def test_a_report_of_another_file_gives_no_pairs(tmp_path: Path) -> None:
    clean = cleaned(tmp_path, ROWS)
    lines = clean.read_text().replace('"days": 3', '"days": 4')
    clean.write_text(lines)
    pairs, tally = read(negative_pairs, clean)
    assert len(pairs) == 2 and tally.left_out == {"no-layout": 1}


def test_a_file_that_was_not_cleaned_names_the_next_command(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(FileNotFoundError, match=r"neither rows\.pairs\.jsonl nor .* --negatives"):
        read(negative_pairs, file)


def verdict(prompt: str, reply: dict[str, Any], right: bool, **more: Any) -> dict[str, Any]:
    asked = [{"role": "user", "content": prompt}]
    kind = None if right else WRONG_VALUE
    known = {"id": prompt, "tools": [TOOL], "messages": asked, "tokens": 3, "kind": kind}
    return {**known, "reply": reply, "right": right, **more}


def test_right_and_wrong_replies_to_a_prompt_become_different_pairs(tmp_path: Path) -> None:
    good = [calling(False, port="Hull"), calling(False, port="Hull", days=1)]
    bad = [calling(False, port=port) for port in ("Goole", "Paris", "Goole")]
    rows = [verdict("a", reply, True) for reply in good]
    rows += [verdict("a", reply, False) for reply in bad]
    rows += [verdict("b", good[0], True), verdict("c", bad[0], False)]
    file = written(tmp_path / "verdicts.jsonl", rows)
    for most, count in ((1, 1), (3, 3), (9, 4)):
        pairs, tally = read(reply_pairs, file, most, 1)
        assert len({pair.line for pair in pairs}) == len(pairs) == count
        assert tally.left_out == {"one-sided": 2} and tally.read == 3
        for pair in pairs:
            assert pair.kind == WRONG_VALUE and pair.made_by["from"] == "replies"
            assert pair.chosen.tool_calls[0].arguments["port"] == "Hull"
    assert len({pair.id for pair in pairs}) == 4


def test_an_empty_wrong_reply_is_a_side_like_others(tmp_path: Path) -> None:
    rows = [verdict("a", saying("Noon."), True), verdict("a", saying(""), False)]
    pairs, _ = read(reply_pairs, written(tmp_path / "v.jsonl", rows), 2, 1)
    assert [pair.rejected.content for pair in pairs] == [""]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"right": 1}, "not-canonical"),
        ({"reply": None}, "no-layout"),
        ({"messages": 3}, "not-canonical"),
        ({"reply": {"role": "robot"}}, "no-reply"),
    ],
)
def test_damaged_verdicts_are_counted(tmp_path: Path, change: dict[str, Any], rule: str) -> None:
    rows = [verdict("a", saying("Noon."), True), verdict("a", saying("a"), False)]
    rows.append(verdict("b", saying("b"), False) | change)
    _, tally = read(reply_pairs, written(tmp_path / "v.jsonl", rows), 2, 1)
    assert tally.left_out == {rule: 1}


def test_held_out_pairs_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        {"prompt": [USER], "chosen": [saying(text)], "rejected": [saying("No.")]} for text in "ab"
    ]
    file, tally = written(tmp_path / "mine.jsonl", rows), PairTally()
    kept = counted_pairs(user_pairs(file, tally), tally, lambda pair: pair.chosen.content == "a")
    assert [pair.chosen.content for pair in kept] == ["b"]
    assert tally.left_out == {"held-out": 1}
