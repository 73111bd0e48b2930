"""Calls that stand in a text: every notation is read, and what is no call stays text."""

import json
from typing import Any

import pytest

from chat.conversation import Tool
from data.reading.marked_calls import read_call_body
from data.reading.notations import find_calls, read_calls_of_turn

PORT = {"type": "object", "properties": {"port": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS = {
    "find_tide": Tool("find_tide", "Finds the next high tide.", PORT),
    "now": Tool("now"),
    "Market Trends API": Tool("Market Trends API"),
    "harbour.open": Tool("harbour.open"),
}
HULL = '{"port": "Hull"}'
CALL = '{"name": "find_tide", "arguments": {"port": "Hull"}}'
WANTED = [("find_tide", {"port": "Hull"})]


def found(text: str) -> list[tuple[str, Any]]:
    written = find_calls(text, TOOLS)
    return [(c.call.name, c.call.arguments) for c in written.calls] if written else []


def around(text: str) -> str | None:
    written = find_calls(text, TOOLS)
    return written.around if written else None


@pytest.mark.parametrize(
    "text",
    [
        '[find_tide(port="Hull")]',
        "[ find_tide( port = 'Hull' ) ]",
        'find_tide(port="Hull")',
        'find_tide(port="Hu" "ll")',
        'find_tide(port="Hull");',
        '`find_tide(port="Hull")`',
        '```tool_code\nprint(find_tide(port="Hull"))\n```',
        f"find_tide\n{HULL}",
        CALL,
        f"[{CALL}]",
        f'{{"find_tide": {HULL}}}',
        f'[{{"find_tide": {HULL}}}]',
        '<|python_start|>[find_tide(port="Hull")]<|python_end|>',
        f"[TOOL_CALL] {CALL} [/TOOL_CALL]",
        f"[TOOL_REQUEST]{CALL}[END_TOOL_REQUEST]",
        f'{{"tool_calls": [{CALL}]}}',
        '{"name": "find_tide", "parameters": {"port": "Hull"}}',
        '{"parameters": {"port": "Hull"}, "tool": "find_tide"}',
        '{"type": "function", "function": ' + CALL + "}",
        '{"action": "find_tide", "action_input": {"port": "Hull"}}',
        "{'name': 'find_tide', 'arguments': {'port': 'Hull'}}",
        f'{{"name": "find_tide", "arguments": {json.dumps(HULL)}}}',
        f"```json\n{CALL}\n```",
        f"```\n{CALL}\n```",
        f"```json\n{CALL}",
        f"```json {CALL}```",
        '```python\nfind_tide(port="Hull")\n```',
        f"```xml\n<tool_call>{CALL}</tool_call>\n```",
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"<tool_call>{CALL}",
        f"<tool_calls>[{CALL}]</tool_calls>",
        f"<function_call>{CALL}</function_call>",
        f"<calls>{CALL}</calls>",
        f"<|tool_call|>[{CALL}]<|/tool_call|>",
        f"<functioncall> {CALL} <|endoftext|>",
        f"<function=find_tide>{HULL}</function>",
        f"<function=find_tide>{HULL}",
        "<tool_call>\n<function=find_tide>\n<parameter=port>\nHull\n</parameter>\n</function>\n"
        "</tool_call>",
        f"[TOOL_CALLS] [{CALL}]",
        f"[TOOL_CALLS][{CALL}]</s>",
        f"[TOOL_CALLS]find_tide[ARGS]{HULL}",
        f"[TOOL_CALLS]find_tide{HULL}",
        '<|python_tag|>{"name": "find_tide", "parameters": {"port": "Hull"}}<|eom_id|>',
        '<|python_tag|>find_tide(port="Hull")',
        f"Action: find_tide\nAction Input: {HULL}",
        f"Thought: I look it up.\nAction: find_tide\nAction Input: {HULL}\nObservation:",
        f"Thought: I look.\n\n**Action:** find_tide\n**Action Input:** ```json\n{HULL}\n```",
        'Action:\n```json\n{"action": "find_tide", "action_input": {"port": "Hull"}}\n```',
        "<tool_call>find_tide\n<arg_key>port</arg_key>\n<arg_value>Hull</arg_value>\n</tool_call>",
        f"<tool_call>\nname: find_tide\nparameters: {HULL}\n</tool_call>",
    ],
)
def test_a_call_is_read_in_every_notation(text: str) -> None:
    assert found(text) == WANTED
    assert around(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        '[find_tide(port="Hull"), now()]',
        '[find_tide(port="Hull"),\n now()]',
        'find_tide(port="Hull")\nnow()',
        '[find_tide(port="Hull")]\n[now()]',
        f'{CALL}\n{{"name": "now", "arguments": {{}}}}',
        f'{CALL}; {{"name": "now", "parameters": {{}}}}',
        f'```json\n{CALL}\n```\n```json\n{{"name": "now", "arguments": {{}}}}\n```',
        f"<function=find_tide>{HULL}</function><function=now>{{}}</function>",
        f"[TOOL_CALLS]find_tide[ARGS]{HULL}[TOOL_CALLS]now[ARGS]{{}}",
        f"Action: find_tide\nAction Input: {HULL}\nThought: Now.\nAction: now\nAction Input: {{}}",
        "<tool_call>find_tide\n<arg_key>port</arg_key><arg_value>Hull</arg_value></tool_call>\n"
        "<tool_call>now\n</tool_call>",
    ],
)
def test_several_calls_are_read(text: str) -> None:
    assert found(text) == [*WANTED, ("now", {})]


@pytest.mark.parametrize(
    "text",
    [
        "Good morning.",
        '{"name": "Gannet", "arguments": 0, "masts": 2}',
        '{"name": "Gannet", "arguments": {"masts": 2}}',
        '{"name": "find_tide"}',
        '{"name": "find_tide", "description": "Finds a tide.", "parameters": {}}',
        '{"name": "find_tide", "parameters": {"type": "object", "properties": {}}}',
        '[{"port": "Hull"}, {"port": "Bath"}]',
        "[1] Tide tables of 1899.",
        "[find_tide(port) is described](https://example.org/tides)",
        "Write its name and brackets, for example [round(2.5)].",
        '[sing(song="Hull")]',
        'sing(song="Hull")',
        'For example [find_tide(port="Hull")]',
        'find_tide(port="Hull") looks up Hull, and now() tells the time (in UTC)',
        'find_tide(port="Hull") and find_tide(port="Bath")',
        "find_tide (which takes a port)",
        f"The call is {CALL}",
        f"{CALL} is how it is called.",
        "It opens one with <tool_call>, writes JSON, and closes it with </tool_call>.",
        "<tool_call> opens a call.",
        "It says <functioncall> and the JSON after it.",
        "[TOOL_CALLS] begins the calls of Mistral's models.",
        "A call is <function=name>{arguments}</function> there.",
        f"Hermes writes `<tool_call>{CALL}</tool_call>` for it.",
        f"Hermes writes:\n```\n<tool_call>{CALL}</tool_call>\n```\nand waits.",
        '<tool_call>{"name": "sing", "arguments": {}}</tool_call> is how Hermes would sing.',
        'So: <tool_call>{"name": <function-name>, "arguments": <args-dict>}</tool_call>',
        f"Write this:\n```json\n{CALL}\n```\nThen wait for the result.",
        'Write this:\n```json\n{"name": "sing", "arguments": {}}\n```',
        f'Write:\n```json\n{CALL}\n{{"name": "sing", "arguments": {{}}}}\n```',
        "```python\nimport tides\nprint(tides.find(1))\n```",
        '```json\n{"high": "14:20"}\n```',
        f"ReAct writes:\nAction: find_tide\nAction Input: {HULL}",
        "Thought: What now?\nAction: sing\nAction Input: {}",
        "Action: we leave at noon.",
        "find_tide}",
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert find_calls(text, TOOLS) is None


@pytest.mark.parametrize(
    "text",
    [
        "[find_tide(port=Hull)]",
        '[find_tide("Hull")]',
        '[find_tide(port="Hull", port="Bath")]',
        "find_tide(port)",
        '{"name": "find_tide", "arguments": {"port": "Hu',
        '{"name": "find_tide", "argu',
        '{"name": "find_tide", "arguments": {"port": "Hull"}, "city": "Hull"}',
        '{"name": "find_tide", "arguments": ["Hull"]}',
        '[{"name": "find_tide", "arguments": {}}, {"name": "now", "arguments": ',
        '[find_tide(port="Hu',
        '{"tool_uses": [{"recipient_name": "functions.find_tide", "param',
        '```json\n{"name": "find_tide", "arguments": {"port": "Hu',
        '<tool_call>{"name"',
        'One moment. <tool_call>{"name": "find_tide", "arguments": {"port": "Hu',
        'One moment. <tool_call>{"name": "find_tide", "arguments": }</tool_call>',
        "<function=find_tide>{port: Hull}</function>",
        "[TOOL_CALLS] [{",
        'functools[{"name": "find_tide", "arguments": {"port": "Hull"}}]',
        '<function_calls>\n<invoke name="find_tide"></invoke>\n</function_calls>',
        "Action: find_tide\nAction Input: Hull",
        f"Action: find_tide\nAction Input: {HULL}\nObservation: 14:20\nThought: At 14:20.",
        f"<tool_call>{CALL}</tool_call>\n<tool_response>14:20</tool_response>",
        "<tool_call>find_tide\n<arg_key>port</arg_key>\n<arg_value>Hull\n</tool_call>",
    ],
)
def test_a_call_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        find_calls(text, TOOLS)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"One moment.\n<tool_call>{CALL}</tool_call>", "One moment."),
        (f"I look <function=find_tide>{HULL}</function>it up.", "I look it up."),
        (f"<tool_call>{CALL}</tool_call>\n\nOne moment.", "One moment."),
        (f"Like this [TOOL_CALLS] [{CALL}]", "Like this"),
        (f"I look it up:\n```json\n{CALL}\n```", "I look it up:"),
        (f"A mark is `<tool_call>`. <tool_call>{CALL}</tool_call>", "A mark is `<tool_call>`."),
    ],
)
def test_the_text_around_a_call_stays_as_it_stood(text: str, left: str) -> None:
    assert found(text) == WANTED
    assert around(text) == left


