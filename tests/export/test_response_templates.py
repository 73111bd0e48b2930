"""Response templates: Transformers, vLLM and SGLang read every reply by them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_verdicts import REPLIES, SAME_REPLIES, reading, shapes_of, streamed_readings

from chat.conversation import Message, ToolCall
from chat.formats.known import find_format
from chat.formats.rendering import parse_reply, written_reply
from export.parsers import Reading
from export.response_templates import CALL_FIELDS, read_by_template, response_template
from export.serve_check import format_response_template
from export.servers import TEMPLATE_PARSERS

OPENING, STOP = "ASSISTANT:", "<|eot_id|>"


def template_of(format_name: str) -> dict[str, Any]:
    template = response_template(format_name, [OPENING], [STOP])
    assert template is not None
    return template


def stripped(found: Reading) -> Reading:
    return found._replace(content=found.content.strip())


@pytest.mark.parametrize("format_name", CALL_FIELDS)
def test_our_reading_by_a_template_finds_every_call(format_name: str) -> None:
    for name, wanted in shapes_of(format_name).items():
        found = read_by_template(template_of(format_name), REPLIES[name])
        assert (name, stripped(found)) == (name, wanted)


@pytest.mark.parametrize("format_name", CALL_FIELDS)
@pytest.mark.parametrize(("server", "parser"), TEMPLATE_PARSERS.items())
def test_servers_read_every_reply_by_the_template(
    server: str, parser: str, format_name: str
) -> None:
    for name, wanted in shapes_of(format_name).items():
        assert (name, reading(server, parser, name)) == (name, wanted)
        assert not list(streamed_readings(server, parser, name))


@pytest.mark.parametrize("format_name", CALL_FIELDS)
def test_transformers_reads_every_reply_by_the_template(format_name: str) -> None:
    parsing = pytest.importorskip("transformers.utils.chat_parsing")
    for name, wanted in shapes_of(format_name).items():
        message = parsing.parse_response(
            REPLIES[name] + STOP, template_of(format_name), prefix=f"Hello {OPENING}"
        )
        functions = [call["function"] for call in message.get("tool_calls", [])]
        calls = tuple((function["name"], function["arguments"]) for function in functions)
        assert (name, calls) == (name, wanted.calls)
        assert message.get("content", "").strip() == wanted.content
        assert message["role"] == "assistant"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.from_regex(r"[a-zA-Z_.-]{1,6}", fullmatch=True)
CALLS = st.lists(st.builds(ToolCall, NAMES, st.dictionaries(st.text(), VALUES)), max_size=3)


@settings(max_examples=300)
@given(content=st.text(max_size=10), calls=CALLS)
def test_random_calls_are_read_as_the_project_reads_them(
    content: str, calls: list[ToolCall]
) -> None:
    format = find_format("llama3")
    text = written_reply(Message("assistant", content, tuple(calls)), format)
    reply, template = parse_reply(text, format), format_response_template(format)
    assert template is not None
    made = tuple((call.name, call.arguments) for call in reply.tool_calls)
    assert stripped(read_by_template(template, text)) == (reply.content, made)


def test_a_call_that_is_no_json_is_lost_alone() -> None:
    good, bad = '{"name": "a", "arguments": {}}', '{"name": '
    text = "".join(f"<tool_call>\n{call}\n</tool_call>\n" for call in (bad, good))
    found = read_by_template(template_of("qwen2_5"), text)
    assert found.calls == (("a", {}),)


@pytest.mark.parametrize("format_name", CALL_FIELDS)
def test_json_that_is_nested_deeply_is_no_call(format_name: str) -> None:
    text = written_reply(
        Message("assistant", "", (ToolCall("f", {"a": "here"}),)), find_format(format_name)
    )
    before, _, after = text.partition('"here"')
    deep = before + "[" * 100_000 + "]" * 100_000 + after
    assert not read_by_template(template_of(format_name), deep).calls


def test_a_template_is_plain_json_and_names_openings_and_stops() -> None:
    template = template_of("tool_call_tags")
    assert json.loads(json.dumps(template)) == template
    assert template["start_anchor"] == [OPENING]
    assert template["fields"]["content"]["close"] == [STOP]


def test_a_format_without_calls_has_no_template() -> None:
    assert response_template("mistral_v1", [OPENING], [STOP]) is None
    assert set(SAME_REPLIES) <= set(CALL_FIELDS)
