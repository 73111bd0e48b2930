"""Items are turns that answer a user or a tool, each with its category and its judge."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from speaking_model import TOKENIZER

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.call_syntax import Reply
from chat.formats.known import FORMATS
from chat.formats.rendering import render_prompt
from chat.tokenizers.tokenizer import load_tokenizer
from console.flags import UsageError
from data.benchmarks.bfcl_tasks import Task
from data.benchmarks.nexusraven import Function, Query
from data.building.dataset import Settings, build_dataset
from data.conversations import write_conversations
from data.tokenized import TokenizedDataset
from evaluation.items import (
    TURN_CATEGORIES,
    conversation_items,
    query_item,
    read_items,
    task_item,
    turn_items,
)
from inference.constrain.constraint import constraint_for

TOOL = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
LYON, OSLO = ToolCall("weather", {"city": "Lyon"}), ToolCall("weather", {"city": "Oslo"})
LONG = Conversation(
    (
        Message("system", "Be brief"),
        Message("assistant", "Welcome"),
        Message("user", "Lyon?"),
        Message("assistant", "", (LYON,)),
        Message("tool", "rain"),
        Message("assistant", "It rains"),
        Message("assistant", "Anything else?"),
        Message("user", "Lyon and Oslo"),
        Message("assistant", "Both", (LYON, OSLO)),
        Message("tool", "rain"),
        Message("tool", "error"),
        Message("assistant", "", (OSLO,)),
        Message("user", "Thanks"),
        Message("assistant", "You are welcome"),
    ),
    (TOOL,),
    id="long",
)
PLAIN = Conversation((Message("user", "Hi"), Message("assistant", "Hello")), id="plain")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_conversations(tmp_path / "data.jsonl", [LONG, PLAIN])
    return tmp_path / "data.jsonl"


def test_turns_after_a_user_or_a_result_become_items(dataset: Path) -> None:
    items = list(conversation_items(dataset))
    assert [(item.id, item.category) for item in items] == [
        ("long/3", "call"),
        ("long/5", "no_call_after_result"),
        ("long/8", "parallel"),
        ("long/11", "call_after_result"),
        ("long/13", "no_call"),
        ("plain/1", "no_tools"),
    ]
    assert [len(item.conversation.messages) for item in items] == [3, 5, 8, 11, 13, 1]
    assert items[0].expected == [{"name": "weather", "arguments": {"city": "Lyon"}}]
    assert items[1].expected == "It rains"


def test_conversation_id_is_the_sha256_where_ids_repeat(dataset: Path) -> None:
    *long, plain = [item.conversation_id for item in conversation_items(dataset)]
    assert len(long) == 5 and len(set(long)) == 1 and plain not in long
    once, again = (replace(PLAIN, sha256=sha256) for sha256 in ("a", "b"))
    (one,), (other,) = turn_items(once), turn_items(again)
    assert one.id == other.id and one.conversation_id != other.conversation_id


def test_each_item_is_judged_by_its_own_turn(dataset: Path) -> None:
    items = {item.id: item for item in conversation_items(dataset)}
    assert items["long/8"].judge(Reply("", (OSLO, LYON))).correct
    assert not items["long/8"].judge(Reply("", (LYON,))).correct
    assert items["long/11"].judge(Reply("", (OSLO,))).correct
    assert items["long/5"].judge(Reply("Whatever it says")).correct
    assert not items["long/5"].judge(Reply("", (LYON,))).correct
    assert not items["long/5"].judge(Reply("")).correct


def test_only_held_out_conversations_become_items(dataset: Path) -> None:
    rows = [json.loads(line) for line in dataset.read_text().splitlines()]
    first, *_ = conversation_items(dataset)
    assert "sha256" not in rows[0]
    write_conversations(dataset, [replace(LONG, sha256="a"), replace(PLAIN, sha256="b")])
    assert [item.id for item in conversation_items(dataset, {"b"})] == ["plain/1"]
    assert first.id == "long/3"


def test_held_out_of_selects_the_validation_split(tmp_path: Path) -> None:
    path, built = tmp_path / "data.jsonl", tmp_path / "built"
    asked = [Message("user", f"Number {i}?") for i in range(30)]
    rows = [Conversation((q, Message("assistant", q.content)), id=q.content) for q in asked]
    write_conversations(path, rows)
    build_dataset(path, TOKENIZER, built, Settings(val_ratio=0.3))
    held_out = TokenizedDataset.open(built, "validation")
    wanted = {held_out.origin(i).id for i in range(len(held_out))}
    items = read_items(str(path), held_out_of=str(built))
    assert 0 < len(items) < 30
    assert {item.conversation.messages[0].content for item in items} == wanted


def test_limit_takes_the_first_items(dataset: Path) -> None:
    assert [item.id for item in read_items(str(dataset), limit=2)] == ["long/3", "long/5"]
    with pytest.raises(UsageError, match="--limit is 0, wanted 1 or more"):
        read_items(str(dataset), limit=0)


def test_categories_select_items_and_reject_an_absent_one(dataset: Path) -> None:
    every = read_items(str(dataset))
    wanted = {"call", "no_call"} & {item.category for item in every}
    assert wanted and wanted < {item.category for item in every}
    chosen = read_items(str(dataset), categories=", ".join(wanted))
    assert [item.id for item in chosen] == [item.id for item in every if item.category in wanted]
    assert {item.category for item in every} <= set(TURN_CATEGORIES)
    with pytest.raises(ValueError, match="no item is of the category 'parallel_after_result'"):
        read_items(str(dataset), categories="call,parallel_after_result")


@pytest.mark.parametrize("limit", [None, 1])
def test_unknown_category_is_rejected_with_the_known_ones(
    dataset: Path, tmp_path: Path, limit: int
) -> None:
    told = r"--categories: there is no 'cal' \(did you mean call\?\); there are call, parallel, no_"
    with pytest.raises(UsageError, match=told):
        read_items(str(dataset), categories="call,cal", limit=limit)
    questions = write_rows(tmp_path / "q.json", question("irrelevance_0", [function()]))
    told = r"no 'relevance' \(did you mean .*irrelevance.*\); there are simple_python, "
    with pytest.raises(UsageError, match=told):
        read_items(
            benchmark="bfcl",
            benchmark_file=str(questions),
            categories="irrelevance,relevance",
            limit=limit,
        )


def question(identity: str, functions: object) -> dict[str, object]:
    asked = [[{"role": "user", "content": "Bake a cake"}]]
    return {"id": identity, "question": asked, "function": functions}


def function() -> dict[str, object]:
    return {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {}}}


def write_rows(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_benchmark_question_without_tools_wants_text(tmp_path: Path) -> None:
    path = write_rows(
        tmp_path / "q.json",
        question("live_irrelevance_0-0-0", []),
        question("live_irrelevance_1-0-0", [function()]),
    )
    bare, other = read_items(benchmark="bfcl", benchmark_file=str(path))
    assert (bare.conversation.tools, len(other.conversation.tools)) == ((), 1)
    assert bare.expected == "no call"
    segments = render_prompt(bare.conversation, FORMATS["llama3"])
    prompt = "".join(segment.text for segment in segments)
    assert "system" not in prompt and "functions" not in prompt
    for reply, right in ((Reply("I cannot"), True), (Reply("", (LYON,)), False)):
        assert bare.judge(reply).correct is right
    told = constraint_for(bare.conversation.tools, FORMATS["llama3"], load_tokenizer(TOKENIZER))
    assert told is not None


def test_dataset_without_turns_or_with_repeated_ids_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    write_conversations(path, [Conversation((Message("user", "Hi"),))])
    with pytest.raises(ValueError, match="has no turn of an assistant to score"):
        read_items(str(path))
    write_conversations(path, [PLAIN, PLAIN])
    with pytest.raises(ValueError, match="has the conversation plain twice"):
        read_items(str(path))


def test_missing_benchmark_files_raise_with_the_flag_name() -> None:
    with pytest.raises(UsageError, match="no benchmark 'bfcl4'; there are bfcl, nexusraven"):
        read_items(benchmark="bfcl4")
    with pytest.raises(ValueError, match="--benchmark bfcl needs --benchmark-file"):
        read_items(benchmark="bfcl")
    with pytest.raises(ValueError, match="--benchmark nexusraven needs --tools-file"):
        read_items(benchmark="nexusraven", benchmark_file="q.jsonl")
    with pytest.raises(ValueError, match="nothing to score"):
        read_items()


def test_file_of_another_benchmark_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--tools-file goes with --benchmark nexusraven, and not"):
        read_items(benchmark="bfcl", benchmark_file="q", tools_file="f")
    with pytest.raises(UsageError, match=r"--answers-file goes with --benchmark bfcl, and not"):
        read_items(benchmark="nexusraven", benchmark_file="q", answers_file="f")


FUNCTION = Function(Tool("find", "", {"type": "object"}), {"limit": 10, "tags": None})
QUERY = Query("q_0", "q", "Find", (FUNCTION,), ToolCall("find", {"who": "Ada", "limit": 10}))


@pytest.mark.parametrize(
    ("arguments", "right", "literally"),
    [
        ({"who": "Ada", "limit": 10}, True, True),
        ({"who": "Ada"}, True, True),
        ({"who": "Ada", "tags": None}, True, False),
        ({"who": "Ada", "limit": 11}, False, False),
        ({"limit": 10}, False, False),
        ({"who": "ada"}, False, False),
        ({"who": "Ada", "more": 1}, False, False),
    ],
)
def test_nexusraven_fills_in_default_arguments(
    arguments: dict[str, object], right: bool, literally: bool
) -> None:
    verdict = query_item(QUERY).judge(Reply("", (ToolCall("find", arguments),)))
    assert verdict.correct is right
    assert verdict.json_equal is literally


def test_each_benchmark_task_is_its_own_conversation() -> None:
    function = {"name": "f", "description": "", "parameters": {"type": "dict", "properties": {}}}
    tasks = [Task(f"irrelevance_{i}", "irrelevance", (), (function,)) for i in range(3)]
    assert [task_item(task).conversation_id for task in tasks] == [task.id for task in tasks]
