"""Tools that stand only in a system text are found there, and other texts stay as they are."""

import json
from typing import Any

import pytest

from chat.conversation import Conversation
from data.outcomes import Rejected
from data.reading import SOURCES, system_text
from data.reading.system_text import WITH_TOOLS, WITHOUT_TOOLS, SystemText, read_system

F = {"name": "f", "description": "It's f.", "parameters": {"a": {"type": "str"}}}
G = {"name": "g", "description": "no parameters"}


def found(text: str) -> tuple[str, list[str]]:
    read = read_system(text, "/system")
    return read.content, [tool.name for tool in read.declarations.tools]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (f"SYSTEM: {WITH_TOOLS}\n{json.dumps(F, indent=4)}\n\n{json.dumps(G)}\n", ""),
        (f"{WITH_TOOLS} {json.dumps([F, G])}", ""),
        (f"Be brief.\n{json.dumps(F, indent=4)}\n\n{json.dumps(G, indent=4)}", "Be brief."),
        (f"Use these: {json.dumps([F, G])}\nBe brief.", "Use these:\n\nBe brief."),
        (f"Use these functions: {[F, G]}", "Use these functions:"),
        (f"Inside <tools></tools> tags: <tools>{json.dumps([F, G])}</tools>", "Inside"),
        (f"<tools>\n{json.dumps(F)}\n{json.dumps(G)}\n</tools>\nBe brief.", "Be brief."),
        (f"<tools>{[F, G]}</tools>", ""),
        (f"[AVAILABLE_TOOLS]{json.dumps([F, G])}[/AVAILABLE_TOOLS]", ""),
    ],
)
def test_tools_inside_a_text_are_found(text: str, content: str) -> None:
    around, names = found(text)
    assert names == ["f", "g"]
    assert around == content or (content and around.startswith(content))


@pytest.mark.parametrize(
    "text",
    [
        "Be brief.",
        'Answer as {"name": "...", "age": 5}.',
        'Answer as {"name": "...", "description": "..."}',
        "Write [{'name': 'x'}] only.",
        'A { and "a" brace',
        "<tools></tools>",
    ],
)
def test_text_without_tools_is_unchanged(text: str) -> None:
    assert found(text) == (text, [])


def test_boilerplate_gives_no_content_and_no_tools() -> None:
    assert found(f"SYSTEM: {WITHOUT_TOOLS}\n\n") == ("", [])
    assert found(f"{WITH_TOOLS} ") == ("", [])


@pytest.mark.parametrize("text", [f'{WITH_TOOLS}\n{{"name": "f"', '<tools>{"name": "f"</tools>'])
def test_announced_tools_that_cannot_be_read_are_rejected(text: str) -> None:
    with pytest.raises(Rejected, match="the tools are not JSON"):
        found(text)


def test_nested_starts_are_read_only_a_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = []
    real = system_text.last_collection

    def counted(text: str, at: int) -> tuple[Any, int]:
        places.append(at)
        return real(text, at)

    monkeypatch.setattr(system_text, "last_collection", counted)
    prose = '{"name": [1, ' * 900
    assert read_system(prose, "/system") == SystemText(prose.strip())
    assert 8 < len(places) < 100


SAMPLE = 'You write API pages. Style sample: {"name": "plan", "parameters": "none at all"}'
PLAN = (
    'Write plans. One looks like this:\n{"name": "plan", "parameters": {"legs": "int"}}\nBe brief.'
)


def row(system: str, answer: Any = "Ahoy there.", tools: Any = ()) -> Conversation:
    turns = [{"role": "system", "content": system}, {"role": "user", "content": "Hello."}]
    turns.append(answer if isinstance(answer, dict) else {"role": "assistant", "content": answer})
    return SOURCES["openai"].read({"messages": turns, "tools": list(tools)}).conversation


@pytest.mark.parametrize("text", [SAMPLE, PLAN, f" {PLAN} ", f"<tools>{json.dumps(G)}</tools>"])
def test_given_tools_leave_a_system_text_as_it_stood(text: str) -> None:
    found = row(text, tools=[F])
    assert [tool.name for tool in found.tools] == ["f"]
    assert found.messages[0].content == text


@pytest.mark.parametrize(
    "text",
    [
        SAMPLE,
        "Put lists in <tools>hammer, saw</tools> tags.",
        'Hermes opens with <tools>{"name": <function-name>}</tools>.',
        f'{WITH_TOOLS}\n{{"name": "f"',
    ],
)
def test_prose_never_rejects_a_row(text: str) -> None:
    assert row(text).messages[0].content == text and row(text).tools == ()


def test_a_prose_example_does_not_hide_the_tools() -> None:
    found = row(f"{SAMPLE} Your tools: {json.dumps([F])}")
    assert [tool.name for tool in found.tools] == ["f"]
    assert found.messages[0].content == f"{SAMPLE} Your tools:"


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"a": "x"}}]},
        '<tool_call>{"name": "f", "arguments": {"a": "x"}}</tool_call>',
        '[f(a="x")]',
    ],
)
def test_announced_tools_must_be_readable_where_calls_need_them(answer: Any) -> None:
    with pytest.raises(Rejected) as raised:
        row('<tools>[{"name": "f"</tools>', answer)
    assert (raised.value.rule, raised.value.pointer) == ("unreadable-tools", "/messages/0/content")
