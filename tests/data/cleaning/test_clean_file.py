"""Cleaning a file: every row has one outcome, the sums add up, and a rerun changes no byte."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation
from data import parallel
from data.cleaning import audit as audit_module
from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings
from data.cleaning.rules import MEANINGS
from data.conversations import read_conversations

TOOLS = json.dumps(
    [{"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}}]
)


def row(*turns: tuple[str, str], tools: str = TOOLS) -> dict[str, Any]:
    return {"conversations": [{"from": f, "value": v} for f, v in turns], "tools": tools}


def call(arguments: str) -> tuple[str, str]:
    return "function_call", f'{{"name": "add", "arguments": {arguments}}}'


HELLO = ("human", "hello")
HI = ("gpt", "hi")
ROWS = [
    row(HELLO, HI),
    row(HELLO, HI, ("human", "bye")),
    row(HELLO, call('{"a": "one"}')),
    row(HELLO, call('{"a": 1}'), ("observation", "1"), ("gpt", "It is 1."), ("human", "thanks")),
    row(HELLO, HI),
    row(HELLO, call('{"a": ')),
    row(("human", "hey"), HI, tools="[]"),
    {"conversations": "none"},
    row(("human", "greet"), call('"\\"{}\\""')),
    row(("human", "\ud800"), HI),
]
OUTCOMES = {
    "unanswered-ending": [3],
    "duplicate": [1, 4],
    "invalid-arguments": [2],
    "unreadable-call": [5],
    "wrong-layout": [7],
    "call-syntax": [8],
    "invalid-text": [9],
}


def write(file: Path, rows: list[Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def report_of(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def test_every_row_has_one_outcome_and_sums_add_up(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", ROWS)
    audit, path = clean_file(source, tmp_path / "clean.json")
    report = report_of(path)
    assert path == tmp_path / "clean.report.json"
    sums = {key: report[key] for key in ("input", "kept", "repaired", "rejected")}
    assert sums == {"input": 10, "kept": 2, "repaired": 2, "rejected": 6}
    assert audit.input == 10 and len(list(read_conversations(tmp_path / "clean.json"))) == 4
    found = {rule: entry for rule, entry in report["rules"].items() if entry["count"]}
    assert {rule: [f"sharegpt-{i}" for i in rows] for rule, rows in OUTCOMES.items()} == {
        rule: entry["rows"] for rule, entry in found.items()
    }
    assert list(report["rules"]) == list(MEANINGS)
    assert sum(e["count"] for e in found.values() if e["outcome"] == "rejected") == 6
    assert report["source"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_rejections_and_repairs_say_where_what_and_why(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", ROWS)
    report = report_of(clean_file(source, tmp_path / "clean.json")[1])
    lines = source.read_text().splitlines()
    assert [entry["row"] for entry in report["rejections"]] == [1, 2, 4, 5, 7, 9]
    for entry in report["rejections"]:
        raw = lines[entry["row"]]
        assert entry["sha256"] == hashlib.sha256(raw.encode()).hexdigest()
        assert entry["rule"] in MEANINGS and entry["reason"] and entry["excerpt"]
    invalid = report["rejections"][1]
    assert invalid["pointer"] == "/messages/1/tool_calls/0/function/arguments/a"
    assert invalid["reason"] == "type: 'one' is not of type 'number'"
    assert report["rejections"][2]["reason"] == "the same conversation as sharegpt-0"
    cut, mended = report["repairs"]
    assert (cut["id"], cut["pointer"], cut["after"]) == ("sharegpt-3", "/messages/4", [])
    assert cut["before"] == [{"role": "user", "content": "thanks"}]
    assert mended["after"] == [{"name": "add", "arguments": {}}]


def test_report_names_the_first_rows_and_counts_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_module, "MOST_IDS", 3)
    source = write(tmp_path / "rows.json", [ROWS[0]] + [ROWS[5]] * 7)
    report = report_of(clean_file(source, tmp_path / "clean.json")[1])
    entry = report["rules"]["unreadable-call"]
    assert (entry["count"], entry["rows_not_named"]) == (7, 4)
    assert entry["rows"] == ["sharegpt-1", "sharegpt-2", "sharegpt-3"]
    assert [rejection["row"] for rejection in report["rejections"]] == [1, 2, 3, 4, 5, 6, 7]


def test_conversations_carry_id_source_and_hash_of_their_row(
    tmp_path: Path,
) -> None:
    source = write(tmp_path / "rows.json", ROWS)
    clean_file(source, tmp_path / "clean.json")
    lines = source.read_text().splitlines()
    for conversation in read_conversations(tmp_path / "clean.json"):
        number = int(conversation.id.removeprefix("sharegpt-"))
        assert conversation.source == "rows.json"
        assert conversation.sha256 == hashlib.sha256(lines[number].encode()).hexdigest()


def test_output_bytes_do_not_depend_on_folder_or_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "rows.json", ROWS)
    settings = Settings(balance=True)
    clean_file(source, tmp_path / "a.json", settings=settings)
    monkeypatch.setattr(parallel, "FEW", 2)
    clean_file(source, tmp_path / "there" / "b.json", tmp_path / "r.json", settings=settings)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "there" / "b.json").read_bytes()
    assert (tmp_path / "a.report.json").read_bytes() == (tmp_path / "r.json").read_bytes()


def test_conversations_without_functions_are_removed_on_request(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", ROWS)
    settings = Settings(remove_no_fc=True)
    report = report_of(clean_file(source, tmp_path / "clean.json", settings=settings)[1])
    assert report["rules"]["no-functions"]["rows"] == ["sharegpt-6"]
    assert all(c.tools for c in read_conversations(tmp_path / "clean.json"))


def test_balancing_is_off_by_default_and_follows_the_seed(tmp_path: Path) -> None:
    rows = [
        row(("human", f"add {i}"), call('{"a": 1}'), ("observation", "1"), ("gpt", "It is 1."))
        for i in range(40)
    ]
    source = write(tmp_path / "rows.json", rows)
    kept = {}
    for name, settings in {
        "off": Settings(),
        "three": Settings(balance=True, seed=3),
        "four": Settings(balance=True, seed=4),
    }.items():
        audit, _ = clean_file(source, tmp_path / f"{name}.json", settings=settings)
        lengths = [len(c.messages) for c in read_conversations(tmp_path / f"{name}.json")]
        assert audit.repaired == lengths.count(2)
        kept[name] = lengths
    assert kept["off"] == [4] * 40
    assert kept["three"] != kept["four"] and set(kept["three"]) == {2, 4}


def test_malformed_lines_stop_the_cleaning_or_are_counted(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", ROWS)
    source.write_text('{"conversations": [\n' + source.read_text())
    with pytest.raises(ValueError, match=r"row 0 is not JSON, line 1, column 20.*--skip-malformed"):
        clean_file(source, tmp_path / "clean.json")
    assert [file.name for file in tmp_path.iterdir()] == ["rows.json"]
    settings = Settings(skip_malformed=True)
    audit, path = clean_file(source, tmp_path / "clean.json", settings=settings)
    assert (audit.input, audit.rejected) == (11, 7)
    entry = report_of(path)["rejections"][0]
    assert (entry["rule"], entry["excerpt"]) == ("malformed-json", '{"conversations": [')


def test_only_the_report_is_written_without_usable_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", [ROWS[2], ROWS[5], ROWS[5]])
    with pytest.raises(
        ValueError, match=r"none of 3 rows can be used, most of them for unreadable"
    ):
        clean_file(source, tmp_path / "clean.json")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["clean.report.json", "rows.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "holds no row that can be read"),
        ('{"query": 1}', r"rows.json, line 1: no known layout: .*'query'"),
        ("", "is empty"),
        ('[{"conversations": []}, {]', "not JSON in row 1, line 1, column 26"),
    ],
)
def test_file_without_rows_is_refused_and_nothing_is_written(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        clean_file(tmp_path / "rows.json", tmp_path / "clean.json")
    assert [file.name for file in tmp_path.iterdir()] == ["rows.json"]


def test_invalid_settings_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.json", ROWS)
    with pytest.raises(ValueError, match="--source-file and --save-file both name"):
        clean_file(source, source)
    with pytest.raises(ValueError, match="--save-file and --report-file both name"):
        clean_file(source, tmp_path / "a.json", tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"--save-file .* is a directory; name a file in it"):
        clean_file(source, tmp_path)
    pairs = write(tmp_path / "a.pairs.jsonl", ROWS)
    with pytest.raises(ValueError, match="-file and the pairs beside --save-file both"):
        clean_file(pairs, tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="no format 'glaiv'; did you mean glaive"):
        clean_file(source, tmp_path / "a.json", format="glaiv")
    with pytest.raises(ValueError, match="--seed is 'x'"):
        Settings(seed="x")


def test_the_files_of_a_directory_are_cleaned_as_one(tmp_path: Path) -> None:
    folder, save = tmp_path / "rows", tmp_path / "clean.json"
    folder.mkdir()
    write(folder / "b.jsonl", [ROWS[0], ROWS[6]])
    (folder / "a.json").write_text(json.dumps([ROWS[3], ROWS[0]]))
    (folder / "README.md").write_text("no rows")
    audit, report = clean_file(folder, save)
    assert (audit.kept, audit.repaired, audit.rejected) == (2, 1, 1)
    found = [(c.id, c.source) for c in read_conversations(save)]
    assert found == [("sharegpt-0", "a.json"), ("sharegpt-1", "a.json"), ("sharegpt-3", "b.jsonl")]
    source, rejections = report_of(report)["source"], report_of(report)["rejections"]
    assert source["directory"] == "rows"
    assert [file["file"] for file in source["files"]] == ["a.json", "b.jsonl"]
    assert [(r["id"], r["reason"].split()[-1]) for r in rejections] == [
        ("sharegpt-2", "sharegpt-1")
    ]


def test_a_directory_of_two_layouts_or_none_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"rows is a directory without files of rows \(.json, "):
        clean_file(folder, tmp_path / "clean.json")
    write(folder / "a.jsonl", ROWS[:1])
    write(folder / "b.jsonl", [{"system": "", "chat": "USER: a\n\nASSISTANT: b"}])
    with pytest.raises(ValueError, match=r"b.jsonl has the layout glaive, and a.jsonl .* sharegpt"):
        clean_file(folder, tmp_path / "clean.json")
    with pytest.raises(ValueError, match="--source-file and --save-file both name"):
        clean_file(folder, folder / "a.jsonl")


def test_a_named_format_rejects_the_rows_of_another(tmp_path: Path) -> None:
    source = write(
        tmp_path / "rows.json", [{"system": "", "chat": "USER: a\n\nASSISTANT: b"}, ROWS[0]]
    )
    audit, _ = clean_file(source, tmp_path / "a.json", format="glaive")
    assert (audit.kept, audit.rejected) == (1, 1)


REAL = {
    "glaive_v2_raw/glaive-function-calling-v2.rows_0_4.jsonl": (5, 5, 0, {}),
    "glaive_v2_raw/reconstructed_layout.en_part.json": (
        171,
        140,
        0,
        {"duplicate": 28, "duplicate-other-tools": 2, "near-duplicate": 1},
    ),
    "glaive_toolcall_sharegpt/glaive_toolcall_en_demo.part.json": (
        171,
        140,
        0,
        {"duplicate": 28, "duplicate-other-tools": 2, "near-duplicate": 1},
    ),
    "glaive_toolcall_sharegpt/glaive_toolcall_zh_demo.part.json": (
        122,
        94,
        0,
        {"duplicate": 24, "invalid-arguments": 3, "near-duplicate": 1},
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_rows_all_have_an_outcome(shared: Path, tmp_path: Path, name: str) -> None:
    wanted, kept, repaired, rejected = REAL[name]
    audit, path = clean_file(shared / name, tmp_path / "clean.json")
    report = report_of(path)
    assert (audit.input, audit.kept, audit.repaired) == (wanted, kept, repaired)
    counts = {rule: entry["count"] for rule, entry in report["rules"].items() if entry["count"]}
    assert counts == rejected and sum(rejected.values()) == report["rejected"]
    conversations = list(read_conversations(tmp_path / "clean.json"))
    assert len(conversations) == kept
    assert all(Conversation.from_record(c.to_record()) == c for c in conversations)


def test_both_layouts_of_the_same_rows_give_equal_conversations(
    shared: Path, tmp_path: Path
) -> None:
    contents = []
    for name in list(REAL)[1:3]:
        clean_file(shared / name, tmp_path / "clean.json", settings=Settings(balance=True))
        records = [c.to_record() for c in read_conversations(tmp_path / "clean.json")]
        contents.append([(r["messages"], r["tools"]) for r in records])
    assert contents[0] == contents[1]
