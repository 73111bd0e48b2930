"""The vLLM plugin reads what the project's own reader reads, whole and in pieces of any size."""

import json
import time
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vllm_stand_in import NEW_PLACES, OLD_PLACES, PLUGIN, ToolParserManager, load_plugin

from chat.conversation import Message, ToolCall
from chat.formats.known import find_format
from chat.formats.rendering import parse_reply, written_reply
from export.serve_check import written_replies
from export.servers import PLUGIN_PARSER

FORMAT = find_format("llama3")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
CALLS = st.lists(
    st.builds(ToolCall, st.text(min_size=1, max_size=6), st.dictionaries(st.text(), JSON)),
    max_size=3,
)
WRITTEN = st.builds(
    lambda content, calls: written_reply(Message("assistant", content, tuple(calls)), FORMAT),
    st.text(max_size=20),
    CALLS,
)
USE = '{"recipient_name": "functions.a", "parameters": {"b": [1, "}"]}}'
PARTS = st.lists(
    st.sampled_from(
        [
            '{"tool_uses"', '{ "tool_uses"', ": [", USE, ", ", "]}", "\n", " ", "text", "{", "}",
            '{"recipient_name": 1, "parameters": {}}', '{"recipient_name"', '"', "\\", "NaN",
            '{"recipient_name": "functions.", "parameters": {}}', '{"tool', "1e999", "null",
            '{"a": 1, "a": 2}',
        ]
    ),
    max_size=9,
).map("".join)  # fmt: skip
# A reply of the format, whole or cut, or pieces of one in any order.
REPLIES = WRITTEN | st.tuples(WRITTEN, st.integers(0, 60)).map(lambda cut: cut[0][: cut[1]]) | PARTS


@pytest.fixture(scope="module")
def plugin() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield load_plugin(patch)


def streamed(plugin: ModuleType, text: str, size: int) -> tuple[str, list[Any]]:
    """Return content and calls of a reply that was fed to vLLM's interface in pieces."""
    parser = plugin.ToolUsesParser(tokenizer=None)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    deltas = [parser.extract_tool_calls_streaming("", "", p, [], [], [], None) for p in pieces]
    deltas = [delta for delta in [*deltas, parser.finish_streaming()] if delta]
    calls = [call.function for delta in deltas for call in delta.tool_calls]
    content = "".join(delta.content or "" for delta in deltas)
    return content, [(call.name, json.loads(call.arguments)) for call in calls]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=REPLIES)
def test_the_plugin_reads_a_reply_as_the_project_does(plugin: ModuleType, text: str) -> None:
    reply = parse_reply(text, FORMAT)
    content, calls = plugin.read_reply(text)
    assert content == reply.content
    assert calls == [(call.name, call.arguments) for call in reply.tool_calls]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=REPLIES, size=st.integers(1, 9))
def test_a_streamed_reply_is_read_as_the_whole_one(
    plugin: ModuleType, text: str, size: int
) -> None:
    whole = plugin.ToolUsesParser(tokenizer=None).extract_tool_calls(text, None)
    content, calls = streamed(plugin, text, size)
    if whole.tools_called:
        made = [(call.function.name, call.function.arguments) for call in whole.tool_calls]
        assert calls == [(name, json.loads(arguments)) for name, arguments in made]
        assert content.strip() == (whole.content or "")
    elif calls:
        # Complete calls are sent at once; what follows them spoilt the reply.
        assert text.startswith(content)
    else:
        assert content == text == whole.content


def test_text_is_passed_on_at_once_and_calls_when_complete(plugin: ModuleType) -> None:
    reader = plugin.ReplyReader()
    pieces = ["Let me", " see.\n", '{"tool', '_uses": [', USE[:30], USE[30:], ", ", USE, "]", "}"]
    fed = [reader.feed(piece) for piece in pieces]
    call = ("a", {"b": [1, "}"]})
    assert [content for content, _ in fed] == ["Let me", " see.\n", *[""] * 8]
    assert [calls for _, calls in fed] == [*[[]] * 5, [call], [], [call], [], []]
    assert reader.finish() == ("", [])


@pytest.mark.parametrize("text", ["Sets are written {", 'See\n{"tool_uses', '{"tool_uses": [{"a'])
def test_held_back_text_is_passed_on_at_the_end(plugin: ModuleType, text: str) -> None:
    assert streamed(plugin, text, 4) == (text, [])


def test_every_shape_of_reply_is_read_by_the_plugin(plugin: ModuleType) -> None:
    replies, unwritable = written_replies(FORMAT)
    assert not unwritable
    for name, text in replies.items():
        reply = parse_reply(text, FORMAT)
        wanted = [(call.name, call.arguments) for call in reply.tool_calls]
        assert streamed(plugin, text, 3)[1] == wanted, name


def test_what_was_sent_is_noted_where_vllm_looks_for_it(plugin: ModuleType) -> None:
    parser = plugin.ToolUsesParser(tokenizer=None)
    parser.extract_tool_calls_streaming("", "", f'{{"tool_uses": [{USE}', [], [], [], None)
    assert parser.prev_tool_call_arr == [{"name": "a", "arguments": {"b": [1, "}"]}}]
    assert parser.streamed_args_for_tool == ['{"b": [1, "}"]}']


@pytest.mark.parametrize("places", [NEW_PLACES, OLD_PLACES])
def test_the_plugin_registers_itself_in_new_and_old_vllm(
    monkeypatch: pytest.MonkeyPatch, places: tuple[str, str]
) -> None:
    monkeypatch.setattr(ToolParserManager, "registered", {})
    plugin = load_plugin(monkeypatch, places=places)
    assert ToolParserManager.registered == {PLUGIN_PARSER: plugin.ToolUsesParser}


def test_the_plugin_imports_nothing_of_the_project() -> None:
    lines = PLUGIN.read_text(encoding="utf-8").splitlines()
    imported = {line.split()[1].split(".")[0] for line in lines if line[:5] in ("impor", "from ")}
    assert imported == {"json", "math", "re", "uuid", "collections", "importlib", "typing"}


def test_a_long_wait_for_a_call_takes_linear_time(plugin: ModuleType) -> None:
    reader = plugin.ReplyReader()
    start = time.perf_counter()
    for piece in ["{", *[" "] * 300_000]:
        reader.feed(piece)
    # About half a second; copying the held-back text for each piece would take a minute.
    assert time.perf_counter() - start < 10
