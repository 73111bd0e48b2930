"""The twelve traps of tool-call data, each in rows that have it: kept, repaired or rejected.

The rows are written after defects of published data sets; real ones are in the tests of the
readers (tests/data/reading) and of each rule.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Conversation
from data.cleaning.clean_file import clean_file
from data.cleaning.clean_row import Settings, clean_row
from data.conversations import read_conversations
from data.reading import RawRow

LEAD = "SYSTEM: You are a helpful assistant with access to the following functions. Use them -"
LEAD = LEAD.replace("Use them -", "Use them if required -\n")
SEND = {
    "name": "send",
    "description": "Send a text",
    "parameters": {
        "type": "object",
        "properties": {"text": {"type": "string"}, "times": {"type": "integer"}},
        "required": ["text"],
    },
}
PLAIN = "SYSTEM: You are a helpful assistant, with no access to external functions.\n\n"


def glaive(call: str, *, system: str = LEAD + json.dumps(SEND, indent=4)) -> dict[str, str]:
    chat = (
        f"USER: Please send it.\n\n\nASSISTANT: <functioncall> {call} <|endoftext|>\n\n\n"
        'FUNCTION RESPONSE: {"sent": true}\n\n\nASSISTANT: Sent. <|endoftext|>\n\n\n'
    )
    return {"system": system, "chat": chat}


def openai(*messages: Any, tools: Any = (SEND,)) -> dict[str, Any]:
    roles = {"u": "user", "a": "assistant", "t": "tool", "s": "system"}
    made = []
    for role, content in messages:
        extra = content if isinstance(content, dict) else {"content": content}
        made.append({"role": roles[role], **extra})
    return {"messages": made, "tools": list(tools) if isinstance(tools, tuple) else tools}


def calls(*arguments: Any, name: str = "send", **extra: Any) -> dict[str, Any]:
    made = [{"function": {"name": name, "arguments": argument}, **extra} for argument in arguments]
    return {"tool_calls": made}


def ended(row: dict[str, Any]) -> tuple[str, set[str], Conversation | None]:
    """Return what became of a row, by which rules, and its conversation."""
    layout = "glaive" if "chat" in row else "openai"
    outcome = clean_row(RawRow(0, row, "0" * 64, "line 1"), layout, "x.json", Settings())
    if outcome.rejected:
        return "rejected", {outcome.rejected.rule}, None
    conversation = Conversation.from_record(json.loads(outcome.line))
    rules = {change.rule for change in outcome.changes}
    return ("repaired" if rules else "kept"), rules, conversation


TALK = (("u", "Please send it."), ("a", calls({"text": "x"})), ("t", "ok"), ("a", "Sent."))
IT_S = """{"name": "send", "arguments": '{"text": "it's\nfine"}'}"""


@pytest.mark.parametrize(
    ("row", "wanted", "rules"),
    [
        # 1. How arguments are written.
        (glaive(IT_S), "kept", set()),
        (glaive("""{"name": "send", "arguments": {"text": "x"}}"""), "kept", set()),
        (glaive("""{"name": "send", "parameters": {"text": "x"}}"""), "kept", set()),
        (glaive("""{"name": "send", "arguments": "{\\"text\\": \\"x\\"}"}"""), "kept", set()),
        (openai(("u", "x"), ("a", calls('"{\\"text\\": \\"x\\"}"'))), "repaired", {"call-syntax"}),
        (glaive("""{"name": "send", "arguments": '["x"]'}"""), "rejected", {"unreadable-call"}),
        (glaive("""{"name": "send", "arguments": 'null'}"""), "rejected", {"unreadable-call"}),
        (
            glaive("""{"name": "send", "arguments": '{"text": "x", "times": NaN}'}"""),
            "rejected",
            {"unreadable-call"},
        ),
        (
            glaive("""{"name": "send", "arguments": '{"text": "x'}"""),
            "rejected",
            {"unreadable-call"},
        ),
        (glaive("""{"name": "send", "arguments": '{"a": 1}}'}"""), "rejected", {"unreadable-call"}),
        (
            openai(("u", "x"), ("a", calls('__import__("os").system("false")'))),
            "rejected",
            {"unreadable-call"},
        ),
        # 3. A name that is declared twice.
        (
            glaive(IT_S, system=LEAD + f"{json.dumps(SEND)}\n\n{json.dumps(SEND)}"),
            *("repaired", {"repeated-tool"}),
        ),
        (
            glaive(IT_S, system=LEAD + json.dumps(SEND) + json.dumps({**SEND, "description": ""})),
            "rejected",
            {"conflicting-tools"},
        ),
        # 5. Where tools stand.
        (openai(*TALK, tools=json.dumps([SEND])), "kept", set()),
        (openai(*TALK, tools=repr([SEND])), "kept", set()),
        (openai(("s", "Tools: " + json.dumps([SEND])), *TALK, tools=()), "kept", set()),
        # 7. What is called.
        (openai(("u", "x"), ("a", calls({}, name="sent"))), "rejected", {"undeclared-function"}),
        (openai(("u", "x"), ("a", calls({}))), "rejected", {"invalid-arguments"}),
        (
            openai(("u", "x"), ("a", calls({"text": "x", "to": 1}))),
            *("rejected", {"invalid-arguments"}),
        ),
        (openai(("u", "x"), ("a", calls({"text": 1}))), "rejected", {"invalid-arguments"}),
        (openai(("u", "x"), ("a", calls({"text": "x", "times": "2"}))), "repaired", {"text-value"}),
        (
            openai(("u", "x"), ("a", calls({"text": "API_call_1"}))),
            *("rejected", {"placeholder-value"}),
        ),
        # 8. Whose turn it is.
        (openai(*TALK, ("u", "Thanks!")), "repaired", {"unanswered-ending"}),
        (openai(*TALK[:2]), "kept", set()),
        (openai(("u", "x"), ("t", "ok"), ("a", "Sent.")), "rejected", {"result-without-call"}),
        (openai(*TALK, ("a", "Again.")), "rejected", {"two-assistants"}),
        (
            openai(
                ("u", "x"),
                ("a", calls({"text": "x"}, {"text": "y"})),
                ("t", "1"),
                ("t", "2"),
                ("a", "Sent."),
            ),
            *("kept", set()),
        ),
        (openai(("u", "x"), ("a", {"content": "Now:", **calls({"text": "x"})})), "kept", set()),
        (openai(("u", ""), ("a", "Hello")), "rejected", {"empty-turn"}),
        # 9. Ids.
        (
            openai(
                TALK[0],
                ("a", calls({"text": "x"}, id="call_id")),
                ("t", {"content": "ok", "tool_call_id": "call_id"}),
                TALK[3],
            ),
            *("kept", set()),
        ),
        (
            openai(
                TALK[0],
                ("a", calls({"text": "x"}, {"text": "y"}, id="same")),
                ("t", "1"),
                ("t", "2"),
                TALK[3],
            ),
            *("repaired", {"call-ids"}),
        ),
        (
            openai(
                TALK[0],
                ("a", calls({"text": "x"}, id="a")),
                ("t", {"content": "ok", "tool_call_id": "b"}),
                TALK[3],
            ),
            *("repaired", {"call-ids"}),
        ),
        # 11. Characters.
        (openai(("u", "a\x00b 🎉"), ("a", "ok")), "repaired", {"control-characters"}),
        (openai(("u", "What is <|eot_id|>?"), ("a", "<|eot_id|> ends a turn.")), "kept", set()),
        (openai(("u", "x"), ("a", "ok<|eot_id|>")), "repaired", {"end-mark"}),
        # 12. Tools without parameters, errors and what comes of them.
        (
            openai(("u", "x"), ("a", calls({}, name="now")), tools=({"name": "now"},)),
            *("kept", set()),
        ),
        (openai(TALK[0], TALK[1], ("t", '{"error": "busy"}'), *TALK[1:]), "kept", set()),
    ],
)
def test_trap_row_has_its_expected_outcome(
    row: dict[str, Any], wanted: str, rules: set[str]
) -> None:
    found, by, _ = ended(row)
    assert (found, by) == (wanted, rules)


def test_arguments_keep_apostrophes_newlines_values_and_order() -> None:
    text = """{"name": "send", "arguments": '{"times": 2, "text": "it's\nfine, 'so'"}'}"""
    conversation = ended(glaive(text))[2]
    assert conversation is not None
    arguments = conversation.messages[1].tool_calls[0].arguments
    assert list(arguments.items()) == [("times", 2), ("text", "it's\nfine, 'so'")]


def test_2_keywords_of_roles_inside_texts_are_text() -> None:
    chat = (
        "USER: What do USER: and <|endoftext|> mean?\n\nASSISTANT: ASSISTANT: is me.\nUSER: is you."
    )
    conversation = ended({"system": PLAIN, "chat": chat})[2]
    assert conversation is not None
    contents = [message.content for message in conversation.messages]
    assert contents == [
        "What do USER: and <|endoftext|> mean?",
        "ASSISTANT: is me.\nUSER: is you.",
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_3_any_number_of_functions_is_read(count: int) -> None:
    declared = "\n\n".join(json.dumps({**SEND, "name": f"f{i}"}, indent=4) for i in range(count))
    system = LEAD + declared if count else PLAIN
    newlines = "\n" * (3 if count else 2)
    conversation = ended({"system": system, "chat": f"USER: a{newlines}ASSISTANT: b"})[2]
    assert conversation is not None and len(conversation.tools) == count


@pytest.mark.parametrize(
    ("parameters", "properties", "required"),
    [
        ({"a": {"type": "str, optional"}}, {"a": {"type": "string"}}, None),
        (
            {"a": {"type": "List[float]"}},
            {"a": {"type": "array", "items": {"type": "number"}}},
            ["a"],
        ),
        (
            {"type": "dict", "properties": {"a": {"type": "float"}}, "required": None},
            {"a": {"type": "number"}},
            None,
        ),
        (
            {"type": "dict", "properties": {"a": {"type": "String", "required": True}}},
            {"a": {"type": "string"}},
            ["a"],
        ),
        (None, {}, None),
    ],
)
def test_4_schema_dialects_become_json_schema(
    parameters: Any, properties: Any, required: list[str] | None
) -> None:
    tool = {"name": "f", "parameters": parameters}
    conversation = ended(openai(("u", "a"), ("a", "b"), tools=(tool,)))[2]
    assert conversation is not None
    schema = conversation.tools[0].parameters
    assert schema["properties"] == properties and schema.get("required") == required


@pytest.mark.parametrize("name", ["math.add", "Get the weather", "a-b"])
def test_6_names_with_dots_and_spaces_are_unchanged(name: str) -> None:
    row = openai(
        ("u", "a"), ("a", calls({"text": "x"}, name=name)), tools=({**SEND, "name": name},)
    )
    found, _, conversation = ended(row)
    assert found == "kept" and conversation is not None
    assert conversation.tools[0].name == conversation.messages[1].tool_calls[0].name == name


def test_10_first_of_repeated_or_contradictory_rows_stays(tmp_path: Path) -> None:
    other = {**SEND, "description": "Write"}
    rows = [
        openai(*TALK),
        openai(*TALK),
        openai(*TALK, tools=(other,)),
        openai(TALK[0], ("a", calls({"text": "y"})), *TALK[2:]),
        openai(("u", "please send it"), *TALK[1:]),
    ]
    (tmp_path / "rows.json").write_text("\n".join(map(json.dumps, rows)))
    audit, _ = clean_file(tmp_path / "rows.json", tmp_path / "clean.json")
    assert (audit.kept, audit.rejected) == (1, 4)
    assert dict(audit.rejected_by) == {
        "duplicate": 1,
        "duplicate-other-tools": 1,
        "contradictory-labels": 1,
        "near-duplicate": 1,
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_11_line_ends_and_astral_characters_are_kept(tmp_path: Path, end: str) -> None:
    row = json.dumps(openai(("u", "🎉 a\r\nb"), ("a", "\U0001d4b3")), ensure_ascii=False)
    last = json.dumps(openai(*TALK))
    (tmp_path / "rows.json").write_bytes(f"{row}{end or chr(10)}{last}{end}".encode())
    audit, _ = clean_file(tmp_path / "rows.json", tmp_path / "clean.json")
    assert audit.kept == 2
    first = next(read_conversations(tmp_path / "clean.json"))
    assert [message.content for message in first.messages] == ["🎉 a\r\nb", "\U0001d4b3"]
