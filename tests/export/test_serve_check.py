"""The serve check says which shapes of replies each parser of a server reads and loses."""

import pytest

from chat.conversation import Message, ToolCall
from chat.formats.known import FORMATS, find_format
from export.derived import Derived
from export.serve_check import (
    Outcome,
    ServeCheck,
    check_serving,
    format_serve_table,
    written_replies,
)
from export.servers import PARSERS
from export.shapes import SHAPES, Shape

LLAMA3 = find_format("llama3")
ALL = tuple(name for name, _ in SHAPES)
CHECK = ServeCheck(
    "qwen2_5",
    (
        Outcome("vllm", "hermes", ("a", "b"), ("c",), ()),
        Outcome("vllm", "hf", ("a", "b", "c"), (), ()),
        Outcome("sglang", "qwen25", ("a", "b", "c"), (), ("b", "c")),
        Outcome("sglang", "response_template", ("a", "b"), ("c",), ()),
        Outcome("llama.cpp", "chat template", ("a", "b", "c"), (), ()),
    ),
    ("d",),
)
# The parsers of CHECK read shapes by these names.
TURNS = [Shape(name, Message("assistant", "", (ToolCall("f", {}),))) for name in "abcd"]


@pytest.mark.parametrize("name", sorted(PARSERS))
@pytest.mark.parametrize("server", ["vllm", "sglang"])
def test_parser_reads_every_reply_of_its_format(server: str, name: str) -> None:
    best = check_serving(find_format(name)).of(server)[0]
    assert (best.lost, best.streamed_lost) == ((), ())


def test_every_format_but_one_without_calls_has_parsers() -> None:
    assert set(FORMATS) - set(PARSERS) == {"mistral_v1"}
    check = check_serving(find_format("mistral_v1"))
    assert not check.has_calls
    said = "The format mistral_v1 has no calls, so a server needs no parser."
    assert format_serve_table(check) == said


def test_tags_of_ordinary_text_cost_tensorrt_llm_the_text_before() -> None:
    (tokens,), (text,) = (
        check_serving(find_format(name)).of("tensorrt-llm") for name in ("qwen2_5", "hermes")
    )
    lost = {"text beside a call", "text beside calls"}
    assert set(text.streamed_lost) - set(tokens.streamed_lost) == lost


def test_settings_after_a_name_change_no_parser() -> None:
    check = check_serving(find_format("llama3_1:date=30 Nov 2026"))
    assert check.best_parser("sglang") == "response_template"


@pytest.mark.parametrize("name", ["llama3", "llama3_short"])
def test_vllm_and_sglang_read_every_shape_of_llama3(name: str) -> None:
    check = check_serving(find_format(name))
    assert check.unwritable == ()
    outcomes = [*check.of("vllm"), *check.of("sglang"), *check.of("tensorrt-llm")]
    assert {(found.server, found.parser, found.read, found.lost) for found in outcomes} == {
        ("vllm", "tool_uses", ALL, ()),
        ("vllm", "hf", ALL, ()),
        ("sglang", "response_template", ALL, ()),
    }


def test_a_parser_that_reads_other_calls_loses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.serve_check.PARSERS", {"llama3": {"vllm": ("hermes",)}})
    (outcome,) = check_serving(LLAMA3).of("vllm")
    assert "one call" in outcome.lost
    assert "text" in outcome.read


def test_shapes_lost_when_streamed_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {("vllm", "tool_uses"): ("unicode", "text")}
    monkeypatch.setattr("export.serve_check.LOST_WHEN_STREAMED", lost)
    outcome = check_serving(LLAMA3).of("vllm")[-1]
    assert (outcome.parser, outcome.lost) == ("tool_uses", ())
    assert outcome.streamed_lost == ("text", "unicode")


def test_the_best_parser_loses_the_fewest_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.serve_check.SHAPES", TURNS)
    assert CHECK.best_parser("vllm") == "hf"
    assert CHECK.best_parser("sglang") == "response_template"
    assert CHECK.best_parser("tensorrt-llm") is None


def test_of_equal_parsers_the_servers_own_is_the_best() -> None:
    assert check_serving(LLAMA3).best_parser("vllm") == "tool_uses"


def test_a_parser_that_reads_no_call_is_never_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tuple(name for name, turn in SHAPES if turn.tool_calls)
    monkeypatch.setattr("export.serve_check.derived_losses", lambda format: Derived("", calls))
    check = check_serving(LLAMA3)
    assert [outcome.parser for outcome in check.of("llama.cpp")] == ["chat template"]
    assert check.best_parser("llama.cpp") is None


def test_nothing_is_said_of_llama_cpp_where_nothing_was_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.serve_check.derived_losses", lambda format: None)
    check = check_serving(LLAMA3)
    assert check.of("llama.cpp") == ()
    assert "llama.cpp" not in format_serve_table(check)


def test_a_shape_that_a_format_cannot_write_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(message: object, format: object) -> str:
        raise ValueError("two calls")

    monkeypatch.setattr("export.serve_check.written_reply", refuse)
    assert written_replies(LLAMA3) == ({}, ALL)


def test_the_table_has_a_row_for_each_parser_and_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.serve_check.SHAPES", TURNS)
    assert format_serve_table(CHECK).splitlines() == [
        "Replies in the format qwen2_5, as servers read them:",
        "server        parser             reads  loses      loses streamed",
        "vLLM          hf                 3      0          0",
        "vLLM          hermes             2      1          0",
        "SGLang        response_template  2      1          0",
        "SGLang        qwen25             3      0          2",
        "TensorRT-LLM  none               0      all calls",
        "llama.cpp     chat template      3      0          0",
    ]
