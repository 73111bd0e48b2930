"""Rows that say that they show what not to do, and rows of two answers: dropped, or pairs."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings

TOOL = {
    "type": "function",
    "function": {
        "name": "find_tide",
        "parameters": {"type": "object", "properties": {"port": {"type": "string"}}},
    },
}


def row(port: str, answer: str | dict[str, Any], **marks: Any) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": "assistant", "content": answer}
    if isinstance(answer, dict):
        call = {"name": "find_tide", "arguments": json.dumps(answer)}
        turn = {"role": "assistant", "tool_calls": [{"type": "function", "function": call}]}
    asked = {"role": "user", "content": f"Tide at {port}?"}
    return {"tools": [TOOL], "messages": [asked, turn], **marks}


ROWS = [
    row("Goole", {"port": "Paris"}, reward=0.0),
    row("Hull", "Find out yourself.", label=False),
    row("Goole", {"port": "Goole"}, reward=1.0),
    row("Whitby", {"port": "Whitby"}, label=True),
    row("Whitby", {"harbour": "Whitby"}, win=False),
    row("Goole", {"port": "Paris"}, label="False"),
    row("Whitby", {"port": "Whitby"}, label=False),
]


def cleaned(tmp_path: Path, rows: list[dict[str, Any]], **settings: Any) -> dict[str, Any]:
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, report = clean_file(source, tmp_path / "clean.jsonl", settings=Settings(**settings))
    found: dict[str, Any] = json.loads(report.read_text())
    assert found["input"] == found["kept"] + found["repaired"] + found["rejected"] == len(rows)
    return found


def pairs(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "clean.pairs.jsonl").read_text().splitlines()]


def called(messages: list[dict[str, Any]]) -> Any:
    return messages[0]["tool_calls"][0]["function"]["arguments"]


def test_negatives_are_rejected_by_name_and_by_default(tmp_path: Path) -> None:
    report = cleaned(tmp_path, ROWS)
    assert (report["kept"], report["rejected"]) == (2, 5)
    assert [entry["row"] for entry in report["rejections"]] == [0, 1, 4, 5, 6]
    assert {entry["rule"] for entry in report["rejections"]} == {"negative"}
    assert report["rules"]["negative"]["kept_with"].startswith("--negatives pair")
    assert not (tmp_path / "clean.pairs.jsonl").exists()


def test_negatives_are_paired_with_kept_rows_of_equal_prompt(tmp_path: Path) -> None:
    report = cleaned(tmp_path, ROWS, negatives="pair")
    assert (report["kept"], report["rejected"]) == (2, 5)
    # One asks what no kept row asks, one is a pair already, one is labelled both ways.
    wanted = {"written": 2, "of_rows": 0, "of_negatives": 2, "negatives_without_partner": 2}
    assert report["pairs"] == {"file": "clean.pairs.jsonl", **wanted}
    first, second = pairs(tmp_path)
    assert first["id"] == "openai-2 openai-0" and first["tools"][0]["function"]["name"]
    assert first["prompt"] == [{"role": "user", "content": "Tide at Goole?"}]
    assert (called(first["chosen"]), called(first["rejected"])) == (
        {"port": "Goole"},
        {"port": "Paris"},
    )
    assert called(second["rejected"]) == {"harbour": "Whitby"}


def test_chosen_answer_may_stand_in_the_middle_of_a_row(tmp_path: Path) -> None:
    longer = row("Hull", "At noon.")
    longer["messages"] += [{"role": "user", "content": "Thanks."}, longer["messages"][1]]
    bad = row("Hull", "Who knows.", label=False)
    assert cleaned(tmp_path, [longer, bad], negatives="pair")["pairs"]["written"] == 1
    assert pairs(tmp_path)[0]["chosen"] == [{"role": "assistant", "content": "At noon."}]


def test_pairs_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    cleaned(tmp_path, ROWS, negatives="pair")
    cleaned(tmp_path, ROWS)
    assert pairs(tmp_path) == []


def test_rows_of_two_answers_become_conversations_and_pairs(tmp_path: Path) -> None:
    answers = [("Noon.", "No."), ("Noon.", "Never."), ("Noon.", "No."), ("Two.", "Two.")]
    keys = ("prompt", "chosen", "rejected")
    sides = [*answers, ("Three.", "")]
    rows = [dict(zip(keys, ("Tide?", *side), strict=True)) for side in sides]
    report = cleaned(tmp_path, rows)
    assert (report["kept"], report["repaired"], report["rejected"]) == (1, 2, 2)
    assert [pair["rejected"][0]["content"] for pair in pairs(tmp_path)] == ["No.", "Never."]
    assert report["pairs"]["of_rows"] == 2
    assert [entry["rule"] for entry in report["repairs"]] == ["rejected-answer"] * 2


def test_repairs_of_a_rejected_answer_are_noted(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": "Tide?"}]
    thought = [{"role": "assistant", "content": "<think>Hm.</think>\nWho knows.</s>"}]
    rows = [{"prompt": prompt, "chosen": "Noon.", "rejected": thought}]
    report = cleaned(tmp_path, [*rows, {**rows[0], "rejected": "<think>Ah.</think>\nNever."}])
    assert (report["repaired"], report["rejected"]) == (1, 1)
    noted = [(entry["row"], entry["rule"], entry["pointer"]) for entry in report["repairs"]]
    where = "/rejected/messages/1/content"
    assert noted == [(0, "reasoning", where), (0, "end-mark", where), (1, "reasoning", where)]


def test_a_repair_of_the_prompt_is_noted_once(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Tide\u0007?"}, {"role": "assistant", "content": "Noon."}]
    rows = [{"prompt": turns[:1], "chosen": turns[1:], "rejected": "No."}]
    assert cleaned(tmp_path, rows)["rules"]["control-characters"]["count"] == 1
    assert len(json.loads((tmp_path / "clean.report.json").read_text())["repairs"]) == 1


def test_negatives_may_call_what_is_not_declared(tmp_path: Path) -> None:
    bad = row("Goole", {"port": "<token>"}, label=False)
    bad["messages"][1]["tool_calls"][0]["function"]["name"] = "find_port"
    bad["messages"][1]["tool_calls"][0]["function"]["arguments"] = {"port": "<token>"}
    report = cleaned(tmp_path, [bad, row("Goole", {"port": "Goole"})], negatives="pair")
    assert report["pairs"]["of_negatives"] == 1
    assert called(pairs(tmp_path)[0]["rejected"]) == {"port": "<token>"}


def test_contradictions_are_all_dropped_with_the_switch(tmp_path: Path) -> None:
    rows = [row("Hull", {"port": port}) for port in ("Hull", "Goole", "Hull")]
    rows += [row("Whitby", {"port": "Whitby"})]
    rows[2]["messages"].append({"role": "tool", "content": "14:20"})
    rows[2]["messages"].append({"role": "assistant", "content": "At 14:20."})
    report = cleaned(tmp_path, rows, contradictions="drop")
    assert [entry["row"] for entry in report["rejections"]] == [0, 1, 2]
    assert report["rules"]["contradictory-labels"]["count"] == 3
    assert report["rejections"][0]["reason"].endswith("openai-1")


def test_values_of_the_switches_are_checked() -> None:
    for flag in ("duplicates", "contradictions", "negatives"):
        with pytest.raises(ValueError, match=f"--{flag} is 'odd', wanted "):
            Settings(**{flag: "odd"})