def test_a_mark_alone_makes_an_undeclared_call_one() -> None:
    assert found('Hm. <tool_call>{"name": "sing", "arguments": {}}</tool_call>') == [("sing", {})]
    assert find_calls('{"name": "sing", "arguments": {}}', TOOLS) is None


def test_names_may_have_several_words_and_dots() -> None:
    text = '[Market Trends API(country="us"), harbour.open(gate=2)]'
    assert found(text) == [("Market Trends API", {"country": "us"}), ("harbour.open", {"gate": 2})]


def test_a_closing_mark_may_stand_in_an_argument() -> None:
    arguments = {"port": "</tool_call> Hull"}
    text = json.dumps({"name": "find_tide", "arguments": arguments})
    assert found(f"<tool_call>{text}</tool_call>") == [("find_tide", arguments)]


def test_values_between_marks_are_json_but_for_strings() -> None:
    pairs = "<arg_key>port</arg_key><arg_value>7</arg_value><arg_key>days</arg_key><arg_value>7"
    text = f"<tool_call>find_tide\n{pairs}</arg_value></tool_call>"
    assert found(text) == [("find_tide", {"port": "7", "days": 7})]


def test_a_thought_before_an_action_is_told_apart() -> None:
    written = find_calls(f"Thought: I look.\nAction: find_tide\nAction Input: {HULL}", TOOLS)
    assert written is not None and written.thought == "I look."


