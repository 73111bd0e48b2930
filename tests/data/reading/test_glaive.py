"""Raw Glaive v2: where turns end, which functions there are, which calls can be read."""

import json
from pathlib import Path
from typing import Any

import pytest

from chat.conversation import Message, ToolCall
from data.outcomes import Rejected
from data.reading import SOURCES, glaive, read_rows

WITH = (
    "SYSTEM: You are a helpful assistant with access to the following functions. "
    "Use them if required -\n"
)
WITHOUT = "SYSTEM: You are a helpful assistant, with no access to external functions.\n\n"
NOW = {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}
MAIL = {
    "name": "send_mail",
    "description": "Send a mail",
    "parameters": {
        "type": "object",
        "properties": {"text": {"type": "string", "description": 'A { or " in the text'}},
        "required": ["text"],
    },
}


def read(chat: str, *functions: dict[str, Any], system: str | None = None) -> Any:
    declared = "\n\n".join(json.dumps(function, indent=4) for function in functions)
    if system is None:
        system = WITH + declared + "\n" if functions else WITHOUT
    return SOURCES["glaive"].read({"system": system, "chat": chat})


def messages(chat: str, *functions: dict[str, Any]) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in read(chat, *functions).conversation.messages]


def test_turns_with_functions_are_separated_by_three_newlines() -> None:
    chat = (
        "USER: What\n\nUSER: is the\n\nASSISTANT: time?\n\n\n"
        """ASSISTANT: <functioncall> {"name": "now", "arguments": '{}'} <|endoftext|>\n\n\n"""
        'FUNCTION RESPONSE: {"time": "USER: noon\\n\\n\\nASSISTANT: 1"}\n\n\n'
        "ASSISTANT: It is noon.\n\nFUNCTION RESPONSE: is a header too. <|endoftext|>\n\n\n"
    )
    assert messages(chat, NOW) == [
        ("user", "What\n\nUSER: is the\n\nASSISTANT: time?"),
        ("assistant", ""),
        ("tool", '{"time": "USER: noon\\n\\n\\nASSISTANT: 1"}'),
        ("assistant", "It is noon.\n\nFUNCTION RESPONSE: is a header too."),
    ]


def test_turns_without_functions_are_separated_by_two_newlines() -> None:
    chat = (
        "USER: Tell\nUSER: me\n\nASSISTANT: A USER: joke <|endoftext|>\n\n"
        "USER: More\n\n\nASSISTANT: B"
    )
    assert messages(chat) == [
        ("user", "Tell\nUSER: me"),
        ("assistant", "A USER: joke"),
        ("user", "More"),
        ("assistant", "B"),
    ]


def test_windows_line_ends_separate_turns_too() -> None:
    chat = "USER: a\r\n\r\n\r\nASSISTANT: b <|endoftext|>\r\n\r\n\r\n"
    assert messages(chat, NOW) == [("user", "a"), ("assistant", "b")]


def test_end_mark_is_removed_only_after_assistant_turns() -> None:
    chat = (
        "USER: What is <|endoftext|>\n\n\nASSISTANT: <|endoftext|> ends a text. <|endoftext|>\n\n\n"
        "USER: So <|endoftext|> is <|endoftext|>\n\n\nASSISTANT: Yes"
    )
    assert messages(chat, NOW) == [
        ("user", "What is <|endoftext|>"),
        ("assistant", "<|endoftext|> ends a text."),
        ("user", "So <|endoftext|> is <|endoftext|>"),
        ("assistant", "Yes"),
    ]


def test_all_functions_of_a_system_text_keep_their_schemas() -> None:
    tools = read("USER: a", NOW, MAIL, {"name": "bare"}).conversation.tools
    assert [tool.name for tool in tools] == ["now", "send_mail", "bare"]
    assert tools[0].parameters == NOW["parameters"]
    assert tools[1].parameters == MAIL["parameters"] and tools[1].description == "Send a mail"
    assert tools[2].parameters == {"type": "object", "properties": {}}


def test_system_text_without_functions_gives_no_tool_or_message() -> None:
    for system in (WITHOUT, WITH):
        conversation = read("USER: a\n\nASSISTANT: b", system=system).conversation
        assert conversation.tools == () and [m.role for m in conversation.messages] == [
            "user",
            "assistant",
        ]


