"""Rows that declare no tools: those of a file are offered; without one the loss is told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Tool
from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings
from data.cleaning.supplied_tools import SuppliedTools
from data.conversations import read_conversations

PORT = {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]}
TIDE = Tool("find_tide", "Finds the next high tide.", PORT)
FERRY = Tool("find_ferry", "Finds a ferry.", PORT)
TALK = [("human", "Good day."), ("gpt", "Good day to you.")]


def calling(arguments: str) -> list[tuple[str, str]]:
    call = f'{{"name": "find_tide", "arguments": {arguments}}}'
    return [
        ("human", f"Tide for {arguments}?"),
        ("function_call", call),
        ("observation", "14:20"),
        ("gpt", "At 14:20."),
    ]


def write(file: Path, *rows: list[tuple[str, str]], tools: list[Any] | None = None) -> Path:
    found = []
    for turns in rows:
        row: dict[str, Any] = {"conversations": [{"from": f, "value": v} for f, v in turns]}
        found.append({**row, "tools": json.dumps(tools)} if tools else row)
    file.write_text("".join(json.dumps(row) + "\n" for row in found))
    return file


def supplied(folder: Path, *tools: Tool) -> Settings:
    file = folder / "tools.json"
    file.write_text(json.dumps([tool.to_record() for tool in tools]))
    return Settings(tools_file=SuppliedTools(file, tools))


def test_rows_without_tools_get_all_of_the_file(tmp_path: Path) -> None:
    source, output = write(tmp_path / "a.jsonl", calling('{"port": "Hull"}'), TALK), tmp_path / "o"
    audit, report = clean_file(source, output, settings=supplied(tmp_path, TIDE, FERRY))
    assert audit.rejected == 0 and audit.counts["supplied-tools"] == 2 and not audit.warning()
    for conversation in read_conversations(output):
        assert conversation.tools == (TIDE, FERRY)
    told = json.loads(report.read_text())
    assert told["tools_file"]["file"] == "tools.json" and told["tools_file"]["tools"] == 2
    assert told["repairs"][0]["after"] == "2 tools of tools.json"


def test_rows_with_tools_keep_their_own(tmp_path: Path) -> None:
    ferry = [FERRY.to_record()]
    source = write(tmp_path / "a.jsonl", calling('{"port": "Hull"}'), TALK, tools=ferry)
    audit, _ = clean_file(source, tmp_path / "o", settings=supplied(tmp_path, TIDE))
    assert audit.rejected_by == {"undeclared-function": 1} and not audit.counts["supplied-tools"]
    assert not audit.warning(), "the file cannot supply what a row has"


def test_supplied_schemas_check_the_arguments(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", calling('{"harbour": "Hull"}'), TALK)
    audit, _ = clean_file(source, tmp_path / "o", settings=supplied(tmp_path, TIDE))
    assert audit.rejected_by == {"invalid-arguments": 1}


def test_warning_tells_the_share_of_lost_calls(tmp_path: Path) -> None:
    rows = [calling(f'{{"port": "{name}"}}') for name in ("Hull", "Leith", "Cork")]
    audit, _ = clean_file(write(tmp_path / "a.jsonl", *rows, TALK), tmp_path / "o")
    assert audit.warning().startswith("100% of the calls are lost: 3 of 3 conversations")
    assert "--tools-file" in audit.warning()


def test_error_names_tools_file_where_nothing_is_left(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", calling('{"port": "Hull"}'))
    with pytest.raises(ValueError, match=r"none of 1 rows can be used.*--tools-file F"):
        clean_file(source, tmp_path / "o")


def test_two_tools_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="declares find_tide 2 times; keep one"):
        supplied(tmp_path, TIDE, TIDE)


def test_both_answers_of_a_pair_get_the_tools(tmp_path: Path) -> None:
    answers = {name: f'[find_tide(port="{name}")]' for name in ("chosen", "rejected")}
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": "Tide at Hull?", **answers}))
    settings = supplied(tmp_path, TIDE)
    audit, report = clean_file(tmp_path / "a.jsonl", tmp_path / "o", settings=settings)
    assert audit.repaired == 1
    pair = json.loads((tmp_path / "o.pairs.jsonl").read_text())
    assert pair["rejected"][0]["tool_calls"][0]["function"]["arguments"] == {"port": "rejected"}
    noted = [entry["pointer"] for entry in json.loads(report.read_text())["repairs"]]
    assert noted == ["/tools", "/messages/1/content", "/rejected/messages/1/content"]


def test_negatives_get_the_tools_too(tmp_path: Path) -> None:
    good, bad = calling('{"port": "Hull"}'), calling('{"port": "Leith"}')
    source = write(tmp_path / "a.jsonl", good, [good[0], *bad[1:]])
    first, second = source.read_text().splitlines()
    source.write_text(f"{first}\n{json.dumps({**json.loads(second), 'label': False})}\n")
    settings = replace(supplied(tmp_path, TIDE), negatives="pair")
    _, report = clean_file(source, tmp_path / "o", settings=settings)
    assert json.loads(report.read_text())["pairs"]["of_negatives"] == 1