def test_only_other_notations_count_as_repaired() -> None:
    plain = find_calls(f"<tool_call>{CALL}</tool_call>", TOOLS)
    bare = find_calls(CALL, TOOLS)
    assert plain and bare and not plain.repaired and bare.repaired


@pytest.mark.parametrize("text", ["Hello", "", "sing a song", "{", 'name": "f", "arguments": {}}]'])
def test_a_turn_of_calls_holds_nothing_else(text: str) -> None:
    with pytest.raises(ValueError):
        read_calls_of_turn(text)


def test_hostile_texts_are_read_a_few_times_only() -> None:
    for text in ("<tool_call>{x " * 20_000, "<tool_call>{x </tool_call>" * 20_000):
        with pytest.raises(ValueError):
            find_calls(text, TOOLS)
    for text in ("```\n" * 40_000, "[" * 40_000, "\nAction:" * 40_000, "find_tide(" * 20_000):
        assert find_calls(text, TOOLS) is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<function=now>{}</function> then {"a": 1}', "does not begin with <function="),
        ("<function=now><parameter=port>Hull", "<parameter=port> is not closed"),
        ("<function=now><parameter=port", "<parameter= is not closed"),
        (f"<function=now>{2 * '<parameter=port>1</parameter>'}", "the key 'port' stands twice"),
        ("now<arg_key>port</arg_key>1", "'port' has no <arg_value> of its own"),
        ("name: find_tide\narguments: {", "."),
    ],
)
def test_a_marked_call_that_cannot_be_read_is_refused(body: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_call_body(body, TOOLS)
