"""The restated rules of servers' parsers agree with what was recorded of the parsers themselves."""

import pytest
from recorded_verdicts import (
    REPLIES,
    SAME_REPLIES,
    VERSIONS,
    reading,
    recorded_parsers,
    shapes_of,
    streamed_readings,
)

from chat.formats.known import find_format
from export.parsers import SERVER_PARSERS, Reading, read_as
from export.serve_check import written_replies
from export.servers import LOST_WHEN_STREAMED, PARSERS, RECORDED
from export.shapes import TOOLS

NAMES = {tool.name for tool in TOOLS}
RESTATED = [key for key in SERVER_PARSERS if key in recorded_parsers()]


@pytest.mark.parametrize(("server", "parser"), RESTATED)
def test_a_restated_rule_agrees_with_every_recorded_verdict(server: str, parser: str) -> None:
    for name, text in REPLIES.items():
        found = read_as(server, parser, text, NAMES)
        assert (name, found._replace(content=found.content.strip())) == (
            name,
            reading(server, parser, name),
        )


@pytest.mark.parametrize(("server", "parser"), SERVER_PARSERS)
@pytest.mark.parametrize("nested", ["[", '{"a":'])
def test_json_that_is_nested_deeply_is_no_call(server: str, parser: str, nested: str) -> None:
    openings = ("<tool_call>\n", "[TOOL_CALLS] [", '{"name": "f", "arguments": ', "<|python_tag|>")
    for opening in openings:
        text = opening + nested * 100_000
        assert not read_as(server, parser, text, ("f",)).calls


def test_objects_are_read_inside_one_that_breaks_off() -> None:
    call = '{"name":"read_file", "parameters": {}}'
    text = f'{{"name":[[1, "]{{"], {{"name":[{call}, x, {call};{call}'
    assert read_as("sglang", "llama3", text, {"read_file"}) == Reading("", (("read_file", {}),) * 3)


def test_only_parsers_that_were_not_recorded_have_no_verdicts() -> None:
    assert set(SERVER_PARSERS) - set(RESTATED) == {("tensorrt-llm", "qwen3")}
    assert VERSIONS == RECORDED


def test_shapes_lost_when_streamed_are_those_recorded() -> None:
    lost: dict[tuple[str, str], set[str]] = {}
    for format_name, servers in PARSERS.items():
        for server, parsers in servers.items():
            for parser in parsers if server in VERSIONS else ():
                for name, wanted in shapes_of(format_name).items():
                    whole = reading(server, parser, name) == wanted
                    streamed = streamed_readings(server, parser, name)
                    if whole and any(found != wanted for found in streamed):
                        lost.setdefault((server, parser), set()).add(name.split(": ")[1])
    stated = {key: set(shapes) for key, shapes in LOST_WHEN_STREAMED.items() if key[0] in VERSIONS}
    assert stated == lost


def test_sglangs_mistral_parser_loses_every_call_of_tekken() -> None:
    """The reason why the table does not name it: HTTP 200, and neither a call nor a text."""
    names = [name for name, wanted in shapes_of("mistral_tekken").items() if wanted.calls]
    assert not any(reading("sglang", "mistral", name).calls for name in names)
    assert reading("sglang", "mistral", "mistral_tekken: one call") == ("", ())


@pytest.mark.parametrize("format_name", PARSERS)
def test_verdicts_were_recorded_on_what_a_format_writes(format_name: str) -> None:
    written = written_replies(find_format(format_name))[0]
    recorded = SAME_REPLIES.get(format_name, format_name)
    assert {f"{recorded}: {shape}": text for shape, text in written.items()} == {
        name: text for name, text in REPLIES.items() if name.startswith(f"{recorded}: ")
    }


def test_every_format_with_recorded_replies_has_parsers() -> None:
    recorded_formats = {name.split(": ")[0] for name in REPLIES} - {"no format"}
    assert set(PARSERS) - set(SAME_REPLIES) == recorded_formats