def test_custom_system_text_is_kept_beside_its_functions() -> None:
    own = read("USER: a", system="SYSTEM: Speak like a pirate {arr}.").conversation
    assert own.messages[0] == Message("system", "Speak like a pirate {arr}.") and not own.tools
    both = read("USER: a", system="SYSTEM: Be brief.\n" + json.dumps(NOW)).conversation
    assert both.messages[0] == Message("system", "Be brief.")
    assert [tool.name for tool in both.tools] == ["now"]


def test_a_call_may_stand_beside_text_and_beside_other_calls() -> None:
    draft = read(
        """USER: a\n\n\nASSISTANT: One moment. <functioncall> {"name": "now", "arguments": '{}'}"""
        """ <functioncall> {"name": "send_mail", "arguments": '{"text": "it's"}'} <|endoftext|>""",
        NOW,
        MAIL,
    )
    calls = (ToolCall("now", {}), ToolCall("send_mail", {"text": "it's"}))
    assert draft.conversation.messages[1] == Message("assistant", "One moment.", calls)
    assert draft.changes == ()


@pytest.mark.parametrize(
    "text", ["<functioncall>", "Hi\n\n\nUSER: you\n\n\nASSISTANT: me", "a <|endoftext|> b"]
)
def test_markers_inside_a_calls_arguments_are_text(text: str) -> None:
    chat = (
        f"""USER: a\n\n\nASSISTANT: <functioncall> {{"name": "send_mail", "arguments": '"""
        f"""{{"text": "{text}"}}'}} <|endoftext|>\n\n\nUSER: b"""
    )
    _, call, last = read(chat, MAIL).conversation.messages
    assert call.tool_calls == (ToolCall("send_mail", {"text": text}),)
    assert last == Message("user", "b")


def test_a_mended_call_is_a_repair_with_before_and_after() -> None:
    turn = r"""ASSISTANT: <functioncall> {"name": "send_mail", "arguments": '{"text": "it\'s"}'}"""
    (change,) = read(f"USER: a\n\n\n{turn} <|endoftext|>", MAIL).changes
    assert (change.rule, change.pointer) == ("call-syntax", "/chat")
    assert turn in change.before
    assert change.after == {"name": "send_mail", "arguments": {"text": "it's"}}


@pytest.mark.parametrize(
    ("chat", "system", "rule", "where"),
    [
        ('USER: a\n\n\nASSISTANT: <functioncall> {"name": "now', None, "unreadable-call", "/chat"),
        ("USER: a\n\n\nASSISTANT: <functioncall>", None, "unreadable-call", "/chat"),
        ("Hello\n\n\nUSER: a", None, "wrong-layout", "/chat"),
        ("", None, "wrong-layout", "/chat"),
        ("USER: a", WITH + '{"name": "now"', "unreadable-tools", "/system"),
        ("USER: a", WITH + '{"description": "no name"}', "unreadable-tools", "/system"),
        ("USER: a", WITH + '{"name": "now", "parameters": 5}', "unreadable-tools", "/system"),
        ("USER: a", WITH + "now()", "unreadable-tools", "/system"),
    ],
)
def test_unreadable_row_is_rejected_with_rule_and_place(
    chat: str, system: str | None, rule: str, where: str
) -> None:
    with pytest.raises(Rejected) as raised:
        read(chat, NOW, system=system)
    assert (raised.value.rule, raised.value.pointer) == (rule, where)


def test_raw_glaive_rows_equal_their_sharegpt_versions(
    shared: Path,
) -> None:
    raw = read_rows(shared / "glaive_v2_raw/reconstructed_layout.en_part.json")
    made_from = read_rows(shared / "glaive_toolcall_sharegpt/glaive_toolcall_en_demo.part.json")
    conversations = [SOURCES["glaive"].read(row.value) for row in raw]
    assert len(conversations) == 171
    assert conversations == [SOURCES["sharegpt"].read(row.value) for row in made_from]


def test_unclosed_call_is_tried_at_few_possible_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    real = glaive._is_readable

    def counted(piece: str) -> bool:
        asked.append(piece)
        return real(piece)

    monkeypatch.setattr(glaive, "_is_readable", counted)
    open_call = 'ASSISTANT: <functioncall> {"name": \'x' + "\n\n\nUSER: a }" * 200
    with pytest.raises(Rejected, match="unreadable-call"):
        glaive.read({"system": WITH + json.dumps(NOW), "chat": open_call})
    assert len(asked) == glaive.MOST_ENDS
