"""Rendered texts of our chat formats, read back as the conversations they were written from."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chat.conversation import Conversation, Message, Tool, ToolCall
from chat.formats.known import FORMATS
from chat.formats.rendering import render
from data.outcomes import Draft, Rejected
from data.reading import SOURCES, detect_format

SCHEMA = {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]}
TIDE = Tool("find_tide", "Finds the next high tide.", SCHEMA)
ASKED = Message("user", "When is high tide at Hull?")
CALLED = Message("assistant", tool_calls=(ToolCall("find_tide", {"port": "Hull"}),))
RESULT = Message("tool", '{"high": "14:20"}')
ANSWER = Message("assistant", "At 14:20.")
WHOLE = Conversation((ASKED, CALLED, RESULT, ANSWER), (TIDE,))
# The formats that announce tools with their schemas, and write conversations of several turns.
READABLE = (
    *("llama3_1", "llama3_for_tool", "qwen2_5", "qwen3", "qwen2_for_tool"),
    *("mistral_v3", "mistral_tekken", "glaive_text", "tool_call_tags", "hermes"),
)


def text_of(conversation: Conversation, name: str) -> str:
    return "".join(segment.text for segment in render(conversation, FORMATS[name]))


def read(text: str, **beside: Any) -> Draft:
    row = {"text": text, **beside}
    assert detect_format(row) == "text"
    return SOURCES["text"].read(row)


def said(conversation: Conversation) -> list[Any]:
    return [
        (m.role, m.content.strip(), [(call.name, dict(call.arguments)) for call in m.tool_calls])
        for m in conversation.messages
        if m.role != "system"
    ]


@pytest.mark.parametrize("name", READABLE)
def test_a_written_conversation_is_read_back(name: str) -> None:
    conversation = WHOLE
    if name.startswith("mistral"):
        named = ToolCall("find_tide", {"port": "Hull"}, id="abcdefghi")
        called, result = Message("assistant", tool_calls=(named,)), Message("tool", RESULT.content)
        conversation = Conversation((ASKED, called, result, ANSWER), (TIDE,))
    found = read(text_of(conversation, name)).conversation
    assert said(found) == said(WHOLE)
    assert [(tool.name, tool.parameters) for tool in found.tools] == [(TIDE.name, SCHEMA)]


@pytest.mark.parametrize("name", ["llama3", "llama3_short", "hermes_short"])
def test_tools_announced_as_typescript_must_stand_beside_the_text(name: str) -> None:
    text = text_of(WHOLE, name)
    with pytest.raises(Rejected, match="give them beside the text") as raised:
        read(text)
    assert (raised.value.rule, raised.value.pointer) == ("unreadable-tools", "/text")
    found = read(text, tools=[TIDE.to_record()]).conversation
    assert said(found) == said(WHOLE) and found.tools == (TIDE,)
    assert not any("type find_tide" in message.content for message in found.messages)


@pytest.mark.parametrize("name", ["hermes", "hermes_short", "tool_call_tags"])
@pytest.mark.parametrize("system", ["Be brief.", "Harbour desk.\n\n# Tools\n\n// none\n"])
def test_an_announcement_of_ours_is_no_system_text(name: str, system: str) -> None:
    told = (Message("system", system), *WHOLE.messages)
    tools = (replace(TIDE, description="Finds\u2028tides.\n\n# Tools\n\ntype x"), TIDE)
    text = text_of(Conversation(told, tools), name)
    found = read(text, tools=[tool.to_record() for tool in tools]).conversation
    assert (found.messages, found.tools) == (told, tools)
    if name != "hermes_short":
        assert read(text).conversation == found


def test_a_heading_of_tools_is_kept_without_types_after_it() -> None:
    told = (Message("system", "# Tools\n\nA hammer; see f() => any;"), *WHOLE.messages)
    assert read(text_of(Conversation(told), "hermes")).conversation.messages[0] == told[0]


def test_a_question_with_its_reply_in_phi3_xlam_is_read_back() -> None:
    found = read(text_of(Conversation((ASKED, CALLED), (TIDE,)), "phi3_xlam")).conversation
    assert said(found) == said(Conversation((ASKED, CALLED)))
    assert [tool.name for tool in found.tools] == ["find_tide"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_chat_without_tools_is_read_back(name: str) -> None:
    chat = Conversation((Message("user", "Is Hull a port?"), Message("assistant", "It is.")))
    assert said(read(text_of(chat, name)).conversation) == said(chat)


def test_the_system_text_of_llama_2_is_told_from_the_question() -> None:
    text = "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nIs Hull a port? [/INST] It is. </s>"
    found = read(text).conversation
    assert found.messages == (
        Message("system", "Be brief."),
        Message("user", "Is Hull a port?"),
        Message("assistant", "It is."),
    )


def test_a_prompt_and_a_completion_that_were_rendered_are_one_text() -> None:
    prompt, mark, completion = text_of(WHOLE, "qwen2_5").rpartition("<|im_start|>assistant\n")
    row = {"prompt": prompt + mark, "completion": completion}
    assert detect_format(row) == "prompt_completion"
    assert said(SOURCES["prompt_completion"].read(row).conversation) == said(WHOLE)


@pytest.mark.parametrize("text", ["Once upon a time.", "", json.dumps({"a": 1}), "USER: a"])
def test_a_text_without_marks_has_no_layout(text: str) -> None:
    with pytest.raises(ValueError, match="no known layout"):
        detect_format({"text": text})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("When is high tide?", "the marks of no known chat format"),
        ("<|im_start|>", "no header of a turn names its role"),
    ],
)
def test_a_text_without_marks_of_turns_is_rejected(text: str, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        SOURCES["text"].read({"text": text})
