"""Streaming: however a reply is cut into pieces, the events add up to what the whole is read as."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_examples import tries
from small_tokenizers import write_tekken, write_tokenizer_json
from speaking_model import TOKENIZER
from varied_text import varied_strings

from chat.conversation import ToolCall
from chat.formats.call_syntax import CallSyntax, write_reply
from chat.formats.format import ChatFormat
from chat.formats.known import FORMATS
from chat.formats.rendering import parse_reply
from chat.tokenizers.tokenizer import Tokenizer, load_tokenizer
from inference.streaming import Event, ReplyStream, TextDelta, TokenText, WholeCall, assemble

DEMO = load_tokenizer(TOKENIZER)
CALLS = st.lists(
    st.builds(
        ToolCall,
        st.sampled_from(["f", "math.mean", "名前"]),
        st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3),
    ),
    max_size=3,
)
SPLITTABLE = {
    name: format
    for name, format in FORMATS.items()
    if format.calls.between and format.calls.joint is not None
}


def fragments(syntax: CallSyntax) -> st.SearchStrategy[str]:
    """Texts of what calls are written with, whole and broken."""
    pieces = [
        *("{", "}", "[", "]", '"', "\n", " ", ",", ":", "text", "\\", "1e999", "é", "{ \n"),
        *(syntax.opening, syntax.between, syntax.closing, syntax.opening[:5], syntax.closing[1:]),
        *(start.replace(" ", blank) for start in syntax.starts for blank in ("", " ", " \n")),
        *(start.replace(" ", "")[:-2] for start in syntax.starts),
        syntax.object_start("f") + "{}" + "}" * bool(syntax.name_key),
        syntax.object_start("f"),
    ]
    return st.lists(st.sampled_from(pieces), max_size=12).map("".join)


def events_of(pieces: list[str], format: str) -> list[Event]:
    stream = ReplyStream(FORMATS[format])
    return [*(event for piece in pieces for event in stream.feed(piece)), *stream.finish()]


@pytest.mark.parametrize("format", FORMATS)
class TestEveryFormat:
    @tries(400)
    @given(data=st.data(), cuts=st.lists(st.integers(0, 200), max_size=8))
    def test_any_text_cut_anywhere_is_read_as_the_whole(
        self, format: str, data: st.DataObject, cuts: list[int]
    ) -> None:
        text = data.draw(fragments(FORMATS[format].calls))
        borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
        pieces = [text[a:b] for a, b in pairwise(borders)]
        assert assemble(events_of(pieces, format)) == parse_reply(text, FORMATS[format])

    @tries(100)
    @given(calls=CALLS, content=st.sampled_from(["", "I look.", " a\n\n{b} "]))
    def test_written_calls_come_back_one_character_at_a_time(
        self, format: str, calls: list[ToolCall], content: str
    ) -> None:
        syntax = FORMATS[format].calls
        calls = (calls if syntax.between else calls[:1]) * bool(syntax.starts)
        text = write_reply(content if syntax.joint or not calls else "", calls, syntax)
        assert assemble(events_of(list(text), format)) == parse_reply(text, FORMATS[format])


@pytest.mark.parametrize("format", SPLITTABLE.values(), ids=SPLITTABLE)
def test_a_call_is_told_before_the_next_one_begins(format: ChatFormat) -> None:
    stream = ReplyStream(format)
    calls = [ToolCall("first", {"a": 1}), ToolCall("second", {})]
    text = write_reply("Both.", calls, format.calls)
    cut = text.index("second")
    early = list(stream.feed(text[:cut]))
    assert [event for event in early if isinstance(event, WholeCall)] == [WholeCall(calls[0])]
    assert assemble([*early, *stream.feed(text[cut:])]).tool_calls == tuple(calls)


def test_text_streams_at_once_and_possible_calls_wait() -> None:
    stream = ReplyStream(FORMATS["llama3"])
    assert list(stream.feed("\n Hello ")) == [TextDelta("Hello")]
    assert list(stream.feed("you {")) == [TextDelta(" you")]
    assert list(stream.feed(' "tool')) == []
    assert list(stream.feed("s")) == [TextDelta(' { "tools')]


def test_calls_of_an_unreadable_reply_are_taken_back() -> None:
    text = '{"tool_uses": [{"recipient_name": "f", "parameters": {}}, nothing'
    events = events_of([text], "llama3")
    assert any(isinstance(event, WholeCall) for event in events)
    reply = assemble(events)
    assert (reply.content, reply.tool_calls) == (text, ())
    assert re.match("the call is no JSON", reply.problem or "")


@tries(100)
@given(text=st.text(st.characters(exclude_categories=["Cs"])) | st.just("a\ufffd😀é\ufffd"))
def test_tokens_become_text_without_half_characters(text: str) -> None:
    stream = TokenText(DEMO, FORMATS["llama3"])
    pieces = [stream.feed(token) for token in DEMO.encode(text)]
    assert "".join([*pieces, stream.finish()]) == text
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text


@pytest.fixture(scope="module", params=["phi3", "qwen", "phi4", "smollm2", "tekken", "mistral v1"])
def other_kind(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Tokenizer:
    directory = tmp_path_factory.mktemp("tokenizer")
    if request.param == "phi3":
        return load_tokenizer(shared / "tokenizers" / "phi3")
    if request.param == "mistral v1":
        return load_tokenizer(shared / "tokenizers/mistral_sentencepiece/tokenizer.model.v1")
    if request.param == "tekken":
        return load_tokenizer(write_tekken(directory / "tekken.json"))
    return load_tokenizer(write_tokenizer_json(directory / "tokenizer.json", request.param))


def test_tokens_of_every_kind_become_text_without_half_characters(other_kind: Tokenizer) -> None:
    for text in varied_strings(200, seed=3, without="\ufffd\u2581"):
        ids = other_kind.encode(text)
        stream = TokenText(other_kind, FORMATS["llama3"])
        pieces = [stream.feed(token) for token in ids]
        assert "".join([*pieces, stream.finish()]) == other_kind.decode(ids), repr(text)
        assert all("\ufffd" not in piece for piece in pieces), repr(text)
